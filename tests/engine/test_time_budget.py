import pytest

from cellmm.engine.time_budget import Plan, fit


class TestPlan:
    @pytest.mark.parametrize("iterations", [7, 100, 3000])
    def test_all_steps_are_taken_once_and_in_order(self, iterations):
        plan = Plan(iterations, start=5, steps=5, whole=500, val_interval=50)
        steps = [plan.steps_after(i) for i in range(5, iterations + 1)]
        assert steps[0] == 5 and steps[-1] == 500 and steps == sorted(steps)

    def test_steps_are_spread_evenly(self):
        plan = Plan(iterations=50, start=0, steps=0, whole=500, val_interval=50)
        assert [plan.steps_after(i) for i in (1, 2, 25, 49)] == [10, 20, 250, 490]

    def test_a_plan_that_is_over(self):
        assert Plan(iterations=4, start=4, steps=9, whole=500, val_interval=4).steps_after(4) == 500

    @pytest.mark.parametrize(
        ("interval", "begin", "iteration", "number"),
        [
            (10, 1, 1, 3),
            (10, 1, 11, 2),
            (10, 20, 1, 2),
            (25, 1, 1, 1),
            (40, 1, 1, 1),
            (8, 1, 1, 4),
            (8, 26, 1, 0),
        ],
    )
    def test_validations_that_come(self, interval, begin, iteration, number):
        end = 30 if interval == 10 else 25
        plan = Plan(iterations=end, start=0, steps=0, whole=100, val_interval=interval, val_begin=begin)
        due = [i for i in range(max(iteration, begin), end + 1) if i % interval == 0 or i == end]
        assert plan.validations_from(iteration) == len(due) == number

    def test_the_time_that_it_takes(self):
        plan = Plan(iterations=30, start=0, steps=0, whole=100, val_interval=10)
        assert plan.seconds_from(12, each=2.0, validation=5.0) == 18 * 2 + 2 * 5


class TestFit:
    def test_what_fits(self):
        assert fit(60.0, each=0.5, validation=3.0, validations=2, done=13) == (13 + 108, 2)

    def test_fewer_validations_where_they_would_take_most_of_the_time(self):
        iterations, validations = fit(100.0, each=1.0, validation=10.0, validations=6, done=0)
        assert validations == 2 and iterations == 80

    def test_the_last_validation_stays(self):
        assert fit(100.0, each=1.0, validation=90.0, validations=6, done=3) == (13, 1)
        assert fit(100.0, each=1.0, validation=200.0, validations=6, done=3) == (3, 1)

    def test_no_validation_is_wanted(self):
        assert fit(100.0, each=1.0, validation=0.0, validations=0, done=0) == (100, 0)

    def test_whole_steps_of_the_optimizer(self):
        assert fit(10.0, each=1.0, validation=0.0, validations=0, done=8, multiple=4) == (16, 0)

    def test_no_time_is_left(self):
        assert fit(-5.0, each=1.0, validation=2.0, validations=3, done=40) == (40, 1)

"""How many iterations fit into the time that a training may take, and where in its schedules each of them is.

A schedule says what the learning rate is after each of its steps. A training takes one step per iteration;
with a time budget it takes as many as needed to reach the last step with the last iteration that fits.
"""

from dataclasses import dataclass

TOLERANCE = 0.05  # of the budget: a plan that misses it by less is kept, so that a resumed training keeps it
RESERVE = 0.03  # of the budget, for the last checkpoint and what is written after training
ON_VALIDATION = 0.2  # of the time left: validations that would take more become fewer


@dataclass(frozen=True)
class Plan:
    """The iterations of a training, and the steps of its schedules.

    Attributes:
        iterations: of the whole training.
        start: iterations that were done when this was planned.
        steps: steps of the schedules that were taken by then.
        whole: steps of the whole schedules.
        val_interval: iterations between two validations; the last iteration is followed by one anyway.
        val_begin: no validation before this iteration.
    """

    iterations: int
    start: int
    steps: int
    whole: int
    val_interval: int
    val_begin: int = 1

    def steps_after(self, iteration: int) -> int:
        """Steps of the schedules that are taken after ``iteration`` iterations; all of them after the last.

        Examples:
            >>> plan = Plan(iterations=20, start=10, steps=10, whole=1000, val_interval=20)
            >>> [plan.steps_after(i) for i in (10, 11, 19, 20)]
            [10, 109, 901, 1000]
        """
        if iteration >= self.iterations:
            return self.whole
        share = (iteration - self.start) / (self.iterations - self.start)
        return self.steps + int((self.whole - self.steps) * share)

    def validations_from(self, iteration: int) -> int:
        """Validations that come after iteration number ``iteration`` or a later one."""
        first = max(iteration, self.val_begin)
        if first > self.iterations:
            return 0
        before, last = (first - 1) // self.val_interval, self.iterations // self.val_interval
        return max(last - before, 0) + (self.iterations % self.val_interval > 0)

    def seconds_from(self, iteration: int, each: float, validation: float) -> float:
        """How long the training takes after ``iteration`` iterations, if it goes on as measured."""
        return (self.iterations - iteration) * each + self.validations_from(iteration) * validation


def fit(
    seconds: float, *, each: float, validation: float, validations: int, done: int, multiple: int = 1
) -> tuple[int, int]:
    """The iterations of a training of which ``done`` are done, and its validations from now on.

    Args:
        seconds: left for both.
        each, validation: seconds of an iteration and of a validation.
        validations: how many are wanted; there are fewer where they would take too much of the time, but
            one at least.
        multiple: what the number of iterations must be a multiple of; ``done`` is one.

    Examples:
        >>> fit(100.0, each=1.0, validation=5.0, validations=2, done=10)
        (100, 2)
        >>> fit(100.0, each=1.0, validation=5.0, validations=30, done=10)
        (90, 4)
    """
    if validations:
        validations = max(1, min(validations, int(ON_VALIDATION * seconds / max(validation, 1e-9))))
    more = int(max(seconds - validations * validation, 0) / max(each, 1e-9))
    return done + more // multiple * multiple, validations

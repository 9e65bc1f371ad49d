"""Work that is done ahead: in order, bounded, and ended by the first error."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cellmm.apis.in_order import in_order


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_items(threads):
    def slow_for_even(number):
        time.sleep(0.005 * (number % 2 == 0))
        return number**2

    found = list(in_order(slow_for_even, range(20), ahead=4, threads=threads))
    assert found == [number**2 for number in range(20)]


def test_no_more_than_asked_for_is_ahead():
    taken = []

    def items():
        for number in range(30):
            taken.append(number)
            yield number

    for place, _ in enumerate(in_order(abs, items(), ahead=3)):
        assert len(taken) <= place + 5


def test_an_error_comes_in_its_turn_and_ends_the_work():
    done = []

    def fail_at_three(number):
        if number == 3:
            raise ValueError("three")
        done.append(number)
        return number

    results = in_order(fail_at_three, range(100), ahead=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert max(done) <= 7


def test_work_is_done_beside_that_of_the_caller_and_stops_with_it():
    before = threading.active_count()
    begun = threading.Event()
    results = in_order(lambda number: begun.set() or number, range(100), ahead=1)
    next(results)
    assert begun.is_set()
    results.close()
    assert threading.active_count() == before


def test_a_pool_of_the_caller_stays_open():
    with ThreadPoolExecutor(1) as pool:
        assert list(in_order(abs, [-1, -2], ahead=1, pool=pool)) == [1, 2]
        assert pool.submit(abs, -3).result() == 3

import pytest

from edge.sync.flights import Flights


class Line:
    """A line that carries so many bytes a second with so many requests at once."""

    def __init__(self, rates, most=4) -> None:
        self.now = 0.0
        self.rates = rates
        self.flights = Flights(most, lambda: self.now)

    def carry(self, answers) -> None:
        for _ in range(answers):
            self.now += 1000 / self.rates[min(self.flights.allowed, len(self.rates)) - 1]
            self.flights.arrived(1000)


def test_it_begins_with_one():
    assert Flights(4).allowed == 1


@pytest.mark.parametrize("most", [0, 1])
def test_one_is_the_least_and_may_be_the_most(most):
    line = Line([1000.0], most)
    line.carry(100)
    assert line.flights.allowed == 1


def test_on_a_line_that_one_fills_a_second_is_tried_and_given_up():
    line, seen = Line([1000.0, 1050.0]), []
    for _ in range(200):
        line.carry(1)
        seen.append(line.flights.allowed)
    assert set(seen) == {1, 2}
    assert seen[-1] == 1
    assert seen.count(2) < 40


def test_what_brings_a_good_deal_more_is_kept_and_the_next_one_is_tried():
    line = Line([1000.0, 1900.0, 2700.0, 2750.0])
    line.carry(100)
    assert line.flights.allowed == 3


def test_it_goes_no_further_than_it_may():
    line = Line([1000.0 * number for number in range(1, 9)], most=2)
    line.carry(100)
    assert line.flights.allowed == 2


def test_a_failure_brings_it_back_to_one_and_it_waits_before_it_tries_again():
    line = Line([1000.0, 1900.0, 2700.0, 2750.0])
    line.carry(100)
    line.flights.failed()
    assert line.flights.allowed == 1
    line.carry(20)
    assert line.flights.allowed == 1
    line.carry(200)
    assert line.flights.allowed > 1


def test_what_idles_is_not_measured():
    line = Line([1000.0, 1900.0])
    for _ in range(100):
        line.carry(2)
        line.flights.idle()
    assert line.flights.allowed == 1


def test_after_a_failure_one_more_is_not_tried_at_once():
    line = Line([1000.0, 1900.0])
    line.flights.failed()
    line.carry(25)
    assert line.flights.allowed == 1
    line.carry(20)
    assert line.flights.allowed == 2

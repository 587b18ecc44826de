import logging

import pytest

from edge.sync.tally import Tally

log = logging.getLogger("tally")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def test_what_was_done_is_said_once_nothing_is_left_to_do(lines):
    tally = Tally(log, "archive cloud: sent")
    for size in (1_000_000, 1_500_000):
        tally.add(size)
        tally.say(resting=False)
    assert lines() == []
    tally.say(resting=True)
    tally.say(resting=True)
    assert lines() == ["archive cloud: sent 2 instances, 2.5 MB"]


def test_a_long_work_is_spoken_of_now_and_then(lines):
    now = 100.0
    tally = Tally(log, "archive cloud: verified", clock=lambda: now)
    for _ in range(120):
        now += 1.0
        tally.add(500_000)
        tally.say(resting=False)
    assert lines() == ["archive cloud: verified 60 instances, 30.0 MB"] * 2


def test_nothing_done_is_nothing_said(lines):
    Tally(log, "archive cloud: sent").say(resting=True)
    assert lines() == []

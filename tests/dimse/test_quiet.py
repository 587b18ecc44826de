import logging

import pytest

from edge.dimse.quiet import HOSTS, LINES, SPAN, QuietLog, kind_and_place


def test_one_host_can_not_flood_the_log_nor_silence_the_others(caplog):
    now = 0.0
    quiet = QuietLog(logging.getLogger("edge.test"), clock=lambda: now)
    for number in range(1000):
        quiet.log("10.0.0.66", logging.WARNING, "line %d", number)
    quiet.log("10.0.0.5", logging.WARNING, "a modality")
    assert caplog.messages[:LINES] == [f"line {number}" for number in range(LINES)]
    assert caplog.messages[LINES:] == [
        "10.0.0.66: further lines about it are left out for a while",
        "a modality",
    ]
    now = SPAN
    quiet.log("10.0.0.66", logging.WARNING, "again")
    assert caplog.messages[-2:] == [
        f"10.0.0.66: {1000 - LINES} lines about it were left out",
        "again",
    ]


def test_lines_below_the_level_are_not_counted(caplog):
    caplog.set_level(logging.WARNING, logger="edge.test")
    quiet = QuietLog(logging.getLogger("edge.test"))
    for _ in range(LINES + 1):
        quiet.log("10.0.0.5", logging.INFO, "a health check")
    quiet.log("10.0.0.5", logging.WARNING, "worth knowing")
    assert caplog.messages == ["worth knowing"]


def test_a_bounded_number_of_hosts_is_remembered():
    quiet = QuietLog(logging.getLogger("edge.test"))
    for number in range(3 * HOSTS):
        quiet.log(f"10.0.{number // 250}.{number % 250}", logging.WARNING, "hello")
    assert len(quiet._hosts) == HOSTS


def test_an_error_nobody_foresaw_is_told_of_without_its_text():
    with pytest.raises(LookupError) as caught:
        raise LookupError("Secret^Patient")
    assert kind_and_place(caught.value).startswith("LookupError in test_quiet.py:")
    assert kind_and_place(LookupError("Secret^Patient")) == "LookupError"

"""What is said of what failed, at a screen without a shell."""

from __future__ import annotations

import pytest

from edge.console.advice import words_of
from edge.errors import EdgeError, TooManyAttempts
from edge.machine.asking import NoAnswer


@pytest.mark.parametrize(
    "hint",
    [
        "systemctl start edge",
        "look at its log, and ask again",
        "edge key unlock, on this machine",
        "an appliance does; elsewhere, set up edge-machine.path as the README says",
    ],
)
def test_what_names_a_command_is_no_advice_there(hint):
    assert words_of(EdgeError("it failed", hint=hint)) == (
        "it failed\nrestart the box by r; if that does not help, call who looks after it"
    )


def test_what_can_be_done_there_is_said_as_it_is():
    assert words_of(EdgeError("it failed", hint="type it again")) == "it failed\ntype it again"
    assert words_of(OSError("gone")) == "gone"


def test_a_machine_that_does_not_answer_can_not_be_restarted_by_a_key():
    error = NoAnswer("the machine does not answer", hint="systemctl status edge-machine")
    assert "switch the box off by its button" in words_of(error)
    assert "systemctl" not in words_of(error)


@pytest.mark.parametrize(("seconds", "words"), [(31.2, "wait 32 s"), (3000.0, "wait 50 minutes")])
def test_who_has_to_wait_hears_how_long(seconds, words):
    error = TooManyAttempts("too many attempts failed", hint="wait", retry_after=seconds)
    assert words in words_of(error)

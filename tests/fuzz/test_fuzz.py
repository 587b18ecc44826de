"""A bounded run of every fuzzer, the same each time; ``scripts/fuzz`` goes on with others."""

from __future__ import annotations

import re

import pytest

from tests.fuzz import corpus
from tests.fuzz.conversations import Talk
from tests.fuzz.run import TARGETS, run

EXAMPLES = {"acceptor": 120, "requestor": 60, "framing": 200}
OTHERS = 400


@pytest.mark.blocks  # the readers are called as they are, and the box in this very thread
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_answered_or_refused(name):
    run(name, EXAMPLES.get(name, OTHERS))


@pytest.mark.blocks
@pytest.mark.parametrize("syntax", corpus.SYNTAXES)
def test_what_it_begins_with_is_right_and_reaches_every_service(syntax):
    """Else all that follows would be refused at the door."""
    every = tuple(range(len(corpus.messages(syntax))))
    with TARGETS["acceptor"].opened() as speak:
        heard = speak(Talk(syntax, every, "stream", [], "release"))
    statuses = {}
    for command in re.findall(
        rb"\0\0\x20\x01\x02\0\0\0(..)(.*?)\0\0\0\x09\x02\0\0\0(..)", heard, re.DOTALL
    ):
        number, _, status = command
        statuses[int.from_bytes(number, "little")] = int.from_bytes(status, "little")
    assert statuses == {number + 1: 0 for number in every}


def test_a_finding_is_shown_with_what_makes_it():
    with pytest.raises(AssertionError, match="no such thing"):
        run("command", 50, spoilt=True)

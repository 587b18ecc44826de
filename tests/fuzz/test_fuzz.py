"""A bounded run of every fuzzer, the same each time; ``scripts/fuzz`` goes on with others."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from tests.fuzz import corpus, findings
from tests.fuzz.bounds import bounded
from tests.fuzz.conversations import Talk
from tests.fuzz.run import TARGETS, replay, run

_FIRST = settings(database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
EXAMPLES = {
    "acceptor": 80,
    "requestor": 60,
    "framing": 200,
    "query": 120,
    "admission": 30,
    "stow": 40,
    "http": 150,
    "tls": 60,
    "admin": 120,
    "pixels": 120,
    "dropfolder": 120,
    "courier": 80,
    "archive": 120,
    "login": 60,
    "unlock": 120,
    "audit": 80,
    "search": 120,
    "identity": 200,
    "provider": 100,
    "settings": 200,
}
OTHERS = 400


@pytest.mark.blocks  # the readers are called as they are, and the box in this very thread
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_answered_or_refused(name):
    run(name, EXAMPLES.get(name, OTHERS))


@pytest.mark.blocks
@pytest.mark.parametrize("name", [name for name in TARGETS if findings.kept(name)])
def test_what_was_found_once_is_not_found_again(name):
    replay(name, *findings.kept(name))


def test_all_that_was_found_is_of_a_target():
    folders = [path.name for path in findings.KEPT.iterdir()] if findings.KEPT.is_dir() else []
    assert set(folders) <= TARGETS.keys()


@pytest.mark.blocks
@pytest.mark.parametrize("syntax", corpus.SYNTAXES)
def test_what_it_begins_with_is_right_and_reaches_every_service(syntax):
    """Else all that follows would be refused at the door."""
    every = tuple(range(len(corpus.messages(syntax)) + 1))
    with TARGETS["acceptor"].opened() as speak:
        heard = speak(Talk(syntax, every, "stream", [], "release"))
    statuses = {}
    for command in re.findall(
        rb"\0\0\x20\x01\x02\0\0\0(..)(.*?)\0\0\0\x09\x02\0\0\0(..)", heard, re.DOTALL
    ):
        number, _, status = command
        statuses[int.from_bytes(number, "little")] = int.from_bytes(status, "little")
    assert statuses == {number + 1: 0 for number in every}


def test_a_finding_is_shown_with_what_makes_it_and_can_be_had_again(tmp_path):
    with pytest.raises(AssertionError, match="no such thing"):
        run("command", 50, spoilt=True, keep=tmp_path)
    (path,) = (tmp_path / "command").iterdir()
    replay("command", path)


@pytest.mark.parametrize("name", [name for name in TARGETS if TARGETS[name].kind is not bytes])
def test_every_example_can_be_kept(name, tmp_path):
    """Also those that are more than bytes."""
    target = TARGETS[name]
    example = find(target.examples, lambda _: True, settings=_FIRST)
    path = findings.keep(tmp_path, name, example)
    assert findings.read(path, target.kind) == example


def test_who_takes_too_much_is_found_out():
    def without_end():
        while True:
            pass

    with pytest.raises(AssertionError, match="end within"), bounded(0.05, 100):
        without_end()
    with pytest.raises(AssertionError, match="MB"), bounded(5, 10):
        bytes(range(256)) * 200_000

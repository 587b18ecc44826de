"""The recovery key as people hand it over: on one line or three, by a pipe or typed."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import pty
import subprocess
import sys

import pytest

from edge.commands.key import ask_for_key
from edge.crypto.recovery import RecoveryKey
from edge.errors import EdgeError, WrongKey

KEY = RecoveryKey.new()
GROUPS = KEY.to_groups()
PRINTED = "".join("  ".join(GROUPS[at : at + 3]) + "\n" for at in (0, 3, 6))


def ask():
    return asyncio.run(ask_for_key(argparse.Namespace(key_file=None)))


@pytest.fixture
def piped(monkeypatch):
    def ask_with(text):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return ask()

    return ask_with


@pytest.mark.parametrize(
    "text",
    [PRINTED, "\n" + PRINTED.lower(), " ".join(GROUPS), "\n".join(GROUPS), PRINTED.rstrip("\n")],
    ids=["as printed", "in lower case", "on one line", "a group a line", "without an end"],
)
def test_by_a_pipe_it_is_read_until_it_is_complete_or_the_input_ends(piped, text):
    assert piped(text) == KEY


def test_what_follows_the_key_is_not_read(piped):
    assert piped(f"{PRINTED}the next answer\n") == KEY
    assert sys.stdin.read() == "the next answer\n"


def test_the_errors_are_those_of_the_key(piped):
    first = GROUPS[0][::-1] if GROUPS[0] != GROUPS[0][::-1] else "0" * 8
    with pytest.raises(WrongKey, match="group 1 of the recovery key"):
        piped(PRINTED.replace(GROUPS[0], first))
    with pytest.raises(WrongKey, match="has 72 characters, and these are 48"):
        piped("\n".join(PRINTED.splitlines()[:2]))
    with pytest.raises(EdgeError, match="nobody typed it"):
        piped("")


def at_a_terminal(typed):
    """What a process says that asks for the key, and how it ends."""
    program = (
        "import argparse, asyncio\n"
        "from edge.commands.key import ask_for_key\n"
        "key = asyncio.run(ask_for_key(argparse.Namespace(key_file=None)))\n"
        "print('fingerprint', key.recipient.mark.hex())\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as asking:
        os.close(theirs)
        wrong = ""
        for line in typed.splitlines():
            while not wrong.endswith(": "):
                wrong += asking.stderr.read(1)  # what is typed before it asks is thrown away
            os.write(ours, f"{line}\n".encode())
            wrong += "|"
        said, rest = asking.communicate(timeout=60)
    os.close(ours)
    return said, wrong + rest


def test_at_a_terminal_it_may_be_typed_in_lines():
    said, _ = at_a_terminal(PRINTED)
    assert KEY.recipient.mark.hex() in said


def test_at_a_terminal_an_empty_line_ends_it():
    said, wrong = at_a_terminal(PRINTED.splitlines()[0] + "\n\n")
    assert "48 characters more (Enter if there are none)" in wrong
    assert "has 72 characters, and these are 24" in wrong
    assert GROUPS[0] not in said + wrong

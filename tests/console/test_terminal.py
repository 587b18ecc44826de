"""What a terminal sends, and what of it is a key."""

from __future__ import annotations

import os
import pty
import termios

import pytest
from textual import events

from edge.console.terminal import Keys, unechoed


def keys_of(data, keys=None, now=0.0):
    return [message.key for message in (keys or Keys()).read(data, now)]


def test_what_is_typed_is_typed():
    assert keys_of(b"a\r") == ["a", "enter"]
    [key] = Keys().read("ä".encode(), 0.0)
    assert key.character == "ä"
    keys = Keys()  # in two pieces
    assert keys_of(b"\xc3", keys) == []
    assert len(keys_of(b"\xa4", keys)) == 1


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff",
        b"\x1b[57344;999999999999999999u",
        b"\x1b[" + b"9" * 5000 + b"u",
        b"\x1b[99999999u",
        b"\x1b[55296u",
        b"\x1b[48;0;0;0;0t",
        b"\x1b[48;24;80;0;0t\x1b[<0;5;5M\x1b[<35;6;6M",
        b"\x1b[M\xff\xff\xff",
        b"\x1b[99999;99999R",
        b"\x1b[200~" + b"A" * 10_000 + b"\x1b[201~",
    ],
)
def test_what_is_no_key_ends_nothing(odd):
    keys = Keys()
    assert all(isinstance(one, events.Key) for one in keys.read(odd, 0.0))
    assert keys_of(b"n", keys, now=3.0) == ["n"]


def test_a_sequence_that_does_not_end_swallows_no_key_for_long():
    keys = Keys()
    assert keys_of(b"\x1b[200~abc", keys) == []
    assert keys_of(b"n", keys, now=3.0) == ["n"]


def test_what_is_pasted_is_text():
    [pasted] = Keys().read(b"\x1b[200~secret\x1b[201~", 0.0)
    assert (type(pasted), pasted.text) == (events.Paste, "secret")


def test_a_terminal_does_not_show_what_is_typed():
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        with unechoed(slave):
            assert not termios.tcgetattr(slave)[3] & termios.ECHO
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)

"""``edge secret seal``, in processes of its own."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from edge import loading, others
from edge.crypto.secrets import PURPOSE, open_secrets
from edge.opening import Cache


@pytest.fixture
def box(started):
    """The configuration of a box that was started once."""
    return started()


def seal(path, content, **options):
    return subprocess.run(
        [sys.executable, "-m", "edge", "secret", "seal", "--config", str(path)],
        input=content,
        capture_output=True,
        check=False,
        **options,
    )


def opened(path, sealed):
    async def open_one(loaded):
        async with Cache(loaded) as cache:
            auth = others.Auth("bearer", token=sealed)
            return open_secrets(auth, cache.keys.derive(PURPOSE), "auth").token

    return asyncio.run(open_one(loading.load(path, {})))


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hush", "hush"),
        (b"hush\n", "hush"),
        (b"hush\r\n", "hush"),
        (b" two\nlines\n\n", " two\nlines\n"),
        ("hüsh".encode(), "hüsh"),
    ],
)
def test_the_sealed_form_is_printed_alone(box, content, secret):
    ran = seal(box, content)
    assert (ran.returncode, ran.stderr) == (0, b"")
    lines = ran.stdout.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("sealed:")
    assert opened(box, lines[0]) == secret


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", b"no secret came"),
        (b"\n", b"no secret came"),
        (b"\xff\xfe", b"not text in UTF-8"),
        (b"hush" * 20_000, b"too long"),
    ],
)
def test_what_can_not_be_a_secret(box, content, why):
    ran = seal(box, content)
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert why in ran.stderr
    assert b"hush" not in ran.stderr


def test_a_box_that_was_never_started_can_not_seal(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n')
    ran = seal(path, b"hush")
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert b"start it once" in ran.stderr
    assert not (tmp_path / "box").exists()


def at_a_terminal(path, typed):
    """Exit status, what was printed, and what the terminal showed."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "secret", "seal", "--config", str(path)],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,  # away from the terminal that the tests run at
    )
    os.close(terminal)
    shown = b""
    while b"Secret: " not in shown:
        shown += os.read(main, 1024)
    os.write(main, typed)
    printed = process.communicate(timeout=60)[0].decode()
    with suppress(OSError):  # the other end is closed
        while more := os.read(main, 4096):
            shown += more
    os.close(main)
    return process.returncode, printed, shown


def test_at_a_terminal_the_secret_is_not_shown(box):
    status, printed, shown = at_a_terminal(box, b"hush\n")
    assert status == 0
    assert b"hush" not in shown
    assert opened(box, printed.strip()) == "hush"


def test_who_types_nothing_gets_nothing(box):
    for typed in (b"\n", b"\x04"):
        status, printed, shown = at_a_terminal(box, typed)
        assert (status, printed) == (2, "")
        assert b"no secret came" in shown

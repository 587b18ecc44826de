"""The kernel remembers a secret from one process to the next, for a while, and only if it is asked.

Skipped where a container forbids keyrings.
"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from edge.crypto.kernel import KernelMemory

SECRET = bytes(range(32))


@pytest.fixture
def memory(tmp_path):
    memory = KernelMemory(tmp_path, 60)
    if not memory.keep("probe", SECRET):
        pytest.skip("the kernel has no keyrings here")
    yield memory
    memory.forget()


def test_who_asks_for_the_same_gets_it_and_nobody_else(memory, tmp_path):
    assert memory.keep("one", SECRET)
    assert memory.recall("one") == SECRET
    assert memory.recall("another") is None
    assert KernelMemory(tmp_path / "another box", 60).recall("one") is None


def test_another_process_of_the_same_user_gets_it(memory, tmp_path):
    memory.keep("one", SECRET)
    program = (
        "import sys; from pathlib import Path; from edge.crypto.kernel import KernelMemory\n"
        "print(KernelMemory(Path(sys.argv[1]), 60).recall('one').hex())"
    )
    told = subprocess.check_output([sys.executable, "-c", program, tmp_path], text=True)
    assert told.strip() == SECRET.hex()


def test_what_is_forgotten_is_gone(memory, tmp_path):
    memory.keep("one", SECRET)
    KernelMemory(tmp_path, 60).forget()
    assert memory.recall("one") is None
    memory.forget()


def test_it_has_one_at_a_time(memory):
    memory.keep("one", SECRET)
    memory.keep("two", bytes(32))
    assert memory.recall("one") is None
    assert memory.recall("two") == bytes(32)


def test_it_forgets_by_itself_when_the_time_is_up(memory, tmp_path):
    short = KernelMemory(tmp_path, 1)
    assert short.keep("one", SECRET)
    deadline = time.monotonic() + 20
    while short.recall("one") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_a_grace_nothing_is_kept_and_nothing_is_taken(memory, tmp_path):
    memory.keep("one", SECRET)
    none = KernelMemory(tmp_path, 0)
    assert none.recall("one") is None
    assert not none.keep("one", SECRET)
    assert memory.recall("one") is None


def test_on_a_machine_whose_calls_are_not_known_nothing_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    memory = KernelMemory(tmp_path, 60)
    assert not memory.keep("one", SECRET)
    assert memory.recall("one") is None

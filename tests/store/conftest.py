"""A ring of keys and a store of objects, on a real disk."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.crypto.sealed import Algorithm
from edge.store.objects import ObjectStore


@pytest.fixture(autouse=True)
def processes_are_started(started_as_in_a_box):
    """It is part of what is tested."""


@pytest.fixture
def keys(tmp_path):
    ring = KeyRing(tmp_path / "keys.db", FileKeyProvider(tmp_path / "root.key"))
    yield ring
    ring.close()


@pytest.fixture
async def store(tmp_path, keys):
    async with ObjectStore(tmp_path, keys, algorithm=Algorithm.AES_256_GCM) as opened:
        yield opened


async def suspend(process):
    """Stop the store's process in the middle of whatever it does."""
    pid = process._process.pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.to_thread(os.waitpid, pid, os.WUNTRACED)  # until it has

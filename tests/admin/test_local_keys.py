"""What commands on this machine and the service say to each other about the root secret."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.admin.local import local_door
from edge.admin.local_keys import (
    ChangeAsked,
    LockAsked,
    LockedNow,
    Opening,
    Waiting,
    change_service,
    lock_service,
    open_service,
    root_of_service,
    state_of_service,
    when_locked,
    when_open,
)
from edge.config import Keys
from edge.errors import DecisionRefused, KeyLocked, KeyUnavailable, Needs, SecretError, WrongKey
from edge.others import KeyServer

ROOT = bytes(range(32))


async def in_a_thread(act, *words):
    return await asyncio.to_thread(act, *words)


async def test_a_command_gets_the_secret_of_a_service_that_is_open(tmp_path):
    asked = []

    async def lock(what):
        asked.append(what)
        return "a key that can't be written"

    async def change(what):
        asked.append(what)

    async with local_door(tmp_path, dict, more=when_open(lambda: ROOT, lock, change)):
        assert await in_a_thread(root_of_service, tmp_path) == ROOT
        assert await in_a_thread(state_of_service, tmp_path) == Waiting()
        locked = await in_a_thread(lock_service, tmp_path, LockAsked("me", force=True))
        assert locked == LockedNow("a key that can't be written")
        with pytest.raises(SecretError):
            await in_a_thread(open_service, tmp_path, Opening())
        keys = Keys("network", server=(KeyServer("http://a", "A" * 43),), path=Path("/k"))
        change = ChangeAsked.of("me", keys, "new")
        assert await in_a_thread(change_service, tmp_path, change)
    assert asked[0] == LockAsked("me", force=True)
    assert (asked[1].settings(), asked[1].passphrase) == (keys, "new")
    assert "new" not in repr(change) + repr(Opening("new", "new"))
    with pytest.raises(SecretError, match="can't be understood"):
        ChangeAsked("me", {"provider": "none"}).settings()


async def test_a_service_that_is_only_being_started_gives_nothing(tmp_path):
    def nothing():
        raise KeyUnavailable("not yet")

    async with local_door(tmp_path, dict, more=when_open(nothing, nothing, nothing)):
        assert await in_a_thread(root_of_service, tmp_path) is None


async def test_a_locked_service_gives_nothing_and_says_what_it_waits_for(tmp_path):
    waiting = Waiting(Needs.PASSPHRASE, "it waits")
    errors = [
        KeyLocked("more", needs=Needs.NEW_PASSPHRASE, hint="choose"),
        WrongKey("wrong", hint="again"),
        SecretError("weak", hint="longer"),
    ]
    said = []

    async def opened(by):
        said.append(by)
        if errors:
            raise errors.pop(0)

    async def lock(_):
        raise DecisionRefused("no recovery key", hint="make one")

    routes = when_locked(lambda: waiting, opened, lock)
    by = Opening("pass\u00e4", "recovery")
    async with local_door(tmp_path, dict, more=routes):
        assert await in_a_thread(state_of_service, tmp_path) == waiting
        with pytest.raises(KeyLocked, match="the box is locked: it waits"):
            await in_a_thread(root_of_service, tmp_path)
        for kind, hint in ((KeyLocked, "choose"), (WrongKey, "again"), (DecisionRefused, "longer")):
            with pytest.raises(kind) as refused:
                await in_a_thread(open_service, tmp_path, by)
            assert refused.value.hint == hint
        assert await in_a_thread(open_service, tmp_path, by)
        with pytest.raises(DecisionRefused, match="no recovery key"):
            await in_a_thread(lock_service, tmp_path, LockAsked("me"))
    assert said == [by] * 4


def test_without_a_service_there_is_nobody_to_ask(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        assert root_of_service(folder) is None
        assert state_of_service(folder) is None
        assert not open_service(folder, Opening())
        assert not lock_service(folder, LockAsked("me"))

"""Commands on this machine see the service, and nobody else does."""

from __future__ import annotations

import asyncio
import stat

import pytest

from edge.admin import local
from edge.admin.local import (
    ask_service,
    cages_of_service,
    local_door,
    parts_of_service,
    wake_service,
)
from edge.errors import EdgeError, SecretError


async def test_the_parts_of_a_running_service_are_told(tmp_path):
    parts = {"start": "under way"}
    async with local_door(tmp_path, lambda: parts):
        assert await parts_of_service(tmp_path) == {"start": "under way"}
        parts = {"dimse": "running"}
        assert await parts_of_service(tmp_path) == {"dimse": "running"}


async def test_a_service_that_ended_or_was_killed_is_not_running(tmp_path):
    assert await parts_of_service(tmp_path) is None
    async with local_door(tmp_path, dict):
        pass
    assert not list(tmp_path.iterdir())
    (await asyncio.to_thread(local._listen, tmp_path)).close()  # what a killed process leaves
    assert await parts_of_service(tmp_path) is None
    async with local_door(tmp_path, dict):
        assert await parts_of_service(tmp_path) == {}


async def test_what_the_cages_of_its_processes_lack_is_told(tmp_path):
    assert await cages_of_service(tmp_path) == {}
    lacking = {"pixels": "seccomp: Function not implemented", "store": ""}
    async with local_door(tmp_path, dict, cages=lambda: lacking):
        assert await cages_of_service(tmp_path) == lacking


async def test_a_command_wakes_the_service_that_runs(tmp_path):
    woken = []
    assert not await wake_service(tmp_path)
    async with local_door(tmp_path, dict, lambda: woken.append(1)):
        assert await wake_service(tmp_path)
    assert woken == [1]
    assert not await wake_service(tmp_path)


async def test_only_the_owner_can_ask(tmp_path):
    async with local_door(tmp_path, dict):
        (door,) = tmp_path.iterdir()
        assert stat.S_IMODE(door.stat().st_mode) == 0o600


async def test_a_folder_may_have_a_name_longer_than_a_socket_may(tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with local_door(folder, lambda: {"dimse": "running"}):
        assert await parts_of_service(folder) == {"dimse": "running"}


async def test_a_service_that_does_not_answer_is_not_called_healthy(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_PATIENCE", 0.1)
    door = await asyncio.to_thread(local._listen, tmp_path)
    server = await asyncio.start_unix_server(lambda *_: None, sock=door)
    async with server:
        assert await parts_of_service(tmp_path) == {"service": "does not answer"}


async def test_a_folder_that_takes_no_socket_stops_nothing_else(tmp_path, caplog):
    (tmp_path / "service.sock").mkdir()
    with pytest.raises(IsADirectoryError):
        await asyncio.to_thread(local._listen, tmp_path)
    async with local_door(tmp_path, dict):
        assert "edge status can't see this service" in caplog.text


async def test_the_service_does_what_a_command_asks_and_says_why_it_refuses(tmp_path):
    async def double(wish):
        if "number" not in wish:
            raise SecretError("no number was given", hint="give one")
        return {"double": 2 * wish["number"]}

    assert await ask_service(tmp_path, "double", {"number": 4}) is None
    assert await ask_service(tmp_path / "missing", "double") is None
    acts = {}
    async with local_door(tmp_path, dict, acts=acts):
        with pytest.raises(EdgeError) as caught:
            await ask_service(tmp_path, "double", {"number": 4})
        assert "when it has started" in caught.value.hint
        acts["double"] = double
        assert await ask_service(tmp_path, "double", {"number": 4}) == {"double": 8}
        with pytest.raises(EdgeError, match="no number was given") as caught:
            await ask_service(tmp_path, "double")
        assert caught.value.hint == "give one"

"""``edge update take`` and ``check``, as the units of the disk image run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from functools import partial

import httpx
import pytest

from edge import __main__, config
from edge.access.roles import Role
from edge.admin.local import local_door
from edge.admin.local_keys import Waiting, when_locked
from edge.app import Appliance
from edge.commands.update_units import _may_restart, _of_the_machine
from edge.errors import EdgeError, Needs, UpdateRefused
from edge.updates.held import alone
from edge.updates.history import Deed
from edge.updates.journal import Folder, Order, Trial
from edge.updates.loaders import Uefi
from tests import program
from tests.dimse.raw import until
from tests.updates.makers import place_of


@pytest.fixture
def settings(tmp_path):
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
        update=config.Update(keys=tmp_path / "keys", by_itself="look"),
    )


async def test_the_gate_has_nothing_to_say_without_a_trial(path, tmp_path):
    (tmp_path / "box").mkdir()
    done = await asyncio.to_thread(program.run, "update", "check", "--json", "--config", path)
    assert json.loads(done.stdout) == {"verdict": "nothing on trial", "why": ""}
    assert done.returncode == 0


BROKEN = {
    "the box's own": ("settings.toml", "[update]\nby_itself = 7\n"),
    "the machine's": ("edge.toml", "[no_such_section]\nx = 1\n"),
}


@pytest.mark.parametrize("which", BROKEN)
def test_settings_that_can_t_be_read_end_no_gate_without_a_verdict(
    path, tmp_path, which, monkeypatch
):
    name, text = BROKEN[which]
    (tmp_path / "box").mkdir()
    usual = tmp_path / "box"
    if name == "edge.toml":
        path.write_text(text)
    else:
        (usual / name).write_text(text)
    folder = Folder(usual)
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another"))
    machine = place_of(tmp_path / "machine", "1.0")
    monkeypatch.setattr("edge.updates.machine.HERE", machine)
    monkeypatch.setattr("edge.config.Appliance", partial(config.Appliance, data_dir=usual))
    assert __main__.main(["update", "check", "--config", str(path)]) == 0
    assert folder.trial() is None
    assert folder.history()[-1].deed is Deed.WENT_BACK


@pytest.mark.parametrize("which", BROKEN)
def test_root_goes_back_whatever_the_settings_say(path, tmp_path, which, monkeypatch):
    name, text = BROKEN[which]
    usual = tmp_path / "box"
    usual.mkdir()
    if name == "edge.toml":
        path.write_text(text)
    else:
        (usual / name).write_text(text)
    folder = Folder(usual)
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another"))
    folder.write_order(Order(act="return", version="1.1"))
    linux = tmp_path / "esp" / "EFI" / "Linux"
    linux.mkdir(parents=True)
    for each in ("edge_1.0.efi", "edge_1.1+2-1.efi"):
        (linux / each).write_bytes(b"it starts")
    restarts = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("edge.updates.held.LOCK", tmp_path / "lock")
    monkeypatch.setattr("edge.updates.machine.HERE", place_of(tmp_path / "machine", "1.1"))
    monkeypatch.setattr("edge.config.Appliance", partial(config.Appliance, data_dir=usual))
    monkeypatch.setattr("edge.updates.helper.loader_of", lambda _: Uefi(tmp_path / "esp"))
    monkeypatch.setattr("edge.updates.helper.restart_machine", restarts.append)
    assert __main__.main(["update", "take", "--config", str(path)]) == 0
    assert [each.name for each in linux.iterdir()] == ["edge_1.0.efi"]
    assert restarts == [()]
    assert __main__.main(["update", "take", "--back", "--config", str(path)]) == 0
    assert restarts == [()]  # there is nothing left to go back from


@pytest.mark.parametrize("how", ["--force", "--back"])
def test_one_root_writes_at_a_time(path, tmp_path, how, monkeypatch, capsys):
    """The unit waits for as long as it takes; who sits there is told; a gate's end has an end."""
    folder = Folder(tmp_path / "box")
    (tmp_path / "box").mkdir()
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="another"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("edge.updates.machine.HERE", place_of(tmp_path / "machine", "1.1"))
    monkeypatch.setattr("edge.updates.held.LOCK", tmp_path / "lock")
    monkeypatch.setattr("edge.commands.update_units._BACK", 0.3)
    words = ["update", "take", how, *(["1.2.edgeupdate"] if how == "--force" else [])]
    with alone(tmp_path / "lock", 0.0):
        assert __main__.main([*words, "--config", str(path)]) == 1
    assert "another update is being written" in capsys.readouterr().err
    assert folder.trial() is not None


def test_root_reads_no_settings_that_the_service_may_write(path, tmp_path):
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "settings.toml").write_text('[appliance]\nname = "x"\n[[[')
    data_dir, keys = _of_the_machine(path)
    assert data_dir == tmp_path / "box"
    with pytest.raises(UpdateRefused, match="no key for updates"):
        keys()
    path.write_text("[[[")
    _, keys = _of_the_machine(path)
    with pytest.raises(UpdateRefused, match="whose updates are believed can't be read"):
        keys()


@contextlib.asynccontextmanager
async def answering(folder, how):
    """A service of which it is asked whether the machine may start anew."""

    async def refuses(_):
        raise EdgeError("not now")

    async def busy(_):
        return {"restart": False}

    async def quiet(_):
        return {"restart": True}

    async def never(_):
        raise AssertionError

    waiting = Waiting(Needs.PASSPHRASE, "its passphrase is needed")
    more = when_locked(lambda: waiting, never, never) if how == "locked" else ()
    acts = {"refuses": refuses, "busy": busy, "quiet": quiet}
    acts = {"update": acts[how]} if how in acts else {}
    async with local_door(folder, dict, acts=acts, more=more):
        yield


@pytest.mark.parametrize(
    ("how", "may"),
    [("quiet", True), ("busy", False), ("refuses", False), ("begins", False), ("locked", True)],
)
async def test_the_machine_starts_anew_only_if_nothing_comes_in_for_certain(tmp_path, how, may):
    async with answering(tmp_path, how):
        assert await asyncio.to_thread(_may_restart, tmp_path) is may


async def test_without_a_service_nothing_comes_in(tmp_path):
    assert await asyncio.to_thread(_may_restart, tmp_path)


async def test_an_upload_is_waited_for_and_none_begins_any_more(settings, path):
    """By HTTP, whether an instance of it arrives at this moment or not; by DIMSE, too."""
    async with Appliance(settings) as box:
        token = await box.cache.tokens.create(Role.ADMIN, "uploads")
        asked = partial(asyncio.to_thread, _may_restart, settings.appliance.data_dir)
        reader, writer = await asyncio.open_connection("127.0.0.1", box.http_port)
        head = (
            "POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n"
            'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\n\r\n--x\r\n'
        )
        writer.write(head.encode())
        await until(lambda: not box.http.is_quiet)
        assert box.cache.database is not None
        assert not await asked()
        writer.write(b"x" * 95)
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        writer.close()
        await until(lambda: box.http.is_quiet)
        assert await asked()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{box.http_port}", timeout=60
        ) as client:
            answer = await client.post(
                "/dicom-web/studies",
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": 'multipart/related; type="application/dicom"; boundary=x',
                },
                content=b"--x--",
            )
        assert answer.status_code == httpx.codes.INSUFFICIENT_STORAGE
        assert "starts anew" in answer.text
        assert box.dimse._shared.connections.turns_away


@pytest.mark.parametrize(("blocks", "status"), [("sleep", 0), ("stuck", 1)])
def test_a_gate_in_which_nothing_goes_on_any_more_ends(blocks, status):
    program = f"""
import asyncio, time
from edge.commands import update_units

async def gate():
    with update_units._ended_if_stuck():
        await asyncio.sleep(2)
        if {blocks!r} == "stuck":
            time.sleep(60)
    time.sleep(2)  # nothing is armed any more

update_units._STUCK = 1.5
asyncio.run(gate())
"""
    ran = [sys.executable, "-c", program]
    ended = subprocess.run(ran, check=False, capture_output=True, timeout=50)
    assert ended.returncode == status, ended.stderr

"""A command that changes something, or shows patients, is in the audit with who ran it."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

import pytest

from edge import config
from edge.access.audit.entry import Event, Kind, Outcome
from edge.access.audit.search import Asked, search
from edge.app import Appliance
from edge.commands.witness import entry_of, who, witnessed
from edge.errors import DecisionRefused, StorageFull


@pytest.fixture
async def loaded(tmp_path):
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )
    async with Appliance(loaded):
        pass  # there is a box now
    return loaded


def options(**fields):
    usual = {"command": "trash", "act": "empty", "run": print, "config": None, "json": True}
    return argparse.Namespace(**usual, **fields)


def test_an_entry_says_how_the_command_was_called(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "nurse")
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.7 4711 10.0.0.1 22")
    given = options(
        study="1.2.3", yes=True, sop_uids=["1"] * 11, few=["a", "b"], to=Path("/x"), none=None
    )
    entry = entry_of(given, Event.DELETED, {"target": "t", "more": "m"})
    assert (entry.what, entry.about.study_uid, entry.target) == ("edge trash empty", "1.2.3", "t")
    assert entry.detail == {
        "yes": "True",
        "sop_uids": "11",
        "few": "a, b",
        "to": "/x",
        "more": "m",
    }
    assert (entry.actor.kind, entry.actor.address) == (Kind.MACHINE, "10.0.0.7")
    assert entry.actor.name == f"nurse as {getpass.getuser()}"


def test_a_user_without_a_name_and_a_hostile_environment_hurt_nothing(monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    monkeypatch.setenv("SUDO_USER", "a\nb")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert (who().name, who().address) == ("uid 4000000", "")


@pytest.mark.blocks  # the test looks into the files
async def test_what_is_done_is_on_the_disk_and_a_deletion_is_announced(loaded):
    async with witnessed(options(), loaded, Event.DELETED) as (cache, said):
        said["images"] = "3"
        [begun] = search(cache.audit.folder, Asked(event=Event.DELETING), 10)
        assert "images" not in begun.detail
    [done] = search(cache.audit.folder, Asked(event=Event.DELETED), 10)
    assert done.detail["images"] == "3"


@pytest.mark.blocks
async def test_what_is_refused_is_told_with_the_reason(loaded):
    with pytest.raises(DecisionRefused):
        async with witnessed(options(), loaded) as (cache, _):
            raise DecisionRefused("it is not clear which")
    [told] = search(cache.audit.folder, Asked(event=Event.COMMAND), 10)
    assert (told.outcome, told.reason) == (Outcome.REFUSED, "it is not clear which")


@pytest.mark.blocks
async def test_what_can_not_be_told_is_not_shown(loaded, monkeypatch):
    def full(self, contents, known):
        raise StorageFull("the disk is full")

    with pytest.raises(StorageFull):
        async with witnessed(options(), loaded, Event.QUERIED):
            monkeypatch.setattr("edge.access.audit.folder.AuditFolder.append", full)

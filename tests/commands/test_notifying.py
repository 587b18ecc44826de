"""systemd is told how the service is, if it wants to know."""

from __future__ import annotations

import socket

import pytest

from edge.commands.notifying import notify


@pytest.fixture
def told(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "notify"))
        door.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield lambda: door.recv(1000)


def test_a_service_that_waits_to_be_opened_has_started(told):
    notify("locked: it waits for its passphrase\nand more")
    assert told() == b"READY=1\nSTATUS=locked: it waits for its passphrase\n"
    notify("ready")
    assert told() == b"READY=1\nSTATUS=ready\n"
    notify("stopping")
    assert told() == b"STOPPING=1\nSTATUS=stopping\n"


@pytest.mark.parametrize("address", ["", "nonsense", "/nobody/listens", "@nobody-listens"])
def test_without_anybody_who_wants_to_know_nothing_happens(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("ready")

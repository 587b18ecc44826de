"""What systemd hears, and that it hears of life only where there is some."""

from __future__ import annotations

import asyncio
import os
import resource
import socket

import pytest

from edge.errors import EdgeError, StorageFull
from edge.systemd import Systemd, keep_watch
from tests.journeys.service import Installation


class Manager:
    """The other end."""

    def __init__(self, address):
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind(address)
        self._door.settimeout(30)

    def hear(self):
        return self._door.recv(4096).decode().splitlines()

    def heard(self):
        """All that waits."""
        self._door.setblocking(False)
        found = []
        try:
            while True:
                found += self.hear()
        except BlockingIOError:
            return found
        finally:
            self._door.settimeout(30)

    def close(self):
        self._door.close()


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def environ(tmp_path):
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "8000000"}


def test_it_hears_of_every_stage(manager, environ):
    systemd = Systemd(environ)
    systemd.opening()
    assert manager.hear() == ["STATUS=opens what is here", "WATCHDOG_USEC=2592000000000"]
    systemd.ready()
    assert manager.hear() == ["READY=1", "STATUS=runs", "WATCHDOG_USEC=8000000"]
    systemd.alive("in trouble:\npush")
    assert manager.hear() == ["WATCHDOG=1", "STATUS=in trouble: push"]
    systemd.stopping()
    assert manager.hear() == ["STOPPING=1", "STATUS=stops"]


def test_a_service_that_waits_to_be_opened_has_started_and_is_not_ended_for_it(manager, environ):
    Systemd(environ).waiting("locked: it waits for its passphrase\nand more")
    assert manager.hear() == [
        "READY=1",
        "STATUS=locked: it waits for its passphrase and more",
        "WATCHDOG_USEC=2592000000000",
    ]


@pytest.mark.parametrize("address", ["", "nonsense", "/nobody/listens", "@nobody-listens"])
def test_without_anybody_who_wants_to_know_nothing_happens(address):
    Systemd({"NOTIFY_SOCKET": address}).ready()


def test_a_socket_may_have_an_abstract_name():
    name = f"@edge-test-{os.getpid()}"
    manager = Manager(f"\0{name[1:]}")
    Systemd({"NOTIFY_SOCKET": name}).ready()
    assert manager.hear() == ["READY=1", "STATUS=runs"]
    manager.close()


def test_who_was_not_started_by_it_tells_nobody():
    systemd = Systemd({})
    systemd.ready()
    assert systemd.watch_seconds is None


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_how_long_it_waits(environ, seconds):
    assert Systemd(environ).watch_seconds == seconds


def test_a_manager_that_does_not_listen_is_told_of_once(environ, caplog):
    systemd = Systemd(environ)
    for _ in range(3):
        systemd.ready()
    assert caplog.text.count("systemd can't be told") == 1


async def test_life_is_told_after_it_is_proved_and_only_then(manager, environ):
    proofs = 0

    async def prove():
        nonlocal proofs
        proofs += 1
        if proofs == 2:
            raise StorageFull("full")  # it lives, and says no
        if proofs == 4:
            raise EdgeError("broken")

    with pytest.raises(EdgeError, match="broken"):
        await keep_watch(Systemd(environ), 0.04, prove, lambda: "runs")
    assert manager.heard() == ["WATCHDOG=1", "STATUS=runs"] * 3


async def test_who_hangs_tells_nothing(manager, environ):
    async def hang():
        await asyncio.Event().wait()

    watch = asyncio.create_task(keep_watch(Systemd(environ), 0.01, hang, lambda: "runs"))
    await asyncio.sleep(0.1)
    watch.cancel()
    assert manager.heard() == []


async def test_a_service_tells_it_by_commits_to_its_index(manager, environ, tmp_path, monkeypatch):
    for name, value in (environ | {"WATCHDOG_USEC": "400000"}).items():
        monkeypatch.setenv(name, value)
    installation = Installation(tmp_path / "box")
    await installation.start()

    def until(word):
        while word not in (heard := manager.hear()):
            pass
        return heard

    assert "STATUS=runs" in await asyncio.to_thread(until, "READY=1")
    await asyncio.to_thread(until, "WATCHDOG=1")
    ended = await installation.stop()
    assert ended.status == 0
    assert "STOPPING=1" in manager.heard()[-2:]
    assert ("RUNNING AS ROOT" in ended.err) is (os.geteuid() == 0)


async def test_it_leaves_no_core_dump(tmp_path):
    installation = Installation(tmp_path / "box")
    await installation.start()
    try:
        limit = resource.prlimit(installation.process.pid, resource.RLIMIT_CORE)
        assert limit == (0, 0)
    finally:
        await installation.stop()

"""Certificates that are looked after while the service runs."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from edge.access import renewals
from edge.access.renewals import Renewals
from edge.errors import ConfigError

DAY = 86400.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Load:
    """Counts, and fails while it is told to."""

    def __init__(self):
        self.calls = 0
        self.error = None
        self.called = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self):
        self.calls += 1
        self._loop.call_soon_threadsafe(self.called.set)
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def looking(monkeypatch, clock):
    monkeypatch.setattr(renewals, "_LOOK", 0.0)
    return Renewals(clock=clock)


@contextlib.asynccontextmanager
async def running(kept):
    task = asyncio.ensure_future(kept.run())
    try:
        async with asyncio.timeout(60):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_once_a_day_each_is_called_though_one_fails(looking, clock):
    bad, good = Load(), Load()
    assert not looking
    looking.add(bad)
    looking.add(good)
    assert looking
    bad.error = ConfigError("the file is gone")
    async with running(looking):
        clock.now += DAY - 1
        await asyncio.sleep(0.05)
        assert (bad.calls, good.calls) == (0, 0)
        clock.now += 1
        await bad.called.wait()
        await good.called.wait()
        assert good.calls == 1


async def test_what_fails_for_a_minute_is_told(looking, clock):
    load = Load()
    looking.add(load)
    load.error = ConfigError("the file is gone")
    clock.now += DAY
    async with running(looking) as task:
        await load.called.wait()
        load.called.clear()
        await load.called.wait()  # it is tried again
        assert not task.done()
        clock.now += 60
        with pytest.raises(ConfigError, match="the file is gone"):
            await task
    # The part is started again, and fails as long as nothing is mended.
    async with running(looking) as task:
        with pytest.raises(ConfigError, match="the file is gone"):
            await task
    load.error = None
    load.called.clear()
    async with running(looking) as task:
        await load.called.wait()
        calls = load.calls
        await asyncio.sleep(0.05)
        assert load.calls == calls
        assert not task.done()


async def test_a_file_that_is_replaced_is_loaded(looking, tmp_path):
    certificate, key = tmp_path / "a.crt", tmp_path / "a.key"
    certificate.write_text("old")
    load, other = Load(), Load()
    await asyncio.to_thread(looking.add, load, [certificate, key])
    await asyncio.to_thread(looking.add, other, [tmp_path / "b.crt"])
    async with running(looking):
        await asyncio.sleep(0.05)
        assert load.calls == 0
        for change in (
            lambda: certificate.write_text("new"),
            lambda: key.write_text("it came later"),
            key.unlink,
            lambda: (tmp_path / "c").write_text("new") and (tmp_path / "c").replace(certificate),
        ):
            load.called.clear()
            change()
            await load.called.wait()
        assert other.calls == 0


async def test_a_link_that_leads_elsewhere_is_a_file_that_was_replaced(looking, tmp_path):
    """As ACME clients have it: live/box.pem is a link into archive/."""
    for name in ("1.pem", "2.pem"):
        (tmp_path / name).write_text("same length")
    link = tmp_path / "live.pem"
    link.symlink_to("1.pem")
    load = Load()
    await asyncio.to_thread(looking.add, load, [link])
    async with running(looking):
        link.unlink()
        link.symlink_to("2.pem")
        await load.called.wait()


async def test_a_pair_that_does_not_fit_yet_is_tried_again(looking, tmp_path):
    certificate = tmp_path / "a.crt"
    load = Load()
    await asyncio.to_thread(looking.add, load, [certificate])
    load.error = ConfigError("the key does not fit")
    async with running(looking) as task:
        certificate.write_text("new")
        await load.called.wait()
        load.error = None
        load.called.clear()
        await load.called.wait()
        assert not task.done()


async def test_when_it_is_asked_for_each_is_called_at_once_and_what_fails_is_told(looking):
    bad, good = Load(), Load()
    looking.add(bad)
    looking.add(good)
    bad.error = ConfigError("the file is gone")
    with pytest.raises(ConfigError, match="the file is gone"):
        await looking.reload()
    assert (bad.calls, good.calls) == (1, 1)
    bad.error = None
    await looking.reload()
    assert (bad.calls, good.calls) == (2, 2)

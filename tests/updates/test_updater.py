"""The service's part: what is found comes here, waits for a quiet moment, and is ordered."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from types import SimpleNamespace

import pytest

from edge import config
from edge.crypto.secrets import open_secrets, seal_secret
from edge.errors import CloudError, LineClosed, StorageFull, UpdateRefused
from edge.updates.bundle import Bundle
from edge.updates.history import Deed
from edge.updates.journal import Folder, Order, Trial
from edge.updates.means import Means
from edge.updates.standing import Phase
from edge.updates.updater import Updater
from tests.dimse.raw import until
from tests.updates.makers import place_of, shop

PATIENCE = 60.0
SECRET = b"\x01" * 32


@pytest.fixture
async def store(maker):
    async with shop(maker.folder) as opened:
        yield opened


class Box:
    """An updater with what it works with, all of it to be seen."""

    def __init__(self, folder: Folder, place, maker, store, **settings):
        self.folder, self.place = folder, place
        self.settings = config.Update(url=store.url, keys=maker.keys, **settings)
        self.noted, self.away, self.tidied = [], [], []
        self.quiet, self.closed, self.moved = True, False, 0
        self.opened = asyncio.Event()
        self.opened.set()
        self.through = lambda pieces: pieces
        self.updater = self.make()

    def make(self, quiet=1):
        way = SimpleNamespace(gauge=SimpleNamespace(moved=self._moved))
        means = Means(
            opened=lambda settings: open_secrets(settings, SECRET, "update"),
            wait_open=lambda _: self.opened.wait(),
            incoming=self._incoming,
            way=way,
            is_quiet=lambda: self.quiet,
            turn_away=self.away.append,
            reached=self._reached,
            ailing=lambda: ("dropfolder",),
            note=self.noted.append,
            tidy=lambda: self.tidied.append(1),
        )
        return Updater(self.settings, self.folder, means, place=self.place, quiet=quiet)

    def _moved(self, direction, count):
        assert direction == "down"
        self.moved += count

    async def _reached(self):
        return ("cloud",)

    async def _incoming(self, pieces):
        async for piece in self.through(pieces):
            if not self.opened.is_set():
                raise LineClosed("the calendar lets nothing through")
            yield piece

    @contextlib.asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.updater.run())
            try:
                yield self.updater
            finally:
                task.cancel()

    async def until_said(self, what):
        """Until something about how it stands is true."""
        until = time.monotonic() + PATIENCE
        while not what(now := await self.updater.standing()):
            assert time.monotonic() < until, now
            await asyncio.sleep(0.02)
        return now

    async def until(self, phase):
        until = time.monotonic() + PATIENCE
        while (now := await self.updater.standing()).phase is not phase:
            assert time.monotonic() < until, now
            await asyncio.sleep(0.02)
        return now

    async def deeds(self):
        return [entry.deed for entry in await self.do("history")]

    async def do(self, name, *words, **more):
        """Something with the folder, where it holds nobody up."""
        return await asyncio.to_thread(getattr(self.folder, name), *words, **more)


@pytest.fixture
def box(folder, place, maker, store):
    def make(**settings):
        return Box(folder, place, maker, store, **({"by_itself": "look"} | settings))

    return make


async def offer(maker, store, version="1.1", **more):
    await asyncio.to_thread(maker.bundle, version, **more)
    store.list((version, "x86-64", f"{version}.edgeupdate"))


@contextlib.asynccontextmanager
async def busy(box, maker, store):
    """A box that has a version, would install it by itself, and is not quiet; and its updater."""
    await offer(maker, store)
    one = box(by_itself="install", hours=("00:00-24:00",))
    one.quiet = False
    async with one.running() as updater:
        await updater.look()
        await one.until(Phase.WAITING)
        yield one, updater


async def test_it_is_found_fetched_and_ordered_as_somebody_wants_it(box, maker, store):
    await offer(maker, store)
    one = box()
    async with one.running() as updater:
        now = await updater.look()
        assert (now.phase, now.version, now.running) == (Phase.OFFERED, "1.1", "1.0")
        assert now.found.notes["en"] == "What is new in 1.1"
        await updater.download()
        now = await one.until(Phase.READY)
        assert (
            one.folder.bundle("1.1").read_bytes() == (maker.folder / "1.1.edgeupdate").read_bytes()
        )
        assert one.moved >= now.found.bytes
        await updater.install(by="anna")
        await one.until(Phase.WRITING)
        await until(lambda: len(one.noted) == 2)
    order = await one.do("order")
    assert (order.act, order.version, order.file) == ("install", "1.1", "1.1.edgeupdate")
    assert (order.reached, order.ailing, order.by) == (("cloud",), ("dropfolder",), "anna")
    assert await one.deeds() == [Deed.FETCHED, Deed.ORDERED]
    assert [entry.deed for entry in one.noted] == await one.deeds()


async def test_nothing_is_ordered_while_something_comes_in(box, maker, store):
    await offer(maker, store)
    one = box()
    one.quiet = False
    async with one.running() as updater:
        await updater.look()
        await updater.install(by="anna")
        await one.until(Phase.WAITING)
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert (await one.do("order")) is None
        assert not await updater.may_restart()
        assert one.away == []
        one.quiet = True
        await updater.wake()
        await one.until(Phase.WRITING)
        assert await updater.may_restart()
        assert "starts anew" in one.away[0]


async def test_a_download_goes_on_where_it_was_cut(box, maker, store):
    await offer(maker, store, size=9 * 1024**2)
    one = box()
    store.cut_after = 5 * 1024**2
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        until = time.monotonic() + PATIENCE
        while not (now := await updater.standing()).trouble:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        assert now.phase is Phase.FETCHING
        assert 4 * 1024**2 <= now.fetched_bytes <= 5 * 1024**2
    # Power is cut: what lies beyond the known bytes is worth nothing.
    with one.folder.part("1.1").open("ab") as file:
        file.write(bytes(100_000))
    store.cut_after = None
    one.updater = one.make()
    async with one.running():
        now = await one.until(Phase.READY)
    assert now.trouble == ""
    assert (one.folder.bundle("1.1")).read_bytes() == (maker.folder / "1.1.edgeupdate").read_bytes()
    begun = [int(wanted[6:].split("-")[0]) for _, wanted in store.asked if wanted.endswith("-")]
    assert begun[-1] >= 4 * 1024**2


async def test_it_comes_when_the_calendar_opens_and_stops_when_that_closes(box, maker, store):
    await offer(maker, store, size=9 * 1024**2)
    one = box()
    one.opened.clear()
    async with one.running() as updater:
        await updater.look()
        before = store.sent
        await updater.download()
        await one.until(Phase.FETCHING)
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert store.sent == before
        one.opened.set()
        await one.until(Phase.READY)


async def test_it_is_cancelled_and_wanted_again(box, maker, store):
    await offer(maker, store)
    one = box(by_itself="download")
    one.opened.clear()
    async with one.running() as updater:
        await updater.look()
        await one.until(Phase.FETCHING)
        now = await updater.cancel(by="anna")
        assert now.phase is Phase.OFFERED
        await updater.wake()
        for _ in range(10):
            await asyncio.sleep(0.01)
        # What a person did not want is not begun again by itself.
        assert (await updater.standing()).phase is Phase.OFFERED
        with pytest.raises(UpdateRefused, match="no update is under way"):
            await updater.cancel()
        one.opened.set()
        await updater.download()
        await one.until(Phase.READY)
    assert await one.deeds() == [Deed.CANCELLED, Deed.FETCHED]


@pytest.mark.parametrize("act", ["keep", "return", "try"])
async def test_what_the_gate_ordered_is_not_cancelled(box, maker, store, act):
    await offer(maker, store)
    one, order = box(), Order(act=act, version="1.0")
    await one.do("write_order", order)
    with pytest.raises(UpdateRefused, match="no update is under way"):
        await one.updater.cancel(by="anna")
    await one.updater.look()
    await one.updater.download()
    await one.updater.cancel(by="anna")
    assert await one.do("order") == order


async def test_the_box_installs_by_itself_in_its_hours_alone(box, maker, store):
    await offer(maker, store)
    never = box(by_itself="install", hours=())
    async with never.running() as updater:
        await updater.look()
        await never.until(Phase.READY)
        await updater.wake()
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert (await updater.standing()).phase is Phase.READY
    always = box(by_itself="install", hours=("00:00-24:00",))
    async with always.running():
        await always.until(Phase.WRITING)
    assert (await always.do("order")).by == "edge"


async def test_what_somebody_took_back_the_box_does_not_install_by_itself(box, maker, store):
    async with busy(box, maker, store) as (one, updater):
        assert (await updater.cancel(by="anna")).phase is Phase.READY
        one.quiet = True
        for _ in range(3):
            await updater.wake()
            for _ in range(5):
                await asyncio.sleep(0.01)
        assert (await updater.standing()).phase is Phase.READY
        await updater.install(by="anna")
        await one.until(Phase.WRITING)


async def test_a_crash_while_it_is_taken_back_leaves_it_taken_back(box, maker, store, monkeypatch):
    await offer(maker, store)
    one = box()
    one.quiet = False
    async with one.running() as updater:
        await updater.look()
        await updater.install(by="anna")
        await one.until(Phase.WAITING)
        with monkeypatch.context() as patched:
            patched.setattr(one.folder, "write_state", Folder.order)  # that does not write it
            patched.setattr(updater._kept, "change", _cut)
            with pytest.raises(ConnectionError):
                await updater.cancel(by="anna")
    one.quiet = True
    again = box()
    again.updater = again.make(quiet=0)
    async with again.running():
        await again.until(Phase.READY)
    assert await again.do("order") is None


async def _cut(**_):
    raise ConnectionError("the power is cut")


async def test_what_failed_is_not_taken_again_by_itself(box, maker, store):
    await offer(maker, store)
    one = box(by_itself="install", hours=("00:00-24:00",))
    await one.do("note", Deed.BAD, "1.1", why="images: it is not drawn")
    await one.do("note", Deed.WENT_BACK, "1.1")
    async with one.running() as updater:
        now = await updater.look()
        assert now.failure.went_back
        assert now.failure.why == "images: it is not drawn"
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert (await updater.standing()).phase is Phase.OFFERED
        with pytest.raises(UpdateRefused, match=r"1\.1 has failed: images: it is not drawn"):
            await updater.install(by="anna")
        # A newer one is another matter, and so is a person who insists.
        await updater.install(again=True, by="anna")
        await one.until(Phase.WRITING)
        await one.do("drop_order")
        await offer(maker, store, "1.2")
        await updater.look()
        await one.until(Phase.WRITING)
    assert (await one.do("order")).version == "1.2"


async def test_what_came_and_is_not_what_it_should_be_is_thrown_away(box, maker, store):
    await offer(maker, store)
    one = box()
    async with one.running() as updater:
        await updater.look()
        path = maker.folder / "1.1.edgeupdate"
        data = bytearray(path.read_bytes())
        data[-10] ^= 1
        path.write_bytes(data)
        await updater.download()
        until = time.monotonic() + PATIENCE
        while Deed.UNUSABLE not in await one.deeds():
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        now = await one.until(Phase.OFFERED)
        assert "is damaged" in now.failure.why
    assert not one.folder.bundle("1.1").exists()
    assert not one.folder.part("1.1").exists()


async def test_what_was_brought_is_taken_in_if_it_is_newer_and_proven(box, maker, store):
    one = box()
    await one.do("make")
    for version, name in (("1.2", "1.2"), ("1.1", "1.1"), ("0.9", "0.9"), ("1.3", "9.9")):
        made = f"{version}-made.edgeupdate"
        path = await asyncio.to_thread(maker.bundle, version, minimum="0.1", name=made)
        path.rename(one.folder.path / f"{name}.edgeupdate")
    (one.folder.path / "5.0.edgeupdate").write_bytes(b"rubbish")
    async with one.running():
        now = await one.until(Phase.READY)
    assert now.version == "1.2"
    assert [path.name for path in (await one.do("whole"))] == ["1.2.edgeupdate"]


async def test_a_version_that_runs_by_now_is_let_go(box, maker, store, tmp_path):
    await offer(maker, store)
    one = box()
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        await one.until(Phase.READY)
    one.place = place_of(tmp_path / "machine", "1.1", boot="second")
    await one.do("note", Deed.GOOD, "1.1", before="1.0")
    one.updater = one.make()
    async with one.running():
        now = await one.until(Phase.NONE)
        await until(lambda: one.noted[-1].deed is Deed.GOOD)
        async with asyncio.timeout(PATIENCE):
            while await one.do("whole"):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
    assert (now.running, now.found) == ("1.1", None)


async def test_while_one_is_on_trial_nothing_else_is_begun(box, maker, store):
    await offer(maker, store)
    one = box()
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        await one.until(Phase.READY)
        await one.do("write_trial", Trial(version="1.1", before="1.0", boot_id="first"))
        assert (await updater.standing()).phase is Phase.TRIAL
        with pytest.raises(UpdateRefused, match="on trial"):
            await updater.install(by="anna")
        with pytest.raises(UpdateRefused, match="is written already"):
            await updater.cancel()


async def test_a_machine_without_slots_is_told_to_use_its_packages(folder, maker, store, tmp_path):
    await offer(maker, store, "99.0", minimum="0")
    place = place_of(tmp_path / "other", image="debian")
    one = Box(folder, place, maker, store, by_itself="install", hours=("00:00-24:00",))
    async with one.running() as updater:
        now = await updater.look()
        assert (now.phase, now.is_image) == (Phase.OFFERED, False)
        with pytest.raises(UpdateRefused, match="not made from the disk image"):
            await updater.download()
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert (await updater.standing()).phase is Phase.OFFERED


async def test_what_the_server_has_removed_holds_up_nothing(box, maker, store):
    await offer(maker, store)
    one = box(by_itself="download")
    one.opened.clear()
    async with one.running() as updater:
        await updater.look()
        await one.until(Phase.FETCHING)
        await updater.install(by="anna")
        (maker.folder / "1.1.edgeupdate").unlink()
        one.opened.set()
        now = await one.until(Phase.NONE)
        assert now.trouble == "version 1.1 is not on the server of updates any more"
        assert now.hint == "look for one again: it may have another by now"
        await offer(maker, store, "1.2")
        await updater.look()
        now = await one.until(Phase.READY)
        assert (now.version, now.trouble) == ("1.2", "")
    assert Deed.UNUSABLE not in await one.deeds()  # nothing is wrong with the version itself
    assert one.tidied == [1]


async def test_a_newer_one_takes_the_place_of_what_is_coming(box, maker, store):
    await offer(maker, store, size=9 * 1024**2)
    one = box()
    store.cut_after = 5 * 1024**2
    async with one.running() as updater:
        await updater.look()
        await updater.install(by="anna")
        until = time.monotonic() + PATIENCE
        while not (await updater.standing()).trouble:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        assert one.folder.part("1.1").exists()
        store.cut_after = None
        await offer(maker, store, "1.2")
        await updater.look()
        await one.until(Phase.WRITING)
    order = await one.do("order")
    assert (order.version, order.by) == ("1.2", "anna")
    assert not one.folder.part("1.1").exists()
    assert Deed.FETCHED in await one.deeds()


@pytest.mark.parametrize("deed", [Deed.BAD, Deed.CANCELLED])
async def test_what_failed_or_nobody_wanted_takes_no_place(box, maker, store, deed):
    await offer(maker, store)
    one = box()
    one.opened.clear()
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        await offer(maker, store, "1.2")
        await one.do("note", deed, "1.2")
        now = await updater.look()
        assert (now.phase, now.version) == (Phase.FETCHING, "1.1")


async def test_the_same_version_in_another_file_begins_anew(box, maker, store):
    await offer(maker, store, size=9 * 1024**2)
    one = box()
    store.cut_after = 5 * 1024**2
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        until = time.monotonic() + PATIENCE
        while not (await updater.standing()).trouble:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        store.cut_after, store.etag = None, '"two"'
        await updater.look()
        await one.until(Phase.READY)
    assert await one.deeds() == [Deed.FETCHED]


async def test_an_order_that_proves_somebody_else_right_is_not_cancelled(box, maker, store):
    await offer(maker, store)
    one = box()
    async with one.running() as updater:
        await one.do("write_order", Order(act="keep", version="1.0"))
        with pytest.raises(UpdateRefused, match="no update is under way"):
            await updater.cancel(by="anna")
    assert (await one.do("order")).act == "keep"


async def test_a_disk_that_is_full_stops_nothing_else(box, maker, store, monkeypatch):
    await offer(maker, store)
    one = box()

    def full(*_):
        raise OSError(28, "No space left on device")

    async with one.running() as updater:
        with monkeypatch.context() as patched:
            patched.setattr(one.folder, "_write", full)
            with pytest.raises(StorageFull, match="can't be kept: No space left"):
                await updater.look()
        await updater.look()
        await updater.download()
        await one.until(Phase.READY)


async def test_without_a_server_it_is_said_how_updates_come(folder, place, maker, store):
    one = Box(folder, place, maker, store)
    one.settings = config.Update(keys=maker.keys)
    one.updater = one.make()
    with pytest.raises(UpdateRefused, match="no server of updates"):
        await one.updater.look()
    with pytest.raises(UpdateRefused, match="no update is known"):
        await one.updater.download()


async def test_a_look_that_fails_is_known_until_one_succeeds(box, maker, store):
    await offer(maker, store)
    one = box()
    store.status = 503
    with pytest.raises(CloudError):
        await one.updater.look()
    one.updater = one.make()  # and the service starts anew
    now = await one.updater.standing()
    assert now.unlooked.why.startswith("the server of updates answered 503")
    assert now.unlooked.hint == "it is busy, or being restarted"
    with pytest.raises(CloudError):
        await one.updater.look()
    assert (await one.updater.standing()).unlooked.since == now.unlooked.since
    one.settings = config.Update(keys=maker.keys)
    one.updater = one.make()
    assert (await one.updater.standing()).unlooked is None  # nobody is asked any more
    one.settings = config.Update(url=store.url, keys=maker.keys, by_itself="look")
    one.updater = one.make()
    store.status = 0
    assert (await one.updater.look()).unlooked is None


async def test_a_login_at_the_proxy_that_can_t_be_opened_is_in_the_way_of_updates_alone(
    box, maker, store, tmp_path
):
    await offer(maker, store)
    file = tmp_path / "password"
    one = box(proxy_user="box", proxy_password=f"file:{file}")
    with pytest.raises(UpdateRefused, match=r"update\.proxy_password: the file .* can't be read"):
        await one.updater.look()
    now = await one.updater.standing()
    assert now.unlooked.why.startswith("update.proxy_password")
    assert "must be able to read it" in now.unlooked.hint
    # What it says is read when it is needed: it is mended without another start.
    file.write_text("right")
    assert (await one.updater.look()).phase is Phase.OFFERED
    one.settings = config.Update(
        url=store.url, keys=maker.keys, by_itself="look",
        proxy_user="box", proxy_password=seal_secret("right", b"\x02" * 32),
    )  # fmt: skip
    one.updater = one.make()
    with pytest.raises(UpdateRefused, match="was sealed on another box"):
        await one.updater.look()


@pytest.mark.parametrize("wrong", ["proxy_password", "tls_ca"])
async def test_a_download_waits_for_a_setting_that_can_be_used(box, maker, store, tmp_path, wrong):
    await offer(maker, store)
    one = box()
    await one.updater.look()
    if wrong == "tls_ca":
        more = {"tls_ca": tmp_path / "none.pem"}
    else:
        more = {"proxy_user": "box", "proxy_password": "sealed:AQ"}
    good = one.settings
    one.settings = config.Update(url=store.url, keys=maker.keys, by_itself="look", **more)
    one.updater = one.make()
    async with one.running() as updater:
        await updater.download(by="anna")
        now = await one.until_said(lambda now: now.trouble)
        assert (now.phase, now.version) == (Phase.FETCHING, "1.1")
        assert now.trouble.startswith(f"update.{wrong}")
        assert now.next_try
    assert Deed.UNUSABLE not in await one.deeds()  # nothing is wrong with the version itself
    one.settings = good
    one.updater = one.make()
    async with one.running():
        await one.until(Phase.READY)


async def test_a_server_that_is_not_there_is_called_by_its_name(box, maker, store):
    one = box()
    one.settings = config.Update(url="http://127.0.0.1:1/", keys=maker.keys)
    one.updater = one.make()
    with pytest.raises(CloudError) as caught:
        await one.updater.look()
    assert caught.value.hint == "the server of updates is not running, or this is not its port"


async def test_a_newer_one_than_what_is_here_is_told_and_taken(box, maker, store):
    await offer(maker, store)
    one = box()
    async with one.running() as updater:
        await updater.look()
        await updater.download(by="anna")
        await one.until(Phase.READY)
        await offer(maker, store, "1.2", security=True)
        now = await updater.look()
        assert (now.phase, now.version, now.here) == (Phase.OFFERED, "1.2", "1.1")
        assert now.found.security
        # Who wants the older one written hears of the newer one all the same.
        one.quiet = False
        now = await updater.install("1.1", by="anna")
        assert (now.phase, now.version, now.newer.version) == (Phase.WAITING, "1.1", "1.2")
        await updater.cancel(by="anna")
        one.quiet = True
        await updater.install(by="anna")
        await one.until(Phase.WRITING)
    assert (await one.do("order")).version == "1.2"


async def test_a_newer_one_that_has_failed_hides_none_that_is_here(box, maker, store):
    await offer(maker, store)
    one = box()
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        await one.until(Phase.READY)
        await offer(maker, store, "1.2")
        await one.do("note", Deed.BAD, "1.2", why="images: they are not drawn")
        now = await updater.look()
        assert (now.phase, now.version, now.newer.version) == (Phase.READY, "1.1", "1.2")
        assert not now.needs_again


async def test_a_damaged_one_is_fetched_once_and_again_if_a_person_says_so(box, maker, store):
    path = await asyncio.to_thread(maker.bundle, "1.1")
    store.list(("1.1", "x86-64", path.name))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:])
    one = box(by_itself="download")
    async with one.running() as updater:
        await updater.look()
        now = await one.until_said(lambda now: now.failure)
        assert (now.phase, now.trouble, now.needs_again) == (Phase.OFFERED, "", True)
        assert now.failure.is_final
        assert now.failure.why.endswith("of the update is damaged; get the update again")
        before = store.sent
        for _ in range(5):
            await updater.wake()
            for _ in range(5):
                await asyncio.sleep(0.01)
        assert store.sent == before
        assert (await one.deeds()).count(Deed.UNUSABLE) == 1
        with pytest.raises(UpdateRefused) as refused:
            await updater.download()
        assert "--again" in refused.value.hint
        path.write_bytes(whole)
        one.opened.clear()
        await updater.download(again=True, by="anna")
        # Nobody is told that it could not be taken while it is.
        assert (await updater.standing()).failure is None
        one.opened.set()
        now = await one.until(Phase.READY)
        assert now.failure is None
    last = (await one.do("history"))[-1]
    assert (last.deed, last.by) == (Deed.FETCHED, "anna")


async def test_one_of_two_files_is_fetched_anew_later_and_by_itself(box, maker, store, monkeypatch):
    """It was cut, and the server had another file by then, and said nothing of it."""
    monkeypatch.setattr("edge.updates.coming._FIRST", 0.05)
    await offer(maker, store, size=9 * 1024**2)
    one = box(by_itself="download")
    store.etag, store.cut_after = "", 5 * 1024**2
    async with one.running() as updater:
        await updater.look()
        now = await one.until_said(lambda now: now.trouble)
        with one.folder.part("1.1").open("r+b") as file:
            file.seek(2 * 1024**2)
            file.write(b"of the other file")
        store.cut_after = None
        now = await one.until(Phase.READY)
    assert await one.deeds() == [Deed.UNUSABLE, Deed.FETCHED]
    assert (now.trouble, now.failure) == ("", None)
    assert (await one.do("history"))[-1].by == "edge"


async def test_what_broke_off_says_when_it_goes_on_and_nothing_once_it_does(box, maker, store):
    await offer(maker, store, size=20 * 1024**2)
    one = box()
    store.cut_after = 5 * 1024**2
    async with one.running() as updater:
        await updater.look()
        await updater.install(by="anna")
        now = await one.until_said(lambda now: now.trouble)
        assert now.next_try > time.time()
        assert now.will_install
        one.opened.clear()
        store.cut_after = None
        gate, pieces = asyncio.Event(), 0

        async def incoming(some):
            nonlocal pieces
            async for piece in some:
                pieces += len(piece)
                if pieces > 6 * 1024**2:
                    await gate.wait()
                yield piece

        one.through = incoming
        one.opened.set()
        await updater.wake()
        now = await one.until_said(lambda now: not now.trouble)
        assert (now.phase, now.next_try, now.hint) == (Phase.FETCHING, 0.0, "")
        gate.set()
        await one.until(Phase.WRITING)


async def test_a_full_disk_says_how_much_is_free_and_needed(box, maker, store, monkeypatch):
    await offer(maker, store)
    one = box()
    usage = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    one.updater._coming._reserve = 50_000_000
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        now = await one.until_said(lambda now: now.trouble)
        assert "51 MB have to be free" in now.trouble
        assert now.trouble.endswith("1 MB are")
        assert "delete studies" in now.hint
        usage.free = 10**12
        await updater.wake()
        now = await one.until(Phase.READY)
        assert now.trouble == ""


async def test_a_failure_is_told_of_until_it_is_tried_again(box, maker, store):
    await offer(maker, store)
    one = box()
    one.quiet = False
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        await one.until(Phase.READY)
        await one.do("note", Deed.BAD, "1.1", why="images: they are not drawn")
        await one.do("note", Deed.WENT_BACK, "1.1")
        now = await updater.standing()
        assert (now.failure.went_back, now.needs_again) == (True, True)
        assert (await updater.install(again=True, by="anna")).failure is None
        # Nobody wants it now: it is what it was.
        assert (await updater.cancel(by="anna")).failure.version == "1.1"


@pytest.mark.parametrize("version", ["1.1", "1.2"])
async def test_what_is_brought_is_not_held_up_by_what_comes(box, maker, store, version):
    """The line is bad, which is why somebody brings it."""
    await offer(maker, store, size=9 * 1024**2)
    brought = await asyncio.to_thread(maker.bundle, version, name="brought", size=9 * 1024**2)
    one = box(by_itself="download")
    store.cut_after = 5 * 1024**2
    async with one.running() as updater:
        await updater.look()
        await one.until_said(lambda now: now.trouble)
        one.opened.clear()
        await updater.wake()  # it goes on, and waits for the calendar
        await until(lambda: not one.updater._coming.next_try)
        await asyncio.to_thread(shutil.copy, brought, one.folder.bundle(version))
        await updater.wake()
        now = await one.until(Phase.READY)
        assert (now.version, now.trouble) == (version, "")
        await updater.install(by="anna")
        await one.until(Phase.WRITING)
    assert (await one.do("order")).version == version
    assert not one.folder.part("1.1").exists()


async def test_what_is_proven_while_somebody_brings_something_is_proven_once(
    box, maker, store, monkeypatch
):
    await offer(maker, store)
    one, proving, go_on = box(), threading.Event(), threading.Event()
    prove, who, most = Bundle.prove, [], []

    def slowly(self, stop=lambda: False):
        who.append(1)
        most.append(len(who))
        if not proving.is_set():
            proving.set()
            assert go_on.wait(PATIENCE)
        try:
            prove(self, stop)
        finally:
            who.pop()

    monkeypatch.setattr(Bundle, "prove", slowly)
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        await asyncio.to_thread(proving.wait, PATIENCE)
        await updater.wake()
        for _ in range(20):
            await asyncio.sleep(0.01)
        go_on.set()
        await one.until(Phase.READY)
    assert max(most) == 1
    assert await one.deeds() == [Deed.FETCHED]


async def test_what_took_a_place_keeps_it_or_a_slow_line_has_no_end(box, maker, store):
    """A version a week, and a line that needs longer for one: it is not thrown away twice."""
    for version in ("1.1", "1.2", "1.3"):
        await asyncio.to_thread(maker.bundle, version, size=9 * 1024**2)
    one = box()
    store.cut_after = 5 * 1024**2
    async with one.running() as updater:
        for version in ("1.1", "1.2", "1.3"):
            store.list((version, "x86-64", f"{version}.edgeupdate"))
            await updater.look()
            if version == "1.1":
                await updater.download()
            wanted = min(version, "1.2")
            now = await one.until_said(lambda now: now.trouble)
            assert (now.phase, now.version) == (Phase.FETCHING, wanted)
            assert now.newer is None or (version, now.newer.version) == ("1.3", "1.3")
        store.cut_after = None
        await updater.wake()
        now = await one.until(Phase.OFFERED)
        assert (now.here, now.version) == ("1.2", "1.3")
        await updater.download()  # and the next may be overtaken again
        await one.until(Phase.READY)
    assert await one.deeds() == [Deed.FETCHED, Deed.FETCHED]


async def test_what_the_server_refuses_for_good_keeps_no_place(box, maker, store):
    await offer(maker, store)
    one = box()
    one.opened.clear()
    async with one.running() as updater:
        await updater.look()
        await updater.download()
        await offer(maker, store, "1.2")
        await updater.look()
        store.status = 403
        one.opened.set()
        await one.until_said(lambda now: now.trouble)
        one.opened.clear()
        store.status = 0
        await offer(maker, store, "1.3")
        now = await updater.look()
        assert (now.phase, now.version) == (Phase.FETCHING, "1.3")


async def test_what_is_here_is_installed_before_a_newer_one_comes(box, maker, store):
    """Or a box whose line is slow would never install any."""
    async with busy(box, maker, store) as (one, updater):
        await offer(maker, store, "1.2")
        one.opened.clear()  # it does not come
        await updater.look()
        for _ in range(20):
            await asyncio.sleep(0.01)
        one.quiet = True
        await updater.wake()
        await one.until(Phase.WRITING)
    assert (await one.do("order")).version == "1.1"


async def test_what_was_not_quiet_in_its_hours_waits_for_the_next(box, maker, store):
    """Or the machine would start anew at noon."""
    async with busy(box, maker, store) as (one, updater):
        updater._hours.clear()  # they are over
        await updater.wake()
        await one.until(Phase.READY)
        one.quiet = True
        await updater.wake()
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert (await updater.standing()).phase is Phase.READY
        await updater.install(by="anna")  # who says so needs no hours
        await one.until(Phase.WRITING)
    assert (await one.do("order")).by == "anna"

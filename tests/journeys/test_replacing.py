"""A box without a shell burnt: a stick with its backup and its key makes a new one that box."""

from __future__ import annotations

import asyncio
import shutil
import zlib

import msgspec
import pytest

from edge.access.roles import Role
from edge.cache.backup import LABEL, Backups, reference
from edge.cache.restore import open_backup
from edge.crypto.escrow import Escrow
from edge.crypto.recovery import RecoveryKey
from edge.dicom.raw_data import to_part10
from edge.loading import load
from edge.opening import Cache
from tests.dimse.raw import until
from tests.fakes.archive import FakeArchive
from tests.journeys.service import Installation
from tests.witnesses import recorded

KEY = RecoveryKey(bytes(range(32)))
PAPER = " ".join(KEY.to_groups())
TABLE = f'[setup.restore]\nkey = "{PAPER}"\n'


@pytest.fixture
async def box(tmp_path):
    """One that runs as on the disk image: nothing of it is outside of its folder."""
    made = Installation.as_new(tmp_path / "site")
    text = made.configuration.read_text()
    made.configuration.write_text(text.replace(f'[keys]\npath = "{made.key}"\n', ""))
    yield made
    made.kill()


async def on(box, act):
    loaded = await asyncio.to_thread(load, box.configuration, {})
    async with Cache(loaded) as cache:
        return await act(cache, loaded)


async def burnt(box):
    """The box is used, makes a backup, and is gone; a new one runs in its place."""

    async def use(cache, loaded):
        await cache.tokens.create(Role.VIEWER, "Reading room")
        code = await cache.users.first_code()
        await cache.users.redeem(code.code, "correct horse battery staple", name="anna")
        await asyncio.to_thread(Escrow(cache.folder, cache.keys).keep, KEY.recipient, 1.0)
        made = Backups(loaded, box.configuration, cache.keys, cache.database, environ={})
        return (await made.make())[0]

    own = (box.data / "settings.toml").read_text()
    (box.data / "settings.toml").write_text(f'{own}[appliance]\nname = "radiology"\n')
    await box.start()
    sealed = await on(box, use)
    authority = (box.data / "root.key").read_bytes()
    await box.stop()
    shutil.rmtree(box.data)
    box.data.mkdir()
    (box.data / "settings.toml").write_text(own)
    await box.start()
    return sealed, authority


@pytest.fixture
def stick(tmp_path):
    folder = tmp_path / "stick/EDGE-SETUP"
    folder.mkdir(parents=True)
    return folder


async def plug(box, stick, text, sealed=None):
    (stick / "edge.toml").write_text(text)
    if sealed is not None:
        (stick / "backup.edge").write_bytes(sealed)
    ran = await box.run("provision", "stick", str(stick.parent), "--root", str(stick.parent / "x"))
    return ran, (stick / "result.txt").read_text()


async def names(cache, _):
    return [one.name for one in await cache.tokens.list()]


def leftovers(box):
    return {"restoring", "first-day", "replacing.json", "not-replaced.txt"} & {
        path.name for path in box.data.iterdir()
    }


async def test_a_stick_with_a_backup_makes_a_new_box_the_one_that_burnt(box, stick):
    sealed, root = await burnt(box)
    text = f'{TABLE}file = "BACKUP.edge"\n'
    ran, said = await plug(box, stick, text, sealed)
    assert ran.status == 0, (ran, said, box.log.read_text())
    assert "This box is radiology again." in said
    assert "Name       radiology" in said
    assert PAPER not in said + (stick / "edge.toml").read_text() + box.log.read_text()
    assert (box.data / "root.key").read_bytes() == root
    assert await on(box, names) == ["Reading room"]
    await until(lambda: not leftovers(box))

    async def audited(cache, _):
        return await asyncio.to_thread(recorded, cache)

    [entry] = [one for one in await on(box, audited) if one.what == "edge restore"]
    assert (entry.actor.name, entry.detail["box"]) == ("stick", "radiology")
    # It stays plugged in, and the machine starts anew.
    await box.stop()
    await box.start()
    again = await box.run("provision", "stick", str(stick.parent), "--root", str(stick / "x"))
    assert again.status == 0
    assert "set up by this file before" in (stick / "result.txt").read_text()
    # Nobody takes its place.
    _, said = await plug(box, stick, text)
    assert "set up by this file before" in said
    _, said = await plug(box, stick, f"{text}# another\n")
    assert "set up already" in said
    assert await on(box, names) == ["Reading room"]


@pytest.fixture
async def cloud():
    async with FakeArchive() as archive:
        yield archive


async def test_the_newest_backup_of_an_archive_does(box, stick, cloud):
    sealed, root = await burnt(box)
    for number, content in (7, sealed), (8, sealed[:-1]):
        ref = reference(KEY.recipient, number)
        cloud.put(to_part10(ref, number, 0.0, LABEL, content))
    ran, said = await plug(
        box, stick, f'{TABLE}[[cloud.archive]]\nname = "a"\nurl = "{cloud.url}"\n'
    )
    assert ran.status == 0, (ran, said)
    assert "This box is radiology again." in said
    assert (box.data / "root.key").read_bytes() == root
    assert await on(box, names) == ["Reading room"]


async def test_images_that_came_in_first_are_not_lost(box, stick):
    sealed, root = await burnt(box)

    async def use(cache, _):
        await cache.tokens.create(Role.VIEWER, "CT1")

    await on(box, use)
    ran, said = await plug(box, stick, f'{TABLE}file = "backup.edge"\n', sealed)
    assert ran.status == 1
    assert "images or programs of its own" in said
    assert (box.data / "root.key").read_bytes() != root
    assert await on(box, names) == ["CT1"]


async def test_a_cut_before_the_start_ends_in_one_of_the_two(box, stick):
    sealed, root = await burnt(box)
    before = (box.data / "root.key").read_bytes()
    box.kill()
    text = f'{TABLE}file = "backup.edge"\n'
    ran, said = await plug(box, stick, text, sealed)
    assert ran.status == 0
    assert "becomes radiology again once it has started anew" in said
    assert (box.data / "root.key").read_bytes() == before

    async def use(cache, _):
        await cache.tokens.create(Role.VIEWER, "CT1")

    decided = box.data.with_name("decided")
    shutil.copytree(box.data, decided, ignore=shutil.ignore_patterns("*.sock"))
    # Somebody came in meanwhile: nothing of that is lost.
    await on(box, use)
    await box.start()
    assert await on(box, names) == ["CT1"]
    await until(lambda: leftovers(box) <= {"not-replaced.txt"})
    await box.stop()
    shutil.rmtree(box.data)
    decided.rename(box.data)
    await box.start()
    assert (box.data / "root.key").read_bytes() == root
    assert await on(box, names) == ["Reading room"]
    await until(lambda: not leftovers(box))


async def test_what_does_not_start_gives_the_first_day_back(box, stick):
    sealed, _ = await burnt(box)
    before = (box.data / "root.key").read_bytes()
    contents = open_backup(sealed, KEY)
    files = contents.files | {"objects": b"no folder"}
    broken = msgspec.structs.replace(contents, files=files)
    sealed = KEY.recipient.seal(zlib.compress(msgspec.msgpack.encode(broken)))
    text = f'{TABLE}file = "backup.edge"\n'
    ran, said = await plug(box, stick, text, sealed)
    assert ran.status == 2, (said, box.log.read_text())
    assert "Nothing was changed: the restored box does not start here" in said
    assert (stick / "edge.toml").read_text() == text, "it can be tried again"
    assert (box.data / "root.key").read_bytes() == before
    assert await on(box, names) == []
    assert not leftovers(box)


WRONG = (
    ('[setup.restore]\nkey = "XXXX"\nfile = "backup.edge"\n', "is no recovery key"),
    (f'{TABLE}file = "other.edge"\n', "EDGE-SETUP/other.edge is not there"),
    (f'{TABLE}file = "damaged.edge"\n', "damaged"),
    (TABLE, "must say one place of the backup"),
    (f'{TABLE}file = "backup.edge"\n[appliance]\nname = "x"\n', "the backup has the settings"),
    ('[setup.restore]\nfile = "backup.edge"\n', "says no recovery key"),
    (
        TABLE.replace(PAPER, " ".join(RecoveryKey(bytes(32)).to_groups()))
        + 'file = "backup.edge"\n',
        "sealed for another",
    ),
)


async def test_what_is_wrong_is_said_and_changes_nothing(box, stick):
    sealed, _ = await burnt(box)
    for table, why in WRONG:
        await _refused(box, stick, sealed, table, why)


async def _refused(box, stick, sealed, table, why):
    (stick / "damaged.edge").write_bytes(sealed[:-9])
    ran, said = await plug(box, stick, table, sealed)
    assert ran.status != 0
    assert "Nothing was changed" in said, said
    assert why in said
    assert (stick / "edge.toml").read_text() == table
    assert await on(box, names) == []
    assert not leftovers(box)

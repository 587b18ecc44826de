"""A box from its backup: only where nothing is, and not a byte of it if anything is wrong."""

from __future__ import annotations

import asyncio
import os

import pytest

from edge import loading, others
from edge.access.roles import Role
from edge.access.tokens import Tokens
from edge.app import Appliance
from edge.cache.backup import LABEL, RING, Backups, reference
from edge.cache.restore import newest_in, open_backup, restore, root_key_again
from edge.cloud.dicomweb import DicomwebArchive
from edge.crypto.escrow import Escrow
from edge.crypto.recovery import RecoveryKey
from edge.dicom.raw_data import to_part10
from edge.errors import ConfigError, EdgeError, SealBroken, SecretError, WrongKey
from edge.opening import Cache
from tests.fakes.archive import FakeArchive

KEY = RecoveryKey(bytes(range(32)))


class Site:
    """A box that was, and the place where it shall be again."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        self.root_key = folder / "usb" / "root.key"
        self.file = folder / "etc" / "edge.toml"
        self.text = (
            f'[appliance]\ndata_dir = "{self.data}"\n[keys]\npath = "{self.root_key}"\n'
            '[dimse]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "127.0.0.1:0"\n'
        )
        self.token = ""
        self.authority = b""

    async def make(self):
        """Make the box; its backup. Nothing of it is left then."""
        self.file.parent.mkdir()
        self.file.write_text(self.text)
        async with Appliance(await self.load(), file=self.file) as box:
            cache = box.cache
            await asyncio.to_thread(Escrow(self.data, cache.keys).keep, KEY.recipient, 1.0)
            self.token = await cache.tokens.create(Role.VIEWER, "Reading room")
            self.authority = (self.data / "tls" / "ca.crt").read_bytes()
            made = Backups(await self.load(), self.file, cache.keys, cache.database, environ={})
            sealed, _ = await made.make()
        self.data.rename(self.folder / "stolen")
        self.root_key.unlink()
        self.file.unlink()
        return sealed

    async def load(self):
        return await asyncio.to_thread(loading.load, self.file, {})

    def put(self, contents):
        return restore(contents, self.file, environ={})

    def everything(self):
        """All files but those of the box that is gone."""
        stolen = self.folder / "stolen"
        return {
            path: path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and not path.is_relative_to(stolen) and path.name != "lock"
        }


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
async def contents(site):
    return open_backup(await site.make(), KEY)


async def test_the_box_is_there_again(site, contents):
    done = await site.put(contents)
    assert (done.configuration, done.beside, done.lost) == (site.file, False, 0)
    assert site.file.read_text() == site.text
    assert not (site.data / "restoring").exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in site.everything())
    async with Appliance(await site.load(), file=site.file) as box:
        assert (await box.cache.tokens.verify(site.token)).name == "Reading room"
        assert (site.data / "tls" / "ca.crt").read_bytes() == site.authority
        made = Backups(await site.load(), site.file, box.cache.keys, box.cache.database)
        assert (await made.kept()).recipient == KEY.recipient
        # Its own backups go on, for the same key.
        assert open_backup((await made.make())[0], KEY).box == "edge"


async def test_nothing_of_it_is_taken_for_damaged(site, contents, caplog):
    await site.put(contents)
    async with Appliance(await site.load(), file=site.file):
        assert "damaged" not in caplog.text
    assert (site.data / "recovery.key.copy").read_bytes() == contents.files["recovery.key"]


async def test_it_can_be_read_without_a_service(site, contents):
    await site.put(contents)
    async with Cache(await site.load()) as cache:
        assert isinstance(cache.tokens, Tokens)
        assert len(await cache.tokens.list()) == 1


async def test_a_folder_with_data_is_refused_and_left_alone(site, contents):
    site.data.mkdir()
    (site.data / "anything").touch()
    before = site.everything()
    with pytest.raises(ConfigError, match="is not empty; nothing was changed"):
        await site.put(contents)
    assert site.everything() == before


async def test_a_fresh_disk_is_empty_enough(site, contents):
    (site.data / "lost+found").mkdir(parents=True)
    await site.put(contents)
    assert (site.data / "index.db").exists()


async def test_where_a_service_runs_nothing_is_restored(site, contents):
    site.file.write_text(site.text)
    async with Appliance(await site.load()):
        with pytest.raises(ConfigError, match="is not empty"):
            await site.put(contents)


async def test_another_configuration_stays_in_force(site, contents):
    other = site.text.replace(str(site.data), str(site.folder / "elsewhere"))
    site.file.write_text(other)
    done = await site.put(contents)
    assert (done.beside, done.data_dir) == (True, site.folder / "elsewhere")
    assert site.file.read_text() == other
    assert site.file.with_name("edge.toml.restored").read_text() == site.text
    assert (done.data_dir / "index.db").exists()


async def test_the_same_configuration_is_not_written_twice(site, contents):
    site.file.write_text(site.text)
    done = await site.put(contents)
    assert done.configuration is None
    assert [path.name for path in site.file.parent.iterdir()] == ["edge.toml"]


async def test_an_empty_file_is_no_configuration(site, contents):
    site.file.write_text("\n")
    done = await site.put(contents)
    assert (done.configuration, done.beside) == (site.file, False)
    assert site.file.read_text() == site.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_what_root_restores_is_for_the_user_who_owns_the_folder(site, contents):
    site.data.mkdir()
    os.chown(site.data, 12345, 12345)
    await site.put(contents)
    assert {path.stat().st_uid for path in site.data.rglob("*")} == {12345}
    assert site.file.stat().st_uid == site.root_key.stat().st_uid == 12345


async def test_the_root_key_of_another_box_is_not_overwritten(site, contents):
    site.root_key.write_text("A" * 43 + "=\n")
    site.root_key.chmod(0o600)
    with pytest.raises(WrongKey, match="the root key of another box"):
        await site.put(contents)
    assert site.root_key.read_text() == "A" * 43 + "=\n"
    site.root_key.unlink()
    await site.put(contents)  # what the first attempt left is no obstacle


async def test_a_restore_that_was_cut_short_can_be_done_again(site, contents, monkeypatch):
    steps = []

    def cut(self, target):
        steps.append(self)
        if len(steps) == 3:
            raise OSError("the power went")
        return rename(self, target)

    rename = type(site.file).rename
    with monkeypatch.context() as patched:
        patched.setattr(type(site.file), "rename", cut)
        with pytest.raises(OSError, match="power"):
            await site.put(contents)
    assert not (site.data / "index.db").exists()
    await site.put(contents)
    async with Appliance(await site.load()) as box:
        assert await box.cache.tokens.verify(site.token)


async def test_a_backup_that_names_files_elsewhere_writes_none(site, contents):
    contents.files["../outside"] = b"x"
    with pytest.raises(SecretError, match="outside of its folder"):
        await site.put(contents)
    assert not (site.folder / "outside").exists()
    del contents.files["../outside"]
    contents.files[RING] = b"nothing"
    with pytest.raises(SecretError):
        await site.put(contents)
    assert not site.file.exists()


async def test_a_wrong_key_and_a_damaged_file_are_told_apart(site):
    sealed = await site.make()
    with pytest.raises(WrongKey):
        open_backup(sealed, RecoveryKey.new())
    changed = bytearray(sealed)
    changed[200] ^= 1
    for broken in (sealed[:-1], sealed[:50], b"", bytes(changed)):
        with pytest.raises(SealBroken):
            open_backup(broken, KEY)


async def test_a_root_key_that_was_lost_comes_back_by_the_recovery_key(site, contents):
    await site.put(contents)
    before = site.root_key.read_bytes()
    site.root_key.unlink()
    with pytest.raises(WrongKey):
        await asyncio.to_thread(root_key_again, await site.load(), RecoveryKey.new())
    assert await asyncio.to_thread(root_key_again, await site.load(), KEY) == site.root_key
    assert site.root_key.read_bytes() == before


class TestFromAnArchive:
    @pytest.fixture
    async def cloud(self):
        async with FakeArchive() as running:
            yield running

    @pytest.fixture
    async def archive(self, cloud):
        async with DicomwebArchive(others.Archive("cloud", cloud.url)) as client:
            yield client

    @staticmethod
    def put(cloud, number, sealed):
        cloud.put(to_part10(reference(KEY.recipient, number), number, 0.0, LABEL, sealed))

    async def test_the_newest_that_can_be_read_is_taken(self, site, cloud, archive):
        sealed = await site.make()
        self.put(cloud, 5, sealed)
        self.put(cloud, 41, sealed)
        self.put(cloud, 40, sealed[:-1])
        self.put(cloud, 39, b"no backup")
        cloud.broken.add(reference(KEY.recipient, 41).sop_uid)
        assert (await newest_in(archive, KEY)).configuration == site.text.encode()

    async def test_none_is_said_as_such(self, site, cloud, archive):
        with pytest.raises(EdgeError, match="has no backup for this recovery key"):
            await newest_in(archive, KEY)
        self.put(cloud, 1, b"x")
        with pytest.raises(EdgeError, match="none of the 1 backups"):
            await newest_in(archive, KEY)

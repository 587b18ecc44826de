"""What a backup holds, and what is known of those that were made."""

from __future__ import annotations

import asyncio
import errno
import os
import zlib
from pathlib import Path

import msgspec
import pytest

from edge import config, others
from edge.cache.backup import Backups, decode, overview, reference
from edge.crypto.escrow import FILE, Escrow
from edge.crypto.recovery import RecoveryKey
from edge.dicom.raw_data import uid_of_number
from edge.errors import EdgeError, SealBroken, SecretError
from edge.index import unproven
from tests.samples import ct_series

KEY = RecoveryKey(bytes(range(32)))
ARCHIVE = others.Archive("cloud", "https://archive")


@pytest.fixture
def box(cache, tmp_path):
    """A cache whose backups are sealed for KEY."""
    Escrow(tmp_path, cache.keys).keep(KEY.recipient, 1.0)
    return cache


@pytest.fixture
def settings(tmp_path):
    return config.Config(
        appliance=config.Appliance(name="clinic", data_dir=tmp_path),
        cloud=config.Cloud((ARCHIVE,)),
    )


def backups(cache, settings, file=None, **options):
    return Backups(settings, file, cache.keys, cache.database, **options)


async def opened(made):
    sealed, _ = await made.make()
    return decode(KEY.open(sealed))


async def test_without_a_recovery_key_there_is_no_backup(cache, settings):
    with pytest.raises(EdgeError, match="there is no recovery key"):
        await backups(cache, settings).make()
    assert await backups(cache, settings).studies() == frozenset()
    assert not (await overview(settings, cache.database)).has_recovery_key


async def test_it_has_what_a_new_box_needs_and_no_image(box, settings, tmp_path):
    (kept,) = ct_series(1, rows=256, columns=256)
    (gone,) = ct_series(1, rows=16, columns=16, seed=2)
    await box.send(kept)
    await box.send(gone)
    await box.deletion.delete(gone.ref.study_uid, only_copies=True)
    file = tmp_path / "edge.toml"
    file.write_text("# as it is\n")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.crt").write_text("authority")
    (tmp_path / "settings.toml").write_text("# set on its page\n")
    environ = {"EDGE_HTTP__TLS": "off", "EDGE_CONFIG": "x", "HOME": "y"}
    sealed, made = await backups(box, settings, file, environ=environ, clock=lambda: 9.0).make()
    assert len(sealed) < len(kept.data) / 8
    contents = decode(KEY.open(sealed))
    assert (contents.box, contents.made, made) == ("clinic", 9.0, 9.0)
    assert contents.configuration == b"# as it is\n"
    assert contents.variables == ("EDGE_HTTP__TLS",)
    assert len(contents.root) == 32
    (record,) = (tmp_path / "tombstones").iterdir()
    names = {"keys.db", FILE, "settings.toml", "tls/ca.crt", f"tombstones/{record.name}"}
    assert set(contents.files) == names
    assert contents.files["keys.db"] == (tmp_path / "keys.db").read_bytes()
    assert [one.instance.sop_uid for one in unproven.unpack(contents.index.unproven)] == [
        kept.ref.sop_uid
    ]


async def test_files_that_the_configuration_names_come_along(box, settings, tmp_path):
    authority = tmp_path / "their-ca.pem"
    authority.write_text("PEM")
    archive = others.Archive("cloud", "https://archive", tls_ca=authority)
    named = config.Config(appliance=settings.appliance, cloud=config.Cloud((archive,)))
    assert (await opened(backups(box, named))).outside == {str(authority): b"PEM"}


async def test_a_file_is_whole_or_not_there(box, settings, tmp_path):
    made = backups(box, settings)
    path = tmp_path / "stick" / "backup"
    with pytest.raises(EdgeError, match="can't be written"):
        await made.write(path)
    path.parent.mkdir()
    await made.write(path)
    await made.write(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["backup"]
    assert decode(KEY.open(path.read_bytes())).box == "clinic"
    (last,) = (await overview(settings, box.database)).last
    assert last.where == f"file {path}"


async def test_a_full_medium_leaves_the_earlier_backup_as_it_is(
    box, settings, tmp_path, monkeypatch
):
    path = tmp_path / "backup"
    path.write_bytes(b"earlier")
    write = os.write

    def full(descriptor, data):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "backup.new":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(EdgeError, match="can't be written"):
        await backups(box, settings).write(path)
    assert path.read_bytes() == b"earlier"
    assert not (tmp_path / "backup.new").exists()


async def test_the_state_changes_with_what_a_backup_must_not_lack(box, settings, tmp_path):
    file = tmp_path / "edge.toml"
    file.write_text("")
    made = backups(box, settings, file)
    (sample,) = ct_series(1, rows=16, columns=16)
    seen = [await made.state()]
    await box.send(sample)
    assert await made.state() == seen[0], "images are no reason"
    await box.deletion.delete(sample.ref.study_uid, only_copies=True)
    seen.append(await made.state())
    await box.database.write(
        lambda db: db.execute(
            "INSERT INTO tokens (token_id, digest, role, name, created)"
            " VALUES ('t', x'00', 'viewer', 'n', 1.0)"
        )
    )
    seen.append(await made.state())
    file.write_text("# changed")
    seen.append(await made.state())
    escrow = Escrow(tmp_path, box.keys)
    await asyncio.to_thread(escrow.keep, RecoveryKey.new().recipient, 2.0)
    seen.append(await made.state())
    assert len(set(seen)) == len(seen)


async def test_what_an_archive_got_is_remembered_by_its_name(box, settings):
    made = backups(box, settings)
    assert await made.last("cloud") is None
    await made.remember("cloud", 5.0, "state")
    last = await made.last("cloud")
    assert (last.made, last.where, last.state) == (5.0, "archive cloud", "state")
    assert await made.last("other") is None
    assert (await overview(settings, box.database)).last == (last,)


async def test_its_place_in_an_archive_follows_from_the_key_alone(box, settings):
    place = reference(KEY.recipient, 3)
    assert await backups(box, settings).studies() == {place.study_uid}
    assert place == reference(RecoveryKey(KEY.secret).recipient, 3)
    assert place.sop_uid != reference(KEY.recipient, 4).sop_uid
    assert place.study_uid == uid_of_number(KEY.recipient.number("study"))


async def test_another_version_and_nonsense_are_told_apart(box, settings):
    contents = await opened(backups(box, settings))
    for step, which in ((1, "a newer"), (-1, "an earlier")):
        other = msgspec.structs.replace(contents, version=contents.version + step, product="9.9")
        with pytest.raises(SecretError, match=rf"{which} version, 9\.9"):
            decode(zlib.compress(msgspec.msgpack.encode(other)))
    for nonsense in (b"", b"x", zlib.compress(b"x"), zlib.compress(msgspec.msgpack.encode({}))):
        with pytest.raises(SealBroken):
            decode(nonsense)

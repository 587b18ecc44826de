"""A box from its backup: found, opened, and put where nothing is yet.

Promises that a wrong key or a damaged backup changes nothing, and that nothing that is there is
overwritten: a folder with data is refused, a configuration that differs gets the backup's beside
it. Custody is not believed: what the archive has is asked of the archive.

Crash order: all files are made in ``data_dir/restoring/`` -> what lies elsewhere is put back -> the
files get their places, the index last, which makes it a box. A restore that was cut short before
that can be done again. `stage` makes them for a box that runs on its first day, which
`edge.cache.replacing` takes the place of.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from edge import config
from edge.cache.backup import RING, Contents, decode, number_of, reference
from edge.cache.replacing import STAGE
from edge.cloud.archive import Archive
from edge.cloud.listing import uid_of
from edge.crypto.custodian import Custodian
from edge.crypto.durable import sync_folder, write_file
from edge.crypto.escrow import FILE
from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider, Given
from edge.crypto.providers.choice import keeper_of, root_key_path
from edge.crypto.recovery import RecoveryKey
from edge.crypto.twin import copies
from edge.dicom.instance import InstanceRef
from edge.dicom.raw_data import bytes_in
from edge.errors import (
    CloudError,
    CloudRefused,
    CloudUnreachable,
    ConfigError,
    EdgeError,
    InstanceNotFound,
    NotDicom,
    SealBroken,
    SecretError,
)
from edge.index import snapshot
from edge.index.database import Connection, Database
from edge.settings import Settings

__all__ = ["Restored", "newest_in", "open_backup", "restore", "root_key_again", "stage"]

log = logging.getLogger(__name__)

_IGNORED = {"lost+found", "lock", STAGE}
_INDEX = "index.db"
_MOST = 1024**3
"""Bytes of a backup that are taken from an archive."""
_SOP_UID = "00080018"
_WITH_SHELL = "restore it where there is a shell, with edge restore (manual/keys.md)"


@dataclass(slots=True)
class Restored:
    """What was done."""

    contents: Contents
    data_dir: Path
    configuration: Path | None = None
    """Where it was written; None if the same one was there."""
    beside: bool = False
    """Another one was there, and stays in force."""
    lost: int = 0
    """Images that no archive was proven to have when the backup was made."""
    locked: bool = False
    """Its root secret is in no file: it must be opened once by its recovery key."""
    put: list[Path] = field(default_factory=list)
    """Other files that the configuration names, written."""


# Finding and opening ------------------------------------------------------------------------------


def open_backup(data: bytes, key: RecoveryKey) -> Contents:
    """A backup, opened.

    Raises:
        WrongKey: It was made for another recovery key.
        SecretError: It is damaged or cut short, or a newer version made it.
    """
    return decode(key.open(data))


async def newest_in(archive: Archive, key: RecoveryKey) -> Contents:
    """The newest backup that an archive has for this key, and that opens.

    Raises:
        EdgeError: It has none.
        CloudError: It can't be asked.
    """
    place = reference(key.recipient, 0)
    rows = await archive.search_instances(place.study_uid, place.series_uid)
    found = {uid: number_of(row) or 0 for row in rows if (uid := uid_of(row, _SOP_UID))}
    if not found:
        raise EdgeError(
            f"archive {archive.name} has no backup for this recovery key",
            hint="look whether it is the right archive, and the key that was printed last",
        )
    unread: CloudError | None = None
    for sop_uid in sorted(found, key=lambda uid: -found[uid]):
        ref = InstanceRef(place.study_uid, place.series_uid, sop_uid)
        try:
            data = await _retrieve(archive, ref)
            return open_backup(await asyncio.to_thread(bytes_in, data), key)
        except (InstanceNotFound, NotDicom, SealBroken) as error:
            log.error("backup %d in archive %s: %s", found[sop_uid], archive.name, error)
        except (CloudRefused, CloudUnreachable) as error:
            unread = error
    raise unread or EdgeError(
        f"none of the {len(found)} backups in archive {archive.name} can be read"
    )


async def _retrieve(archive: Archive, ref: InstanceRef) -> bytes:
    data = bytearray()
    async with aclosing(archive.retrieve_instance(ref)) as pieces:
        async for piece in pieces:
            data += piece
            if len(data) > _MOST:
                raise SealBroken("it is longer than a backup can be")
    return bytes(data)


# Putting it back ----------------------------------------------------------------------------------


async def restore(
    contents: Contents, path: Path, *, environ: Mapping[str, str] = os.environ
) -> Restored:
    """Make the box that a backup was made of.

    Args:
        contents: The backup.
        path: The configuration's file: if there is none, it is written.
        environ: Whose settings count as well.

    Raises:
        ConfigError: The folder holds data, or the configuration can't be used.
        WrongKey: The root key of another box is where this one's belongs.
        SecretError: The backup does not fit together.
    """
    settings = await asyncio.to_thread(_settings, contents, path, environ)
    folder = settings.appliance.data_dir
    with await asyncio.to_thread(_open_folder, folder):
        done = Restored(contents, folder)
        place = folder / STAGE
        await asyncio.to_thread(_empty, place)
        done.lost = await _fill(contents, place)
        await asyncio.to_thread(_put_in_place, contents, settings, path, done)
    return done


def root_key_again(loaded: config.Config, key: RecoveryKey) -> Path:
    """Write the root key of a box that has all but that; where. Blocks.

    Raises:
        WrongKey: It is not this box's recovery key, or another root key is there.
        SecretError: No recovery key was ever made, or something is damaged; or the root secret of
            this box is in no file.
    """
    folder = loaded.appliance.data_dir
    if loaded.keys.provider != "file":
        raise SecretError(
            f'keys.provider = "{loaded.keys.provider}" has no root key file',
            hint="open the box with edge key unlock --recovery",
        )
    Custodian(folder, keeper_of(loaded)).open_by_recovery_key(key)
    path = root_key_path(loaded)
    _give_to_owner(folder, [path])
    return path


def _says_something(path: Path) -> bool:
    """Whether there is a configuration; an empty file, made for one to be written, is none."""
    return path.exists() and path.read_bytes().strip() != b""


def _settings(contents: Contents, path: Path, environ: Mapping[str, str]) -> config.Config:
    """Those that will be in force; files that they name need not be there yet."""
    if _says_something(path):
        return Settings(path, environ).build(config.Config)
    if contents.configuration is None:
        return Settings(None, environ).build(config.Config)
    # Read from memory: it holds passwords, and nothing is to be written before all is well.
    descriptor = os.memfd_create("configuration")
    try:
        os.write(descriptor, contents.configuration)
        shown = Path(f"/proc/self/fd/{descriptor}")
        try:
            return Settings(shown, environ).build(config.Config)
        except ConfigError as error:
            words = str(error).replace(str(shown), contents.configuration_path)
            raise ConfigError(
                f"the configuration in the backup can't be used here: {words}", hint=error.hint
            ) from error
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def _open_folder(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keep services out of a folder without data, until the block ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = {entry.name for entry in folder.iterdir()}
        unfinished = STAGE in there and _INDEX not in there
        if there - _IGNORED and not unfinished:
            raise ConfigError(
                f"appliance.data_dir = {folder} is not empty; nothing was changed",
                hint="restore into an empty folder: stop the service, and move away what is there",
            )
        descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"appliance.data_dir = {folder} can't be used: {error.strerror}",
            hint="name a folder that this user may write",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"an edge is running on {folder}", hint="stop it first") from error
    return _locked(descriptor)


async def stage(contents: Contents, place: Path, settings: config.Config, path: Path | None) -> int:
    """Write all files of the box that a backup was made of, of one whose files lie in one folder.

    Args:
        contents: The backup.
        place: An empty folder.
        settings: What the machine says that it becomes the box of.
        path: The machine's configuration; it stays in force.

    Returns:
        How many images no archive was proven to have when the backup was made.

    Raises:
        ConfigError: It had something outside of that folder that is not here.
        SecretError: The backup does not fit together.
    """
    await asyncio.to_thread(_refuse_outside, contents, settings, path)
    lost = await _fill(contents, place)
    await asyncio.to_thread(_bring_in, contents, place, settings.appliance.data_dir)
    return lost


def _refuse_outside(contents: Contents, settings: config.Config, path: Path | None) -> None:
    folder = settings.appliance.data_dir
    if settings.keys.provider != "file" or root_key_path(settings).parent != folder:
        raise ConfigError(
            "what opens this box is not in its data_dir, so no other takes its place",
            hint=_WITH_SHELL,
        )
    here = b"" if path is None or not path.exists() else path.read_bytes()
    there = b"" if contents.configuration is None else contents.configuration
    if _tree(here) != _tree(there):
        raise ConfigError(
            f"the box of the backup had a configuration of its own, {contents.configuration_path},"
            " which says something else than that of this machine",
            hint=_WITH_SHELL,
        )
    gone = [
        name
        for name in sorted(contents.outside)
        if not Path(name).is_relative_to(folder) and not Path(name).exists()
    ]
    if gone:
        raise ConfigError(
            f"the box of the backup had files that are not on this machine: {', '.join(gone)}",
            hint=_WITH_SHELL,
        )


def _tree(content: bytes) -> object:
    """What a configuration says, without its remarks."""
    try:
        return tomllib.loads(content.decode())
    except ValueError:
        return content


def _bring_in(contents: Contents, place: Path, folder: Path) -> None:
    for name, content in contents.outside.items():
        if Path(name).is_relative_to(folder):
            inside = _within(place, str(Path(name).relative_to(folder)))
            inside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(inside, content)
    FileKeyProvider(place / "root.key").put_back(contents.root)
    for one in place.rglob("*"):
        if one.is_dir():
            sync_folder(one)
    sync_folder(place)


async def _fill(contents: Contents, place: Path) -> int:
    """Write the files below ``data_dir``, with the index; how many images are perhaps lost."""
    key = await asyncio.to_thread(_write_files, contents, place)
    now = time.time()

    def fill(db: Connection) -> int:
        return snapshot.restore(db, contents.index, now)

    async with Database(place / _INDEX, key) as database:
        return await database.write(fill)


def _empty(place: Path) -> None:
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(mode=0o700)


def _within(stage: Path, name: str) -> Path:
    place = stage / name
    if not place.resolve().is_relative_to(stage.resolve()):
        raise SecretError(f"the backup names a file outside of its folder: {name}")
    return place


def _write_files(contents: Contents, stage: Path) -> bytes:
    """Write the files; the key of the index."""
    for name, content in contents.files.items():
        place = _within(stage, name)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        for copy in copies(place) if name in (RING, FILE) else (place,):
            write_file(copy, content)
    ring = KeyRing(stage / RING, Given(contents.root), may_create=False)
    try:
        return ring.derive("index")
    finally:
        ring.close()


def _put_in_place(contents: Contents, settings: config.Config, path: Path, done: Restored) -> None:
    folder, stage = done.data_dir, done.data_dir / STAGE
    owned = []
    if settings.keys.provider == "file":
        root_key = root_key_path(settings)
        FileKeyProvider(root_key).put_back(contents.root)
        owned.append(root_key)
    done.locked = settings.keys.provider != "file"
    for name, content in contents.outside.items():
        place = Path(name)
        if place.is_absolute() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            write_file(place, content)
            done.put.append(place)
    _put_configuration(contents, path, done)
    for found in sorted(stage.iterdir(), key=lambda entry: entry.name == _INDEX):
        if found.is_dir() and (folder / found.name).is_dir():
            shutil.rmtree(folder / found.name)  # of a restore that was cut short
        found.rename(folder / found.name)
    sync_folder(folder)
    stage.rmdir()
    owned += [*done.put, *([done.configuration] if done.configuration else [])]
    _give_to_owner(folder, owned)


def _put_configuration(contents: Contents, path: Path, done: Restored) -> None:
    if contents.configuration is None:
        return
    if _says_something(path):
        if path.read_bytes() == contents.configuration:
            return
        path, done.beside = path.with_name(f"{path.name}.restored"), True
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, contents.configuration)
    done.configuration = path


def _give_to_owner(folder: Path, others: list[Path]) -> None:
    """What root restored is for the user who owns the folder."""
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for place in (*folder.rglob("*"), *others):
        found = place.lstat()
        # That user may have put links there that lead to what is root's, and go on doing so.
        if found.st_uid == 0 and (place.is_dir() or found.st_nlink == 1):
            os.chown(place, owner.st_uid, owner.st_gid, follow_symlinks=False)

"""What a new box needs to be this one, as one sealed file; and when such files were made.

In it are the configuration as it stands on the disk, the root secret and the ring of keys, the
box's certificates, tokens, users, approved peers, tombstones with their records, and which
instances no archive is proven to have (`edge.index.snapshot`). Images are not. It is sealed for the
recovery key, of which the box itself has only the public half.

Promises that what is in one backup belongs together: rows are of one commit, and a record of a
deletion is kept before its rows are. The ring holds every key that those rows name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from edge import __version__
from edge.cloud.archive import first_value
from edge.config import Config
from edge.crypto.durable import write_file
from edge.crypto.escrow import FILE, Escrow, Kept
from edge.crypto.keys import KeyRing
from edge.crypto.recovery import Recipient
from edge.dicom.instance import InstanceRef
from edge.dicom.raw_data import Label, uid_of_number
from edge.errors import EdgeError, SealBroken, SecretError
from edge.index import remote, snapshot
from edge.index.database import Database
from edge.loading import OWN

__all__ = [
    "LABEL",
    "Backups",
    "Contents",
    "LastBackup",
    "Overview",
    "decode",
    "number_of",
    "overview",
    "reference",
]

_VERSION = 2
_NUMBER = "00200013"
_SAYS_MORE = re.compile(r"EDGE_\w+__\w+")
_TO_FILE = "backup:file"
_CERTIFICATES, _RECORDS, RING = "tls", "tombstones", "keys.db"
LABEL = Label(
    patient_name="EDGE CACHE^BACKUP OF A BOX^NO PATIENT",
    patient_id="EDGE-BACKUP",
    description="Sealed backup of an edge cache; its recovery key opens it",
    equipment="Edge cache",
    version=__version__,
)


class Contents(msgspec.Struct, frozen=True):
    """A backup, opened."""

    version: int
    product: str
    """Version of the program that made it."""
    made: float
    """POSIX seconds."""
    box: str
    """Its name on the LAN."""
    configuration: bytes | None
    """The file; None if there was none."""
    configuration_path: str
    variables: tuple[str, ...]
    """Names of variables of the environment that said more; what they said is not in it."""
    outside: dict[str, bytes]
    """Files that the configuration names: certificates, a private key."""
    root: bytes
    files: dict[str, bytes]
    """Files below ``data_dir``."""
    index: snapshot.Snapshot


class LastBackup(msgspec.Struct, frozen=True):
    """What is remembered of one that was made."""

    made: float
    where: str
    state: str = ""
    """What it was made of, in short; another one is made when that changes."""


class Overview(msgspec.Struct, frozen=True):
    """What people are told."""

    has_recovery_key: bool
    last: tuple[LastBackup, ...]
    """The newest of each place, the newest first."""


def decode(data: bytes) -> Contents:
    """What ``RecoveryKey.open`` gave.

    Raises:
        SecretError: Another version made it that wrote it differently, or it can't be understood.
    """
    try:
        plain = zlib.decompress(data)
        found = msgspec.msgpack.decode(plain, type=_Versioned)
        if found.version != _VERSION:
            which = "a newer" if found.version > _VERSION else "an earlier"
            raise SecretError(
                f"the backup was made by {which} version, {found.product}",
                hint="install that version, and restore with it",
            )
        return msgspec.msgpack.decode(plain, type=Contents)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise SealBroken("what is in the backup can't be understood") from error


class _Versioned(msgspec.Struct):
    version: int
    product: str


def reference(recipient: Recipient, number: int) -> InstanceRef:
    """The UIDs of a backup in an archive: whoever has the recovery key knows where to look."""
    return InstanceRef(
        uid_of_number(recipient.number("study")),
        uid_of_number(recipient.number("series")),
        uid_of_number(recipient.number(f"instance {number}")),
    )


def number_of(row: Mapping[str, object]) -> int | None:
    """Instance Number of a row of a search."""
    value = first_value(row, _NUMBER)
    try:
        return int(value)
    except (OverflowError, TypeError, ValueError):
        return None


class Backups:
    """Makes them.

    Args:
        config: Says what the box is called, and which files belong to it.
        file: The configuration's file; None if there is none.
        keys: The ring.
        database: The index.
        environ: Where the names of variables are looked up.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        config: Config,
        file: Path | None,
        keys: KeyRing,
        database: Database,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._file = file
        self._folder = config.appliance.data_dir
        self._keys = keys
        self._database = database
        self._environ = environ
        self._clock = clock
        self._escrow = Escrow(self._folder, keys)

    async def kept(self) -> Kept | None:
        """What the box keeps of its recovery key; None if there is none.

        Raises:
            SecretError: That was damaged.
        """
        return await asyncio.to_thread(self._escrow.read)

    async def studies(self) -> frozenset[str]:
        """The studies in an archive that are backups of this box, and no patient's."""
        try:
            kept = await self.kept()
        except SecretError:
            return frozenset()
        return frozenset(map(uid_of_number, kept.studies)) if kept else frozenset()

    async def make(self) -> tuple[bytes, float]:
        """A backup, sealed, and when it was made.

        Raises:
            EdgeError: There is no recovery key, or something of it can't be read.
        """
        return await asyncio.to_thread(self._make)

    async def write(self, path: Path) -> float:
        """A backup as a file, whole under its name or not there; when it was made.

        Raises:
            EdgeError: As ``make``, or the file can't be written.
        """
        sealed, made = await self.make()
        try:
            await asyncio.to_thread(write_file, path, sealed)
        except OSError as error:
            with suppress(OSError):
                await asyncio.to_thread(path.with_name(f"{path.name}.new").unlink)
            raise EdgeError(
                f"the backup can't be written to {path}: {error.strerror}",
                hint="name a file on a medium that has room",
            ) from error
        await self._remember(_TO_FILE, LastBackup(made, f"file {path}"))
        return made

    # What was made before -------------------------------------------------------------------------

    async def state(self) -> str:
        """What a backup should have soon after it changed, in short."""
        # Not when they were used: that would be a backup a day.
        tokens = await self._database.read(
            "SELECT token_id, digest, role, name, created, expires, scope FROM tokens"
            " ORDER BY token_id"
        )
        deleted = await self._database.read(
            "SELECT count(*), max(deleted), total(deleted) FROM tombstones"
        )
        peers = await self._database.read("SELECT * FROM peers ORDER BY ae_title")
        # Not what every log-in changes.
        people = await self._database.read(
            "SELECT name, display_name, role, state, password, totp FROM users ORDER BY name"
        )
        keys = await self._database.read("SELECT credential_id FROM passkeys ORDER BY 1")
        files = await asyncio.to_thread(self._watched)
        known = (tokens, deleted, peers, people, keys, files)
        return hashlib.sha256(repr(known).encode()).hexdigest()

    async def last(self, archive: str) -> LastBackup | None:
        """The last one that an archive was given, and gave back."""
        return _last(await remote.cursor(self._database, _to_archive(archive)))

    async def remember(self, archive: str, made: float, state: str) -> None:
        """An archive was given one, and gave it back."""
        await self._remember(_to_archive(archive), LastBackup(made, f"archive {archive}", state))

    async def _remember(self, name: str, last: LastBackup) -> None:
        text = msgspec.json.encode(last).decode()
        await self._database.write(lambda db: remote.set_cursor(db, name, text))

    # Making one -----------------------------------------------------------------------------------

    def _make(self) -> tuple[bytes, float]:
        kept = self._escrow.read()
        if kept is None:
            raise EdgeError(
                "there is no recovery key, so nobody could open a backup",
                hint="make one with edge key recovery",
            )
        # Rows first: what they name is on the disk by then.
        rows = snapshot.take(self._folder / "index.db", self._keys.derive("index"))
        files = dict(self._files(rows.records))
        made = self._clock()

        def seal(root: bytes, ring: bytes) -> bytes:
            files[RING] = ring
            contents = Contents(
                version=_VERSION,
                product=__version__,
                made=made,
                box=self._config.appliance.name,
                configuration=_content(self._file),
                configuration_path="" if self._file is None else str(self._file),
                variables=tuple(sorted(filter(_SAYS_MORE.fullmatch, self._environ))),
                outside=dict(self._outside()),
                root=root,
                files=files,
                index=rows,
            )
            return kept.recipient.seal(zlib.compress(msgspec.msgpack.encode(contents)))

        return self._keys.escrow(seal), made

    def _files(self, records: set[str]) -> Iterator[tuple[str, bytes]]:
        yield FILE, self._escrow.content()
        for name in sorted(records):
            # One that a rebuild could not read either is no reason to make no backup.
            with suppress(FileNotFoundError):
                yield f"{_RECORDS}/{name}", (self._folder / _RECORDS / name).read_bytes()
        for path in sorted((self._folder / _CERTIFICATES).glob("*")):
            if path.is_file() and path.suffix != ".new":
                yield f"{_CERTIFICATES}/{path.name}", path.read_bytes()
        if (own := _content(self._folder / OWN)) is not None:
            yield OWN, own

    def _outside(self) -> Iterator[tuple[str, bytes]]:
        http = self._config.http
        dimse = self._config.dimse
        named = [archive.tls_ca for archive in self._config.cloud.archive]
        named += [http.tls_certificate, http.tls_key]
        named += [dimse.tls_certificate, dimse.tls_key, dimse.tls_ca]
        for path in set(named) - {Path()}:
            if (content := _content(path)) is not None:
                yield str(path), content

    def _watched(self) -> list[bytes | None]:
        own = self._folder / OWN
        return [_content(self._file), _content(self._folder / FILE), _content(own)]


async def overview(config: Config, database: Database) -> Overview:
    """What people are told of backups, from the folder and the index."""
    names = [_TO_FILE, *(_to_archive(archive.name) for archive in config.cloud.archive)]
    found = [_last(await remote.cursor(database, name)) for name in names]
    made = sorted((last for last in found if last), key=lambda last: -last.made)
    path = config.appliance.data_dir / FILE
    return Overview(await asyncio.to_thread(path.exists), tuple(made))


def _to_archive(name: str) -> str:
    return f"backup:archive:{name}"


def _last(text: str | None) -> LastBackup | None:
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(text or "", type=LastBackup)
    return None


def _content(path: Path | None) -> bytes | None:
    """The content of a file; None if it can't be read, which the service would have said."""
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        return None

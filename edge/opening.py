"""Keys, store and index, open: what the service stands on, and every command that needs no service.

Owns the order in which they are opened and closed, and the lock by which only one service works on
a data folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge.access.audit.folder import AuditFolder
from edge.access.audit.recorder import Audit
from edge.access.audit.syslog import read_forwarded
from edge.access.dicom_tls import DicomTls
from edge.access.passwords import Passwords
from edge.access.sessions import Sessions
from edge.access.tls import box_names
from edge.access.tokens import Tokens
from edge.access.users import Users
from edge.admin.local_keys import root_of_service
from edge.cache.absences import Absences
from edge.cache.associations import Associations
from edge.cache.changes import Changes
from edge.cache.commitments import Commitments
from edge.cache.damaged_settings import damage
from edge.cache.disk_paper import DiskPaper
from edge.cache.disputes import Disputes
from edge.cache.exchange import Exchange
from edge.cache.lost_secrets import LostSecret, lost_secrets
from edge.cache.machine import temperature
from edge.cache.peers import PeerBook
from edge.cache.pins import Pins
from edge.cache.reading_status import read_status
from edge.cache.recovery import Recovery, Report, note_epoch, open_index
from edge.cache.status import AuditState, Cages, Parts, Status
from edge.cache.study_keys import StudyKeys
from edge.cache.trash import Trash
from edge.cache.worklist import Worklist
from edge.config import Config
from edge.crypto.custodian import Custodian
from edge.crypto.escrow import Escrow
from edge.crypto.keys import KeyRing, Rotated
from edge.crypto.providers import Given
from edge.crypto.providers.choice import keeper_of
from edge.crypto.sealed import Algorithm
from edge.crypto.secrets import PURPOSE
from edge.errors import ConfigError, SecretError
from edge.index.audit import AuditTable
from edge.index.ballast import Ballast
from edge.index.database import Database
from edge.index.remote import set_cursor
from edge.index.tokens import TokenTable
from edge.index.uids import uids_behind
from edge.logs import begin_to_refer, reference
from edge.machine.disk_key import groups_of
from edge.machine.health import read_machine
from edge.machine.places import Places
from edge.store.objects import ObjectStore
from edge.store.tombstones import TombstoneStore, TrashStore
from edge.sync.line import line_state
from edge.updates.journal import Folder
from edge.updates.standing import news
from edge.witnessing import BoxWitness

__all__ = [
    "Cache",
    "custodian_of",
    "follow_root",
    "is_first_start",
    "lock_folder",
    "make_folder",
    "ring",
    "rotate",
]

log = logging.getLogger(__name__)


class Cache:
    """Keys, store and index, open; all that the command line needs.

    It listens on nothing, and several processes may have it open.

    Args:
        owned: This process holds the folder's lock: it may make what is missing, and replace an
            index that is damaged.
        changes: Woken by what is changed here; None if nobody waits for it.
        root: The root secret, if it is at hand; else it is asked for.
    """

    def __init__(
        self,
        config: Config,
        *,
        owned: bool = False,
        changes: Changes | None = None,
        root: bytes | None = None,
    ) -> None:
        self._config = config
        self._root = root
        self._owned = owned
        self.changes = changes or Changes()
        self._stack = AsyncExitStack()
        self.folder = config.appliance.data_dir
        self._lost_secrets: tuple[LostSecret, ...] | None = None  # not looked for yet

    async def __aenter__(self) -> Self:
        """Open everything.

        Raises:
            SecretError: The keys can't be had, or are not those of this data.
            ConfigError: The data folder can't be used.
        """
        async with AsyncExitStack() as stack:
            if not self._owned:
                await asyncio.to_thread(_find_box, self.folder)
            root, self._root = self._root, None
            self.keys = await asyncio.to_thread(_open_keys, self._config, self._owned, root)
            del root
            stack.callback(self.keys.close)
            self.refer = partial(reference, self.keys.derive("references in the log"))
            begin_to_refer(self.refer)
            self.algorithm = await asyncio.to_thread(_best_algorithm)
            self.store = await stack.enter_async_context(
                ObjectStore(self.folder, self.keys, algorithm=self.algorithm)
            )
            self.tombstones = TombstoneStore(self.folder, self.keys, algorithm=self.algorithm)
            path, key = self.folder / "index.db", self.keys.derive("index")
            ballast = Ballast(self.folder / "ballast", _ballast_bytes(self._config))
            self.database = (
                await open_index(path, key, ballast)
                if self._owned
                else await Database(path, key).__aenter__()
            )
            stack.push_async_exit(self.database)
            self.audit = await stack.enter_async_context(
                Audit(
                    AuditFolder(self.folder / "audit", self.keys.derive("audit"), self.algorithm),
                    AuditTable(self.database),
                )
            )
            if self._owned:  # a command needs no files that may lie where it would wait for them
                await self._lost()
            self.lacks_settings = bool(await asyncio.to_thread(damage, self.folder))
            self.has_archive = bool(self._config.cloud.archive) or self.lacks_settings
            self.study_keys = StudyKeys(self.keys, self.database)
            self.witness = BoxWitness(self.audit)
            self.tokens = Tokens(TokenTable(self.database))
            self.passwords = Passwords()
            box = self._config.appliance.name
            self.users = Users(self.database, self.passwords, box=box)
            self.sessions = Sessions(self.database, self._config.access)
            self.exchange = Exchange(self.store, self.tombstones, self.database)
            self.disputes = Disputes(self.database, self.exchange, has_archive=self.has_archive)
            self.trashed = TrashStore(self.folder, self.keys, algorithm=self.algorithm)
            self.trash = Trash(
                self.store,
                self.trashed,
                self.database,
                self.changes,
                days=self._config.sync.trash_days,
                tell=self.witness.tell,
            )
            self.pins = Pins(self.database, self._config.cache.pin)
            self.peers = PeerBook(self.database, self._config.dimse)
            self.associations = Associations(self.database)
            self.absences = Absences(self.database, self.changes, self.trash)
            self.commitments = Commitments(
                self.database, self.changes, self._config, is_careful=self.lacks_settings
            )
            self.worklist = Worklist(self.database, self._config.worklist, changes=self.changes)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def recover(self) -> Report:
        """Put store, index and keys in step; for who owns them, before anything listens."""
        await asyncio.to_thread(follow_root, self.folder, self.keys)
        records = self.tombstones, self.trashed
        report = await Recovery(self.store, self.database, self.keys, *records).run()
        self.trash.unreadable = frozenset(report.unreadable)
        self.study_keys.spares = bool(report.unreadable)
        return report

    async def rotate(self, wish: Mapping[str, Any]) -> dict[str, int]:
        """Wrap all keys anew, for `edge.admin.local`.

        Raises:
            SecretError: See ``KeyRing.rotate``.
        """
        abandon = wish.get("abandon") is True
        done = await asyncio.to_thread(self.keys.rotate, abandon=abandon)
        await note_epoch(self.database, self.keys)
        return asdict(done)

    async def uids_behind(self, references: Collection[str]) -> dict[str, dict[str, str]]:
        """What references in the log stand for: UIDs, and of what each is."""
        return await uids_behind(self.database, references, self.refer)

    async def beat(self) -> None:
        """Commit something: whoever can do that lives.

        Raises:
            StorageFull: There is no room even for that.
            DatabaseBroken: The index is damaged.
        """
        moment = f"{time.time():.0f}"
        await self.database.write(lambda db: set_cursor(db, "alive", moment))

    def dicom_tls(self) -> DicomTls:
        """What is shown to DICOM peers over TLS, and believed of them; nothing is loaded yet."""
        config = self._config
        secret = self.keys.derive("tls")
        names = box_names(config)
        return DicomTls(config.dimse, config.http, secret, self.folder / "tls", names)

    async def status(self, parts: Parts | None = None, cages: Cages | None = None) -> Status:
        """The state of the box, from index and disk.

        Args:
            parts: Those of the service, and how they are; None if it is not running.
            cages: Of its processes, and what its start found damaged.
        """
        primary = "".join(it.name for it in self._config.cloud.in_order[:1])
        line = partial(line_state, self._config.sync, archive=primary, now=time.time())
        audit = await asyncio.to_thread(self._audit_state)
        damage = await self.audit.damages.known()
        audit = replace(audit, damage=damage.what, damage_since=damage.since)
        machine = await asyncio.to_thread(lambda: read_machine(Places(), temperature()))
        status = await read_status(
            self._config, self.database, self.store, parts, line, cages, audit, machine
        )
        update = await asyncio.to_thread(news, Folder(self.folder), time.time())
        paper = DiskPaper(self.database, partial(groups_of, Places()))
        return replace(
            status,
            update=update,
            disk_key_unseen=await paper.is_unseen(),
            lost_secrets=await self._lost(),
        )

    async def _lost(self) -> tuple[LostSecret, ...]:
        if self._lost_secrets is None:
            key = self.keys.derive(PURPOSE)
            self._lost_secrets = await asyncio.to_thread(lost_secrets, self._config, key)
        return self._lost_secrets

    def _audit_state(self) -> AuditState:
        entries, server = self.audit.known.number, self._config.audit.syslog.server
        if not server:
            return AuditState(entries)
        sent = read_forwarded(self.audit.folder)
        waiting = max(0, entries - sent.number)
        return AuditState(entries, server, waiting, sent.trouble, sent.since)


def follow_root(folder: Path, keys: KeyRing) -> None:
    """Have the recovery key open the root secret that opens the ring. Blocks."""
    try:
        if Escrow(folder, keys).follow():
            log.info("the root key is sealed for the recovery key anew")
    except (SecretError, OSError) as error:
        log.error("the recovery key may not bring the root key back: %s", error)


@contextlib.contextmanager
def ring(config: Config) -> Iterator[KeyRing]:
    """The ring of keys, of a place that need not be a box; made if there is neither. Blocks.

    Raises:
        SecretError: The keys can't be had, or are not those of this data.
        ConfigError: The data folder can't be used.
    """
    folder = config.appliance.data_dir
    is_new = not any((folder / name).exists() for name in ("keys.db", "index.db"))
    lock = None
    if is_new:
        make_folder(folder)
        lock = lock_folder(folder)
    try:
        keys = _open_keys(config, is_new)
    finally:
        if lock is not None:
            os.close(lock)
    try:
        yield keys
    finally:
        keys.close()


def rotate(config: Config, *, abandon: bool = False) -> Rotated:
    """Wrap the keys of a box anew whose service does not run. Blocks.

    Raises:
        SecretError: See ``KeyRing.rotate``.
        ConfigError: There is no box, or a service runs on it.
    """
    folder = config.appliance.data_dir
    _find_box(folder)
    lock = lock_folder(folder)
    try:
        keys = _open_keys(config, owned=True)
        try:
            return keys.rotate(abandon=abandon)
        finally:
            keys.close()
    finally:
        os.close(lock)


def make_folder(folder: Path) -> None:
    """Make a data folder, if it is missing.

    Raises:
        ConfigError: It can't be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable")
    except OSError as error:
        raise ConfigError(
            f"appliance.data_dir = {folder} can't be used: {error.strerror}",
            hint="name a folder that this user may write",
        ) from error


def _find_box(folder: Path) -> None:
    try:
        found = (folder / "index.db").exists()
    except OSError as error:
        raise ConfigError(f"appliance.data_dir = {folder}: {error.strerror}") from error
    if not found:
        raise ConfigError(
            f"there is no box in appliance.data_dir = {folder}",
            hint="name the right configuration with --config, or start it once with edge serve",
        )


def lock_folder(folder: Path) -> int:
    """Only one service works on a data folder; the lock ends with the process."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW  # root comes here, too
    try:
        descriptor = os.open(folder / "lock", flags, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{folder / 'lock'} can't be opened: {error.strerror}",
            hint="it is a plain file of the service's user, and can be deleted while nothing runs",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            f"another edge is running on {folder}", hint="stop it, or name another data_dir"
        ) from error
    return descriptor


def is_first_start(config: Config) -> bool:
    """Whether nothing was ever sealed in the data folder. Blocks."""
    folder = config.appliance.data_dir
    return not ((folder / "index.db").exists() or any(folder.glob("objects/??/*")))


def custodian_of(config: Config) -> Custodian:
    """Who opens and shuts the box of a configuration; nothing is read yet."""
    folder = config.appliance.data_dir
    ballast = Ballast(folder / "ballast", _ballast_bytes(config))
    return Custodian(folder, keeper_of(config), ballast.release)


def _open_keys(config: Config, owned: bool, root: bytes | None = None) -> KeyRing:
    path = config.appliance.data_dir / "keys.db"
    provider = _Asked(config, owned=owned) if root is None else Given(root)
    may_create = owned and is_first_start(config)
    return KeyRing(path, provider, may_create=may_create, owned=owned)


class _Asked:
    """The root secret as it is kept; a command asks the service that runs, if it has no file."""

    def __init__(self, config: Config, *, owned: bool) -> None:
        self._config = config
        self._of_service = not owned and config.keys.provider != "file"

    def root_secret(self, *, first_start: bool) -> bytes:
        """It."""
        root = root_of_service(self._config.appliance.data_dir) if self._of_service else None
        return root or custodian_of(self._config).open(first_start=first_start)


def _ballast_bytes(config: Config) -> int:
    """A part of the reserve that the index may use when nothing else is free."""
    return max(1024**2, min(32 * 1024**2, config.cache.reserve_bytes // 16))


def _best_algorithm() -> Algorithm:
    """AES where the processor has instructions for it; a Raspberry Pi 4 has none."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return Algorithm.AES_256_GCM
    return Algorithm.AES_256_GCM if "aes" in flags else Algorithm.CHACHA20_POLY1305

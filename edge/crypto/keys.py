"""The ring of keys: root secret -> key of an epoch -> the master, and one key per study.

What it owns is one small file, ``keys.db``, and its copy (``places``, ``wrapping``): every key in
it is wrapped by another, under a random name; nothing in it is readable, and nothing in it says
which study a key belongs to (the index and the objects do).

    root secret      of a provider, and in no file of the ring. It wraps the key of the epoch
    key of an epoch  wraps all that follows; a rotation makes another one (``rotation``)
    master           all that is not a study's follows from it: the key of the index, of records,
                     of the box's certificates, of the recovery key's file, of configured secrets
    study keys       seal the objects of one study

So the root secret can be changed, by another provider or another secret of the same, and nothing
that was sealed or derived notices: the key of the epoch is wrapped once more, by the new root
(``add_root``); from then on either opens the ring. Who opens it by the new one, and owns it, ends
the old one (``settle_root`` does so at once).

The master is never changed. That of a ring that version 1 made is the root secret that it had:
after a change, who has that old secret and the disk still reads what follows from the master, the
index above all, though no image.

Attack model: who has the disk without the root secret has nothing. Who erased a study has destroyed
its keys here, in both copies, so that copies of its sealed objects, wherever they are, can't be
opened again. Who changes a byte is found out, because every wrapping is authenticated and binds
name, epoch and place; what is sound in one copy only is repaired from it. Who puts back both copies
of an earlier day, whole, is not found out here: nothing in them is wrong. But the index knows the
epoch, and the names of the keys that are in use: at the start it is told that an older ring is
there, or which keys are missing, and what had been destroyed is destroyed again. Who puts back the
index of that day as well, or the whole disk, is found out by nobody.

Crash order: a study key is durable here before the first byte is sealed with it. A key that nothing
was sealed with is litter, and recovery removes it. A new root is durable here before it is said to
be, and an old one goes after that; between the two both open the ring.

Calls block (they may fsync): use them from worker threads. They are safe from several at once.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edge.crypto.durable import write_file
from edge.crypto.places import RESTORE, Places, first_places
from edge.crypto.providers import KeyProvider
from edge.crypto.rotation import Rotated, Rotation
from edge.crypto.sealed import KEY_ID_LENGTH
from edge.crypto.twin import copies
from edge.crypto.wrapping import FORMER, SECRET, Kind, Root, derived
from edge.errors import SealBroken, SecretError, StorageFull

__all__ = ["KeyRing", "Rotated", "StudyKey"]

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A key that objects are sealed with, and its name."""

    key_id: bytes
    secret: bytes = field(repr=False)


class KeyRing:
    """Opens and makes keys; close it when done.

    Args:
        path: The ring's file.
        provider: Asked once for the root secret.
        may_create: Nothing was ever sealed here, so that a missing ring may be made. An existing
            one is never completed or replaced: what it wrapped would be lost for good.
        owned: No other process writes to the ring; without it, this one only reads.

    Raises:
        KeyUnavailable: The provider can't release the root secret.
        WrongKey: The root secret does not open this ring.
        SecretError: The file can't be read, or was written by a newer version.
    """

    def __init__(
        self, path: Path, provider: KeyProvider, *, may_create: bool = True, owned: bool = True
    ) -> None:
        self._path = path
        self._owned = owned
        self._lock = threading.Lock()
        self._rotating = threading.Lock()
        self._open: dict[bytes, StudyKey] = {}
        missing = not any(copy.exists() and copy.stat().st_size for copy in copies(path))
        if missing and not may_create:
            raise SecretError(
                f"the ring of keys {path} is missing, and without it nothing here opens",
                hint=RESTORE,
            )
        self._root = bytearray(provider.root_secret(first_start=may_create))
        root = Root.of(self._root)
        if missing:
            content = first_places(root, os.urandom(SECRET))
            for copy in copies(path):
                write_file(copy, content)
        self._places = Places(path, root, owned=owned)
        try:
            self._master = self._find_master()
            if owned:
                self._finish()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._places.close()
        self._root[:] = bytes(len(self._root))

    def derive(self, purpose: str) -> bytes:
        """32 bytes for a purpose of their own, such as the index; always the same ones."""
        return derived(self._master, b"edge/1 " + purpose.encode())

    def content(self) -> bytes:
        """Either copy of the file, for a backup; places that one of them lacks come from both."""
        with self._lock:
            return self._places.content()

    # Study keys -----------------------------------------------------------------------------------

    def new_study_key(self) -> StudyKey:
        """Make a study key; it is durable when this returns.

        Raises:
            StorageFull: The disk is full.
        """
        key = StudyKey(os.urandom(KEY_ID_LENGTH), os.urandom(SECRET))
        with self._lock:
            epoch = self._places.newest
            try:
                self._places.put(
                    lambda place: epoch.wrap(place, Kind.STUDY_KEY, key.key_id, key.secret)
                )
            except OSError as error:
                # One copy may have it: then it is a key that nothing is sealed with.
                if error.errno in _FULL:
                    raise StorageFull("the disk is full; no key could be made") from error
                raise
            self._open[key.key_id] = key
        return key

    def known(self, key_id: bytes) -> StudyKey | None:
        """The study key of this name, if it was opened before and not destroyed; never blocks."""
        return self._open.get(key_id)

    def study_key(self, key_id: bytes) -> StudyKey:
        """The study key of this name.

        Raises:
            SealBroken: There is none (its study was erased), or its wrapping was changed.
        """
        if (known := self._open.get(key_id)) is not None:
            return known
        with self._lock:
            try:
                secret = self._places.study_key(key_id)
            except KeyError:
                raise SealBroken(
                    "the key of a sealed object does not exist, or was destroyed"
                ) from None
            if secret is None:
                raise SealBroken("the wrapping of a study key was changed")
            key = self._open[key_id] = StudyKey(key_id, secret)
        return key

    def key_ids(self) -> set[bytes]:
        """The names of all study keys."""
        with self._lock:
            return self._places.names()

    def destroy(self, key_ids: Iterable[bytes]) -> None:
        """Destroy study keys: what is sealed with them can never be opened again.

        Raises:
            OSError: The disk does not take it; a copy may still have them.
        """
        with self._lock:
            places = self._places.places_of(key_ids)
            self._places.clear(places.values())
            for name in places:
                self._open.pop(name, None)

    # The keys above them --------------------------------------------------------------------------

    def rotate(self, *, abandon: bool = False) -> Rotated:
        """Wrap all keys anew, by the key of a new epoch, and destroy the one before.

        Others may use the ring meanwhile. One that was begun and not finished is finished.

        Args:
            abandon: Give up study keys that are damaged in both copies.

        Raises:
            SecretError: Keys are damaged, the root secret is being changed, or the disk does not
                take it; nothing is lost by either.
        """
        with self._rotating:
            try:
                return self._rotation().run(abandon=abandon)
            except OSError as error:
                raise SecretError(
                    f"the keys can't be wrapped anew now: {error.strerror}",
                    hint="every key opens as before; try again when the disk is well",
                ) from error

    @property
    def epoch(self) -> int:
        """That wraps new keys; it only grows, unless somebody puts an older ring back."""
        return self._places.newest.number

    @property
    def root_name(self) -> bytes:
        """By which a root secret is known again; the secret can't be found from it."""
        return self._places.root.name

    def escrow_root(self, seal: Callable[[bytes], bytes]) -> bytes:
        """The root secret, as *seal* makes it unreadable for everybody but its recipient."""
        return self.escrow(lambda root, _: seal(root))

    def escrow(self, seal: Callable[[bytes, bytes], bytes]) -> bytes:
        """The same with ``content``, which that root secret opens."""
        with self._lock:
            root, content = bytes(self._root), self._places.content()
        return seal(root, content)

    def add_root(self, root: bytes) -> None:
        """Let another root secret open the ring, too; it is durable when this returns.

        From now on it is what is escrowed: whoever changes the root makes `Escrow` follow before
        the provider's own change takes effect. The old one ends when the ring is next opened by
        the new one, or by ``settle_root``.

        Raises:
            SecretError: A rotation is not finished, or the disk does not take it.
        """
        new = Root.of(root)
        with self._rotating, self._lock:
            places = self._places
            if self._rotation().is_under_way:
                raise SecretError(
                    "a rotation of the keys is not finished, and the root key can't be changed",
                    hint="finish it: edge key rotate",
                )
            if not any(record.name == new.name for record in places.wraps.values()):
                turn = 1 + max(record.turn for record in places.wraps.values())
                try:
                    places.put(lambda place: new.wrap(place, places.newest, turn))
                except OSError as error:
                    raise SecretError(
                        f"the root key can't be changed now: {error.strerror}",
                        hint="the one before opens the ring as ever",
                    ) from error
            places.root = new
            self._root[:] = root

    def settle_root(self) -> None:
        """Let no other root secret open the ring than the one that opened it, or was added last.

        Raises:
            SecretError: The disk does not take it.
        """
        with self._rotating, self._lock:
            self._drop_other_roots()

    def rewrap_root(self, root: bytes) -> None:
        """Have this root secret alone open the ring: ``add_root``, and ``settle_root``.

        Raises:
            SecretError: As they do. Either root may open it then.
        """
        self.add_root(root)
        self.settle_root()

    def _rotation(self) -> Rotation:
        return Rotation(self._places, self._lock, bytes(self._master))

    def _find_master(self) -> bytes:
        found = self._places.master()
        if found is not None:
            return found
        if any(key.form == FORMER for key in self._places.epochs.values()):
            return bytes(self._root)
        raise SecretError(
            f"the ring of keys {self._path} has no master: it was damaged in both copies",
            hint=RESTORE,
        )

    def _finish(self) -> None:
        """What an earlier run began, or an older version did otherwise."""
        rotation = self._rotation()
        if rotation.is_under_way:
            try:
                done = rotation.run()
            except (OSError, SecretError) as error:
                # Every key opens as it is; only what was to be better is not.
                log.error("the keys can't be wrapped anew: %s", error)
            else:
                log.warning(
                    "all %d keys are wrapped anew, by epoch %d", done.study_keys, done.epoch
                )
        others = self._places.others.values()
        if not others:
            return
        if max(record.turn for record in others) > self._places.turn:
            log.warning("another root key was made for this box, and is not used yet")
        elif {record.epoch for record in others} <= self._places.epochs.keys():
            try:
                self._drop_other_roots()
            except SecretError as error:
                log.error("%s", error)
            else:
                log.warning("the root key was changed: the one before opens nothing any more")

    def _drop_other_roots(self) -> None:
        try:
            self._places.clear(self._places.others)
        except OSError as error:
            raise SecretError(
                f"an old root key can't be made worthless now: {error.strerror}",
                hint="it is tried again at the next start",
            ) from error

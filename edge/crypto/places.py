"""The file of the ring of keys: which place holds what, and what of it opens.

    place 0   magic, version, their digest
    place n   a wrapped key (``wrapping``), or what says that it is vacant; or zeros

What it owns is ``keys.db`` and its copy, open. A key that is sound in one copy only is repaired
from it; one that is sound in neither is left as it is, and reported. Two copies that are equal are
believed until a key of them is asked for.

Knows roots and epochs, and nothing of what keys are for. Calls block, and are not safe from several
threads at once: `keys` sees to that.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from edge.crypto.twin import EMPTY, PLACE, TwinFile
from edge.crypto.wrapping import FORM, FORMER, NO_NAME, EpochKey, Kind, Record, Root
from edge.errors import SecretError, WrongKey

__all__ = ["HEADER", "RESTORE", "Places", "first_places", "vacant"]

log = logging.getLogger(__name__)

_VERSION = 2
_HEADER = struct.Struct(">8sB32s")
_MAGIC = b"EDGEKEYS"
_GLANCE = struct.Struct(f">B7x16s{PLACE - 24}x")
RESTORE = "restore keys.db from a backup; a new ring would open nothing of what is here"


def _header(version: int) -> bytes:
    """Place 0. By its digest a newer version is told from a byte that was damaged."""
    bare = _HEADER.pack(_MAGIC, version, b"")
    return _HEADER.pack(_MAGIC, version, hashlib.sha256(bare).digest()).ljust(PLACE, b"\0")


HEADER = _header(_VERSION)


def vacant(place: int) -> bytes:
    """What says that a place is free; zeros say it, too, but may be the rest of a copy."""
    digest = hashlib.sha512(b"edge ring 2 vacant %d" % place).digest()
    return (b"\0" + digest + digest)[:PLACE]


def first_places(root: Root, master: bytes) -> bytes:
    """A new ring."""
    first = EpochKey.new(1)
    records = root.wrap(1, first, 0), first.wrap(2, Kind.MASTER, NO_NAME, master)
    return HEADER + b"".join(record.to_bytes() for record in records)


class Places:
    """Both copies, read.

    Args:
        path: The first copy.
        root: Opens the keys of epochs.
        owned: No other process writes. Without it this one only reads.

    Raises:
        WrongKey: The root does not open this ring.
        SecretError: It can't be read, or was written by a newer version.
    """

    def __init__(self, path: Path, root: Root, *, owned: bool) -> None:
        self._path = path
        self.root = root
        self.epochs: dict[int, EpochKey] = {}
        self.wraps: dict[int, Record] = {}
        """Place -> the key of an epoch, whichever root wraps it."""
        self._of_names: dict[bytes, int] = {}
        self._of_master: list[int] = []
        self._free: list[int] = []
        self.length = 0
        try:
            self._file = TwinFile(path, owned=owned)
        except OSError as error:
            raise SecretError(
                f"the ring of keys {path} can't be read: {error.strerror}", hint=RESTORE
            ) from error
        try:
            self._load(repairing=owned)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # What is there --------------------------------------------------------------------------------

    @property
    def newest(self) -> EpochKey:
        """That wraps new keys."""
        return self.epochs[max(self.epochs)]

    @property
    def turn(self) -> int:
        """Of the root."""
        own = (record.turn for record in self.wraps.values() if record.name == self.root.name)
        return max(own, default=0)

    @property
    def others(self) -> dict[int, Record]:
        """Epochs that another root opens, too, by their places."""
        return {
            place: record
            for place, record in self.wraps.items()
            if record.form == FORM and record.name != self.root.name
        }

    def names(self) -> set[bytes]:
        """Of all study keys."""
        return set(self._of_names)

    def content(self) -> bytes:
        """Either copy of the file; places that one of them lacks come from both."""
        return self._file.compare(self._soundness).content

    def study_key(self, name: bytes) -> bytes | None:
        """A study key; None if it is sound in neither copy.

        Raises:
            KeyError: There is none.
        """
        place = self._of_names[name]
        for content in self._file.read(place):
            record = Record.from_bytes(content)
            if record is not None and record.kind is Kind.STUDY_KEY and record.name == name:
                if record.epoch not in self.epochs:  # another process made it meanwhile
                    self._load_epochs(self._file.read_all())
                if (secret := self.unwrap(place, record)) is not None:
                    return secret
        return None

    def master(self) -> bytes | None:
        """The master; None if there is none, or it is sound in neither copy."""
        for place in self._of_master:
            for content in self._file.read(place):
                record = Record.from_bytes(content)
                if record is not None and record.kind is Kind.MASTER:
                    secret = self.unwrap(place, record)
                    if secret is not None:
                        return secret
        return None

    def read(self, place: int, count: int = 1) -> Iterator[tuple[int, list[bytes]]]:
        """So many places, each with what the copies hold in it."""
        contents = self._file.read(place, count)
        for at in range(count):
            yield place + at, [each[at * PLACE : (at + 1) * PLACE] for each in contents]

    def unwrap(self, place: int, record: Record) -> bytes | None:
        """The key in a record; None if that is not sound, or of another root."""
        if record.kind is Kind.EPOCH:
            opened = self.root.open(place, record)
            return None if opened is None else opened.secret
        key = self.epochs.get(record.epoch)
        if key is None or key.form != record.form:
            return None
        return record.unwrap(place, key.aead)

    def is_sound(self, place: int, content: bytes) -> bool:
        """Whether this is a wrapped key that belongs there."""
        record = Record.from_bytes(content)
        if record is None:
            return False
        if record.kind is Kind.EPOCH and record.form == FORM and record.name != self.root.name:
            key = self.epochs.get(record.epoch)
            return key is not None and key.is_sealed(place, record)
        return self.unwrap(place, record) is not None

    def _soundness(self, place: int, content: bytes) -> int:
        if place == 0:
            return content in (HEADER, self._former_header)
        # A key counts more: if it should be gone, whoever wanted that comes again.
        return 2 if self.is_sound(place, content) else int(content == vacant(place))

    # Changing it ----------------------------------------------------------------------------------

    def put(
        self, make: Callable[[int], Record], *, before: Mapping[int, bytes] | None = None
    ) -> int:
        """Fill a place that is free, durably; its number.

        Args:
            make: Gives the record for it.
            before: What is written to other places before it.

        Raises:
            OSError: It could not be written; either copy may have it, or not.
        """
        place = self._free[-1] if self._free else self.length
        record = make(place)
        self._file.write({**(before or {}), place: record.to_bytes()})
        if self._free:
            self._free.pop()
        self.length = max(self.length, place + 1)
        self._note(place, record)
        return place

    def write(self, contents: Mapping[int, bytes]) -> None:
        """Give places that are in use their contents anew, durably.

        Raises:
            OSError: It could not be written; either copy may have it, or not.
        """
        if contents:
            self._file.write(contents)

    def clear(self, places: Iterable[int]) -> None:
        """Destroy what is in places, in both copies.

        Raises:
            OSError: It could not be written; either copy may still have it.
        """
        going = set(places)
        if not going:
            return
        self._file.write({place: vacant(place) for place in sorted(going)})
        for name in [name for name, at in self._of_names.items() if at in going]:
            del self._of_names[name]
        self._of_master = [at for at in self._of_master if at not in going]
        for place in going:
            self.wraps.pop(place, None)
        self._free += going
        self.epochs = {
            number: key
            for number, key in self.epochs.items()
            if any(record.epoch == number for record in self.wraps.values())
        }

    def places_of(self, names: Iterable[bytes]) -> dict[bytes, int]:
        """Where study keys are, of those that are there."""
        return {name: self._of_names[name] for name in names if name in self._of_names}

    # Reading it -----------------------------------------------------------------------------------

    @property
    def _former_header(self) -> bytes:
        return _HEADER.pack(_MAGIC, 1, self.root.verifier).ljust(PLACE, b"\0")

    def _load(self, *, repairing: bool) -> None:
        """Read all, and repair what one copy lacks."""
        contents = self._file.read_all()
        self._refuse_newer(contents)
        self._load_epochs(contents)
        if not self.epochs:
            self._fail(contents)
        compared = self._file.compare(self._soundness)
        if compared.damaged:
            log.error(
                "%d places of the ring of keys are damaged in both copies; what is sealed with"
                " these keys does not open until keys.db is restored from a backup",
                len(compared.damaged),
            )
        if compared.repairs and repairing:
            self._repair(compared.repairs)
        content = compared.content
        self.length = len(content) // PLACE
        for place, (kind, name) in enumerate(_GLANCE.iter_unpack(content)):
            if place == 0 or place in compared.damaged:
                continue
            if kind == Kind.STUDY_KEY and name not in self._of_names:
                self._of_names[name] = place  # there may be very many: a glance at each must do
                continue
            here = content[place * PLACE : (place + 1) * PLACE]
            if here in (EMPTY, vacant(place)):
                self._free.append(place)
            elif (record := Record.from_bytes(here)) is not None:
                self._note(place, record)

    def _refuse_newer(self, contents: list[bytes]) -> None:
        versions = list(map(_version, contents))
        sure = [
            version
            for version, content in zip(versions, contents, strict=True)
            if content[:PLACE] == _header(version)
        ]
        if max(sure, default=0) > _VERSION or min(versions, default=0) > _VERSION:
            raise SecretError(
                f"the ring of keys {self._path} was written by a newer version",
                hint="install the newer version again",
            )

    def _load_epochs(self, contents: list[bytes]) -> None:
        for content in contents:
            for place, record in _epochs_in(content):
                if (key := self.root.open(place, record)) is not None:
                    self.epochs[key.number] = key

    def _fail(self, contents: list[bytes]) -> None:
        """No epoch opens: either the root is another one, or all that it opened is damaged."""
        headers = [content[:PLACE] for content in contents if _version(content) == 1]
        others = [
            record
            for content in contents
            for _, record in _epochs_in(content)
            if record.form == FORM and record.name != self.root.name
        ]
        if others or (headers and self._former_header not in headers):
            raise WrongKey(
                "the root key does not open the keys of this box",
                hint="give the key that this data was made with",
            )
        raise SecretError(
            f"the ring of keys {self._path} can't be read: it was damaged, and so was its copy",
            hint=RESTORE,
        )

    def _repair(self, repairs: dict[int, bytes]) -> None:
        try:
            self._file.write(repairs)
        except OSError as error:
            # All keys are here; a disk that is full may have room at the next start.
            log.error("a copy of the ring of keys is damaged and can't be repaired: %s", error)
        else:
            log.warning(
                "%d places of the ring of keys were damaged in one copy, and are repaired",
                len(repairs),
            )

    def _note(self, place: int, record: Record) -> None:
        if record.kind is Kind.EPOCH:
            # One that is not whole names nobody's root.
            if record.form == FORMER or self.is_sound(place, record.to_bytes()):
                self.wraps[place] = record
        elif record.kind is Kind.MASTER:
            self._of_master.append(place)
        else:
            known = self._of_names.get(record.name)
            # Two places with one name: somebody wrote to the file. That which opens counts.
            if known is None or self.unwrap(place, record) is not None:
                self._of_names[record.name] = place


def _version(content: bytes) -> int:
    """Of a copy; 0 if it has no header."""
    if len(content) < PLACE or content[: len(_MAGIC)] != _MAGIC:
        return 0
    return content[len(_MAGIC)]


def _epochs_in(content: bytes) -> Iterator[tuple[int, Record]]:
    """What looks like the key of an epoch."""
    for place, kind in enumerate(content[::PLACE]):
        if kind == Kind.EPOCH and place:
            record = Record.from_bytes(content[place * PLACE : (place + 1) * PLACE])
            if record is not None:
                yield place, record

"""The store's process: content in, sealed files out; and back.

It is started by `edge.store.process`, with the descriptors of its lanes as arguments. Hashing,
sealing, syncing and opening take as much processor time as everything else that is done to an image
on its way in or out; here they have an interpreter of their own, so that they take none of the
event loop's.

Owns the crash order of a put: write incoming -> fsync file -> rename -> fsync folder. A crash
before the rename leaves a file in incoming, which the next start removes; one after it leaves an
object that nobody names. It ends when the service does, in the middle of whatever it does. As long
as it lives, it holds a shared lock on the folder of what arrives. It has these two folders alone:
all other files, the network and other programs it gives up at its start (`edge.cage`).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.cage import entry, policies
from edge.crypto.durable import sync_folder
from edge.crypto.sealed import HEADER_LENGTH, Header, Opener, Sealer, sealed_length
from edge.dicom.digest import Digester
from edge.errors import EdgeError, SealBroken
from edge.store.memory import keep_freed_memory
from edge.store.messages import (
    LONGEST,
    MEMORY,
    READY,
    SLOT,
    Begin,
    Opened,
    Outcome,
    Piece,
    Sealed,
    Sought,
)
from edge.store.new_file import NewFile
from edge.store.shelves import Shelves

__all__ = ["main"]

_SEALING: Final = 4
_OPENING: Final = 2
"""Threads."""


class _Aside:
    """One more thread, for who finds it idle: of objects that come one by one, each is done sooner.

    When several come at once, all processors have enough to do, and handing over would only cost.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._idle = threading.Lock()

    @contextmanager
    def doing(self, call: Callable[[], object]) -> Iterator[None]:
        """Have something done until this is left, before it is entered if need be."""
        if not self._idle.acquire(blocking=False):
            call()
            yield
            return
        try:
            job = self._thread.submit(call)
            try:
                yield
            finally:
                wait([job])
            job.result()
        finally:
            self._idle.release()


class _Object:
    """One object on its way to the disk.

    Args:
        begin: It.
        aside: Hashes its content meanwhile: nothing else takes so long.
    """

    def __init__(self, begin: Begin, aside: _Aside) -> None:
        self._begin = begin
        self._aside = aside
        header = Header.from_bytes(begin.header)
        self._sealer = Sealer(header, begin.secret, bytes.fromhex(begin.name))
        self._digester = Digester(begin.dataset_offset)
        self._file = NewFile(begin.incoming)
        self._content = 0
        self.has_failed = False
        """A piece did, or is under way: what follows would leave a hole."""

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Seal and write the next content."""
        with self._aside.doing(partial(self._hash, pieces)):
            self._seal(pieces)

    def commit(self, pieces: Sequence[memoryview], number: int) -> Outcome:
        """Seal and write the last content, and make the object durable under its own name."""
        with self._aside.doing(partial(self._hash, pieces)):
            self._seal(pieces, is_last=True)
            self._file.sync()
        self._file.close()
        Path(self._begin.incoming).rename(self._begin.final)
        sync_folder(self._begin.folder)
        meta, dataset = self._digester.digests()
        return Outcome(number, "", 0, self._content, self._file.length, meta, dataset)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _hash(self, pieces: Sequence[memoryview]) -> None:
        for piece in pieces:
            self._digester.update(piece)

    def _seal(self, pieces: Sequence[memoryview], *, is_last: bool = False) -> None:
        with self._file.filling() as room:
            if not self._file.length:
                room(HEADER_LENGTH)[:] = self._begin.header
            for piece in pieces:
                self._content += len(piece)
                self._sealer.seal(piece, room)
            if is_last:
                self._sealer.finish(room)


class _Seals:
    """Serves the lane of what is sealed."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._objects: dict[int, _Object] = {}
        self._aside = _Aside()

    def answer(self, piece: Piece) -> Outcome:
        """Take the next piece of an object; one of which a piece failed can only be discarded."""
        number = piece.number
        try:
            if piece.begin is not None:
                self._objects[number] = _Object(piece.begin, self._aside)
            found = self._objects[number]
            if piece.end != "discard":
                return self._take(found, piece)
            self._objects.pop(number).close()
        except OSError as error:
            return Outcome(number, error.strerror or "the disk failed", error.errno or 0)
        except EdgeError as error:
            return Outcome(number, str(error))
        except Exception as error:  # noqa: BLE001 - the service is to hear of it, whatever it is
            return Outcome(number, f"sealing failed ({type(error).__name__})")
        return Outcome(number)

    def _take(self, found: _Object, piece: Piece) -> Outcome:
        content = [self._memory[start : start + size] for start, size in piece.parts]
        if found.has_failed:
            raise EdgeError("a piece of this object failed before")
        found.has_failed = True
        if piece.end == "commit":
            outcome = found.commit(content, piece.number)
            self._objects.pop(piece.number)
        else:
            found.write(content)
            outcome = Outcome(piece.number)
        found.has_failed = False
        return outcome


class _Opens:
    """Serves the lane of what is opened."""

    def __init__(self, shelves: Shelves, memory: memoryview) -> None:
        self._shelves = shelves
        self._memory = memory
        self._own = threading.local()

    def answer(self, sought: Sought) -> Opened:
        """Open some objects."""
        return Opened(sought.number, [self._open(one) for one in sought.objects])

    def _open(self, sealed: Sealed) -> bool:
        length = sealed_length(sealed.content_bytes)
        try:
            view = self._read(self._shelves.path(sealed.name), length)
            header = Header.from_bytes(view[:HEADER_LENGTH].tobytes())
            name = bytes.fromhex(sealed.name)
            opener = Opener(header, sealed.secret, name, length, lambda at, n: view[at : at + n])
            opener.read_into([self._memory[start : start + SLOT] for start in sealed.slots])
        except (OSError, EdgeError):
            return False  # whoever opens it the other way finds out why
        return True

    def _read(self, path: str, length: int) -> memoryview:
        """The whole file, in memory that each thread uses again and again.

        Raises:
            SealBroken: It has another length.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            held: bytearray | None = getattr(self._own, "held", None)
            if held is None or len(held) <= length:
                held = self._own.held = bytearray(length + 1)
            view = memoryview(held)
            if os.preadv(descriptor, [view[: length + 1]], 0) != length:
                raise SealBroken("an object has another length than it had")
            return view[:length]
        finally:
            os.close(descriptor)


def _serve(lane: socket.socket, kind: type[Any], answer: Callable[[Any], object]) -> None:
    """Answer over a lane until the service is gone."""
    decoder, encoder = msgspec.msgpack.Decoder(kind), msgspec.msgpack.Encoder()
    try:
        # Whichever thread is idle takes the next message: each is whole (SOCK_SEQPACKET).
        while message := lane.recv(LONGEST):
            lane.send(encoder.encode(answer(decoder.decode(message))))
    finally:
        # The service is gone, and whatever is under way will not be asked for; or this thread
        # can't go on, and the service shall know that what it had is lost.
        os._exit(0)


def main(arguments: Sequence[str]) -> None:
    """Run until the service ends.

    Args:
        arguments: The folder of what arrives, and that of the objects; and of both lanes, that of
            what is sealed first, the descriptors of socket and memory.
    """
    keep_freed_memory()
    incoming, shelves, *descriptors = arguments
    folder = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(folder, fcntl.LOCK_SH)
    sealing, sealing_memory, opening, opening_memory = map(int, descriptors)
    to_seal, to_open = socket.socket(fileno=sealing), socket.socket(fileno=opening)
    lacks = entry.enter(policies.store(Path(incoming), Path(shelves)))
    threads = [
        *[(to_seal, Piece, _Seals(_mapped(sealing_memory)).answer)] * _SEALING,
        *[(to_open, Sought, _Opens(Shelves(Path(shelves)), _mapped(opening_memory)).answer)]
        * _OPENING,
    ]
    for each in threads:
        threading.Thread(target=_serve, args=each, daemon=True).start()
    to_seal.send(msgspec.msgpack.encode(Outcome(READY, "; ".join(lacks))))
    threading.Event().wait()


def _mapped(descriptor: int) -> memoryview:
    return memoryview(mmap.mmap(descriptor, MEMORY))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The process that seals: content in, sealed files out.

It is started by `edge.store.sealing` with a socket as its standard input and the number of a file
descriptor, the common memory, as its argument. Hashing, sealing and syncing take as much processor
time as everything else that is done to an image on its way in; here they have an interpreter of
their own, so that they take none of the event loop's.

Owns the crash order of a put: write incoming -> fsync file -> rename -> fsync folder. A crash
before the rename leaves a file in incoming, which the next start removes; one after it leaves an
object that nobody names. It ends when the service does, in the middle of whatever it does. As long
as it lives, it holds a shared lock on the folder of what arrives.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from edge.crypto.durable import sync_folder
from edge.crypto.sealed import Header, Sealer
from edge.dicom.digest import Digester
from edge.errors import EdgeError
from edge.store.messages import ARENA, LONGEST, READY, Begin, Outcome, Piece

__all__ = ["main"]

_THREADS: Final = 4
_VECTOR: Final = 256
"""Buffers that one writev is given; Linux takes 1024."""


class _Object:
    """One object on its way to the disk."""

    def __init__(self, begin: Begin) -> None:
        self._incoming, self._final = Path(begin.incoming), Path(begin.final)
        self._header = begin.header
        name = bytes.fromhex(self._final.name)
        self._sealer = Sealer(Header.from_bytes(begin.header), begin.secret, name)
        self._digester = Digester(begin.dataset_offset)
        self._descriptor = -1
        self._content = 0
        self._sealed = 0

    def write(self, pieces: Sequence[memoryview], *, is_last: bool) -> None:
        """Seal and write the next content."""
        sealed: list[bytes] = []
        if self._descriptor < 0:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            self._descriptor = os.open(self._incoming, flags, 0o600)
            sealed.append(self._header)
        for piece in pieces:
            self._content += len(piece)
            self._digester.update(piece)
            sealed += self._sealer.seal(piece)
        if is_last:
            sealed.append(self._sealer.finish())
        self._put(sealed)

    def commit(self, number: int) -> Outcome:
        """Make it durable, under its own name."""
        os.fsync(self._descriptor)
        self.close()
        self._incoming.rename(self._final)
        sync_folder(self._final.parent)
        meta, dataset = self._digester.digests()
        return Outcome(number, "", 0, self._content, self._sealed, meta, dataset)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _put(self, parts: Sequence[bytes]) -> None:
        for first in range(0, len(parts), _VECTOR):
            vector = parts[first : first + _VECTOR]
            total = sum(map(len, vector))
            written = os.writev(self._descriptor, vector)
            self._sealed += total
            if written < total:
                rest = memoryview(b"".join(vector))[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]


class _Worker:
    def __init__(self, connection: socket.socket, memory: memoryview) -> None:
        self._connection = connection
        self._memory = memory
        self._objects: dict[int, _Object] = {}

    def run(self) -> None:
        """Answer until the other side is gone."""
        for _ in range(_THREADS - 1):
            threading.Thread(target=self._serve, daemon=True).start()
        self._connection.send(msgspec.msgpack.encode(Outcome(READY)))
        self._serve()

    def _serve(self) -> None:
        decoder = msgspec.msgpack.Decoder(Piece)
        try:
            # Whichever thread is idle takes the next message: each is whole (SOCK_SEQPACKET).
            while message := self._connection.recv(LONGEST):
                outcome = self._outcome(decoder.decode(message))
                self._connection.send(msgspec.msgpack.encode(outcome))
        finally:
            # The service is gone, and whatever is under way will not be asked for; or this thread
            # can't go on, and the service shall know that what it had is lost.
            os._exit(0)

    def _outcome(self, piece: Piece) -> Outcome:
        number = piece.number
        try:
            if piece.begin is not None:
                self._objects[number] = _Object(piece.begin)
            found = self._objects[number]
            if piece.end != "discard":
                content = [self._memory[start : start + size] for start, size in piece.parts]
                found.write(content, is_last=piece.end == "commit")
            outcome = found.commit(number) if piece.end == "commit" else Outcome(number)
            if piece.end:
                self._objects.pop(number).close()
        except OSError as error:
            return Outcome(number, error.strerror or "the disk failed", error.errno or 0)
        except EdgeError as error:
            return Outcome(number, str(error))
        except Exception as error:  # noqa: BLE001 - the service is to hear of it, whatever it is
            return Outcome(number, f"sealing failed ({type(error).__name__})")
        return outcome


def main(arguments: Sequence[str]) -> None:
    """Run until the service ends.

    Args:
        arguments: The folder of what arrives, and the descriptor of the common memory.
    """
    incoming, descriptor = arguments
    folder = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(folder, fcntl.LOCK_SH)
    memory = memoryview(mmap.mmap(int(descriptor), ARENA))
    _Worker(socket.socket(fileno=os.dup(sys.stdin.fileno())), memory).run()


if __name__ == "__main__":
    main(sys.argv[1:])

"""The ring of keys: how long all of it takes to be wrapped anew, and who waits meanwhile.

Measures the edge alone: no other server here has keys. Objects lie beside the ring, and are looked
at before and after: a figure counts only if none of them was touched.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

from edge.crypto.durable import write_file
from edge.crypto.keys import KeyRing
from edge.crypto.places import first_places
from edge.crypto.sealed import KEY_ID_LENGTH
from edge.crypto.twin import PLACE, copies
from edge.crypto.wrapping import SECRET, Kind, Record, Root
from tests.bench.servers import EDGE
from tests.bench.stand import Stand
from tests.bench.table import Line, Unit
from tests.bench.workplace import BenchError

__all__ = ["fill", "measure"]

_ROOT = bytes(SECRET)
_OBJECTS = 500
_LONGEST = 60
"""Seconds that all of it may take."""


class _Given:
    def root_secret(self, *, first_start: bool) -> bytes:
        del first_start
        return _ROOT


def fill(path: Path, count: int) -> dict[bytes, bytes]:
    """Write a ring of so many study keys, some of which are given back; one by one takes hours."""
    root = Root.of(_ROOT)
    content = bytearray(first_places(root, os.urandom(SECRET)))
    first = Record.from_bytes(bytes(content[PLACE : 2 * PLACE]))
    epoch = root.open(1, first) if first is not None else None
    if epoch is None:
        raise BenchError("a new ring of keys does not open")
    some: dict[bytes, bytes] = {}
    for place in range(len(content) // PLACE, len(content) // PLACE + count):
        name, secret = os.urandom(KEY_ID_LENGTH), os.urandom(SECRET)
        content += epoch.wrap(place, Kind.STUDY_KEY, name, secret).to_bytes()
        if place % 97 == 0:
            some[name] = secret
    for copy in copies(path):
        write_file(copy, bytes(content))
    return some


def measure(stand: Stand) -> None:
    """Measure a ring of as many study keys as the scale says."""
    count = stand.scale.study_keys
    section = f"keys of {count:,} studies"
    for _ in range(stand.scale.rounds):
        folder = stand.workplace.fresh("ring")
        some = fill(folder / "keys.db", count)
        for number in range(_OBJECTS):
            (folder / f"{number}.object").write_bytes(os.urandom(4096))
        before = _seen(folder)
        began = time.perf_counter()
        keys = KeyRing(folder / "keys.db", _Given(), may_create=False)
        stand.add(Line(section, "opened", Unit.SECONDS), EDGE, time.perf_counter() - began)
        try:
            waiting = _Waiting(keys)
            with waiting:
                began = time.perf_counter()
                done = keys.rotate()
                seconds = time.perf_counter() - began
            line = Line(section, "wrapped anew", Unit.SECONDS, at_most=_LONGEST)
            stand.add(line, EDGE, seconds)
            line = Line(section, "longest wait for a new key meanwhile", Unit.MILLISECONDS)
            stand.add(line, EDGE, waiting.longest * 1000)
            began = time.perf_counter()
            keys.destroy([next(iter(some))])
            stand.add(
                Line(section, "one destroyed", Unit.MILLISECONDS),
                EDGE,
                (time.perf_counter() - began) * 1000,
            )
        finally:
            keys.close()
        if not count <= done.study_keys <= count + waiting.made:
            raise BenchError(f"{done.study_keys} keys were wrapped anew, and not {count}")
        _check(folder, some)
        if _seen(folder) != before:
            raise BenchError("an object was touched while keys were wrapped anew")
        stand.workplace.remove(folder)


class _Waiting:
    """Makes study keys one after another, as intake does, and keeps the longest wait."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest = 0.0
        self.made = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.01):
            began = time.perf_counter()
            self._keys.new_study_key()
            self.longest = max(self.longest, time.perf_counter() - began)
            self.made += 1


def _check(folder: Path, some: dict[bytes, bytes]) -> None:
    keys = KeyRing(folder / "keys.db", _Given(), may_create=False, owned=False)
    try:
        for name, secret in list(some.items())[1:]:
            if keys.study_key(name).secret != secret:
                raise BenchError("a key is another one than before it was wrapped anew")
    finally:
        keys.close()


def _seen(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for path in folder.glob("*.object"):
        stat = path.stat()
        digest = hashlib.sha256(path.read_bytes()).digest()
        found[path.name] = stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, digest
    return found

"""A drop folder in which somebody put what unpacks to more than there is, or leads elsewhere."""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib
from functools import partial

import pytest

from tests.bench.servers import Edge
from tests.conformance import material
from tests.conformance.running import service_of
from tests.conformance.service import DICOM

PATIENCE = 60.0


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    """One with a drop folder."""
    folder = tmp_path_factory.mktemp("edge")
    (folder / "drop").mkdir()
    server = Edge(folder)
    with server.config.open("a", encoding="utf-8") as file:
        file.write(f'[dropfolder]\npath = "{folder / "drop"}"\nsettle_seconds = 0.2\n')
    try:
        server.start()
        yield server
        log = (folder / "edge.log").read_text(encoding="utf-8")
        assert [line for line in log.splitlines() if " ERROR " in line] == []
    finally:
        server.discard()


@pytest.fixture(scope="module")
def service(edge):
    with service_of(edge) as made:
        yield made


@pytest.fixture(scope="module")
def drop(edge):
    return edge.config.parent / "drop"


def until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def bomb(size: int, copies: int) -> bytes:
    """Members that share the bytes of one, each of which becomes so many."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A full flush forgets what came before: the same MiB is the same bytes, over and over.
    mebibyte = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    packed = mebibyte * (size >> 20) + deflater.flush()
    crc = zlib.crc32(bytes(1 << 20))
    for _ in range((size >> 20) - 1):
        crc = zlib.crc32(bytes(1 << 20), crc)
    facts = struct.pack("<HHHIIIHH", 8, 0, 0x21, crc, len(packed), size, 1, 0)
    body = b"PK\3\4" + struct.pack("<HH", 20, 0) + facts + b"a" + packed
    entry = (
        b"PK\1\2" + struct.pack("<HHH", 20, 20, 0) + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    )
    directory = (entry + b"a") * copies
    end = struct.pack("<4HIIH", 0, 0, copies, copies, len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


SAMPLE = material.build().fresh()
BAD = {
    "one-bomb.zip": partial(bomb, 1 << 30, 3),
    "many-bombs.zip": partial(bomb, 1 << 26, 10_000),
    "nested.zip": zipped(("a.zip", zipped(("b.zip", zipped(("c", b"x")))))),
    "liar.zip": zipped(("a", SAMPLE.data)).replace(
        struct.pack("<I", len(SAMPLE.data)), struct.pack("<I", 10)
    ),
    "no-end.zip": zipped(("a", SAMPLE.data))[:-30],
    "encrypted.zip": zipped(("a", b"x")).replace(
        b"PK\1\2\x14\x03\x14\0\0\0", b"PK\1\2\x14\x03\x14\0\1\0"
    ),
    "bomb.dcm": SAMPLE.data[:140] + bytes(5_000_000),
    "no-dicom": b"%PDF-1.7",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_is_put_aside_and_stops_nothing(name, drop, service):
    path = drop / name
    bad = BAD[name]
    path.with_suffix(".part").write_bytes(bad if isinstance(bad, bytes) else bad())
    path.with_suffix(".part").rename(path)
    good = material.build().fresh()
    (drop / "good.dcm").write_bytes(good.data)
    until(lambda: service.get(good.path, DICOM).status_code == 200, "a good file waits")
    until(lambda: not (drop / "good.dcm").exists(), "a good file stays")


def test_names_in_an_archive_lead_nowhere(drop, service, edge):
    sample = material.build().fresh()
    names = ("../../evil.dcm", "/tmp/evil.dcm", "..\\evil.dcm", "C:\\evil.dcm")
    (drop / "away.zip").write_bytes(zipped(*((name, sample.data) for name in names)))
    until(lambda: service.get(sample.path, DICOM).status_code == 200, "it is not taken in")
    found = [path.name for path in edge.config.parent.rglob("*evil*")]
    assert found == []
    assert not list(drop.parent.parent.glob("evil*"))

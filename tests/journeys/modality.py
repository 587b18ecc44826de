"""What sends images: DCMTK's tools, and pynetdicom for what DCMTK can't propose.

DCMTK encodes a data set anew before it sends it, so what was sent is not always what is in the
file. A `Wiretap` between the two keeps what went over the wire, and is the judge of what has to
come back.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import re
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pydicom.filereader import dcmread
from pydicom.uid import UID
from pynetdicom import AE, _config

from tests.journeys.viewer import Part10, identity

PATIENCE = 60.0
_MOST_CONTEXTS = 128
"""PS3.8 9.3.2.2: their IDs are the odd numbers below 256."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program said."""

    status: int
    output: str

    @property
    def has_succeeded(self) -> bool:
        return self.status == 0


async def dcmtk(
    tool: str, port: int, *arguments: object, called: str = "EDGE", calling: str = "MODALITY"
) -> Ran:
    """Run one of DCMTK's tools against a port of loopback, without Nagle's 40 ms an instance."""
    process = await asyncio.create_subprocess_exec(
        tool,
        *("-aet", calling, "-aec", called, "127.0.0.1", str(port)),
        *map(str, arguments),
        env=os.environ | {"TCP_NODELAY": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    return Ran(process.returncode or 0, output.decode(errors="replace"))


async def dcmsend(port: int, *paths: Path) -> Counter[str]:
    """All files (or folders of them) over one association, each in its own transfer syntax.

    Returns what was answered to each, in DCMTK's words: ``{"Success": 12}``.
    """
    ran = await dcmtk("dcmsend", port, "-v", "-nh", "-nuc", "+sd", *paths)
    return Counter(re.findall(r"Received C-STORE Response \((.*)\)", ran.output))


async def send(port: int, paths: Iterable[Path]) -> Counter[int]:
    """C-STORE by pynetdicom, data sets byte for byte as they are in the files; the statuses."""
    return await asyncio.to_thread(_send, port, list(paths))


def _send(port: int, paths: Sequence[Path]) -> Counter[int]:
    statuses: Counter[int] = Counter()
    metas = {path: pydicom.filereader.read_file_meta_info(path) for path in paths}
    contexts = {
        path: (UID(meta.MediaStorageSOPClassUID), UID(meta.TransferSyntaxUID))
        for path, meta in metas.items()
    }
    wanted = list(dict.fromkeys(contexts.values()))
    for start in range(0, len(wanted), _MOST_CONTEXTS):
        some = wanted[start : start + _MOST_CONTEXTS]
        left = [path for path, context in contexts.items() if context in some]
        while left:
            answers = _send_on_one_association(port, some, left)
            assert answers, "no answer was heard"
            statuses.update(answers)
            left = left[len(answers) :]
    return statuses


def _send_on_one_association(
    port: int, contexts: Sequence[tuple[UID, UID]], paths: Sequence[Path]
) -> list[int]:
    """The statuses of all, or of the first ones.

    Now and then pynetdicom's own thread takes an answer away from ``send_c_store`` ("Received
    unexpected C-STORE service message"), which ends the association.
    """
    ae = AE("MODALITY")
    ae.maximum_pdu_size = 0
    ae.dimse_timeout = PATIENCE
    for sop_class, syntax in contexts:
        ae.add_requested_context(sop_class, [syntax])
    association = ae.associate("127.0.0.1", port, ae_title="EDGE")
    assert association.is_established, "the association was not accepted"
    refused = [context.abstract_syntax for context in association.rejected_contexts]
    assert not refused, f"not accepted: {refused}"
    statuses: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
        for path in paths:
            answer = association.send_c_store(path)
            if "Status" not in answer:
                return statuses
            statuses.append(answer.Status)
    association.release()
    return statuses


def with_its_own_names(path: Path, folder: Path) -> Path:
    """The file, or a copy whose file meta names the instance that the data set is.

    Some packaged files name another one; pynetdicom announces what the file meta says.
    """
    data = path.read_bytes()
    meta, dataset = pydicom.filereader.read_file_meta_info(path), identity(data)
    names = (dataset.SOPClassUID, dataset.SOPInstanceUID)
    if (meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID")) == names:
        return path
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = names
    file = io.BytesIO()
    file.write(bytes(128) + b"DICM")
    pydicom.filewriter.write_file_meta_info(file, meta)
    copy = folder / path.name
    copy.write_bytes(file.getvalue() + Part10.of(data).dataset)
    return copy


@dataclass
class Wiretap:
    """Stands between a modality and the box, and remembers what passed."""

    port: int = 0
    _wires: list[tuple[bytearray, bytearray]] = field(default_factory=list)

    def stored(self) -> dict[str, Part10]:
        """The data set of every C-STORE that passed, by its Affected SOP Instance UID."""
        found = itertools.chain.from_iterable(_stores(*wire) for wire in self._wires)
        return {one.sop_uid: one for one in found}


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[Wiretap]:
    """Listen on the way to a port of loopback."""
    tap = Wiretap()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray):
        while data := await reader.read(1 << 18):
            seen += data
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = bytearray(), bytearray()
        tap._wires.append((there, back))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            copy(reader, far_writer, there), copy(far_reader, writer, back), return_exceptions=True
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    tap.port = server.sockets[0].getsockname()[1]
    async with server:
        yield tap


def _pdus(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each PDU (PS3.8 9.3.1)."""
    position = 0
    while position + 6 <= len(stream):
        kind, length = struct.unpack_from(">BxI", stream, position)
        yield kind, stream[position + 6 : position + 6 + length]
        position += 6 + length


def _stores(there: bytes, back: bytes) -> Iterator[Part10]:
    """The data sets that went *there*, in the syntaxes that were agreed on *back*."""
    syntaxes = dict(
        context for kind, body in _pdus(back) if kind == 2 for context in _accepted(body)
    )
    command, dataset = bytearray(), bytearray()
    for kind, body in _pdus(there):
        position = 0
        while kind == 4 and position < len(body):
            length, context, control = struct.unpack_from(">IBB", body, position)
            value = body[position + 6 : position + 4 + length]
            position += 4 + length
            if control & 1:
                command += value
                continue
            dataset += value
            if control & 2:
                said = dcmread(io.BytesIO(bytes(command)), force=True)
                uid = str(said.AffectedSOPInstanceUID)
                yield Part10(uid, syntaxes[context], bytes(dataset))
                command, dataset = bytearray(), bytearray()


def _accepted(body: bytes) -> Iterator[tuple[int, str]]:
    """Presentation contexts of an A-ASSOCIATE-AC with their transfer syntax (PS3.8 9.3.3.2)."""
    position = 68
    while position < len(body):
        kind, length = struct.unpack_from(">BxH", body, position)
        value = body[position + 4 : position + 4 + length]
        if kind == 0x21:
            yield value[0], value[8:].decode("ascii")
        position += 4 + length

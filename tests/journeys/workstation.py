"""A workstation that fetches over DICOM: DCMTK's movescu and getscu, and receivers to be moved to.

What it got is read from the files that it wrote, with code that is not the edge's.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.config import Peer
from tests.dimse import raw
from tests.journeys.modality import Ran, dcmtk
from tests.journeys.viewer import Part10
from tests.ports import free_port

TITLE = "WORKSTATION"
LEVEL = "QueryRetrieveLevel"
RETRIEVER = Peer(TITLE, may=("query", "retrieve"))


@dataclass
class Station:
    """Where images arrive."""

    port: int
    folder: Path | None = None
    admission: raw.RecordingAdmission = field(default_factory=raw.RecordingAdmission)
    title: str = "DEST"

    @property
    def peer(self) -> Peer:
        """As the box has to know it."""
        return Peer(self.title, host="127.0.0.1", port=self.port, may=())

    def got(self) -> dict[str, Part10]:
        """All that arrived, by SOP Instance UID."""
        if self.folder is None:
            files = list(self.admission.instances.values())
        else:
            files = [path.read_bytes() for path in self.folder.iterdir()]
        return {one.sop_uid: one for one in map(Part10.of, files)}


@asynccontextmanager
async def receiving(**settings: Any) -> AsyncIterator[Station]:
    """A receiver of our own, that keeps data sets as they come."""
    admission = raw.RecordingAdmission()
    async with raw.serving(admission, **({"ae_title": "DEST"} | settings)) as server:
        yield Station(server.port, admission=admission)


@asynccontextmanager
async def storescp(folder: Path, *options: str) -> AsyncIterator[Station]:
    """DCMTK's receiver, with its choice of transfer syntaxes; what it writes is what came."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "storescp",
        *("-q", "-aet", "DEST", "+B", "-od", str(folder), *options, str(port)),
        env=os.environ | {"TCP_NODELAY": "1"},
    )
    try:
        async with asyncio.timeout(raw.PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                break
        yield Station(port, folder)
    finally:
        process.terminate()
        await process.wait()


async def movescu(
    port: int, *keys: str, model: str = "-S", to: str = "DEST", options: tuple[str, ...] = ()
) -> Ran:
    """Ask for instances to be moved."""
    words = [word for key in keys for word in ("-k", key)]
    arguments = ("-d", model, "-aem", to, *options, *words)
    return await dcmtk("movescu", port, *arguments, calling=TITLE)


async def getscu(
    port: int, folder: Path, *keys: str, model: str = "-S", options: tuple[str, ...] = ()
) -> Ran:
    """Get instances; they are written as they came."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [word for key in keys for word in ("-k", key)]
    arguments = ("-d", model, "+B", "-od", folder, *options, *words)
    return await dcmtk("getscu", port, *arguments, calling=TITLE)


def final(ran: Ran) -> dict[str, str]:
    """The last response that a tool printed: what DCMTK's dump calls each field."""
    dump = ran.output.rpartition("INCOMING DIMSE MESSAGE")[2]
    return {name.strip(): value.strip() for name, value in re.findall(r"D: ([^:]+):(.*)", dump)}


def status(ran: Ran) -> int:
    """Its status."""
    found = re.search(r"0x([0-9a-fA-F]{4})", final(ran)["DIMSE Status"])
    assert found, ran.output
    return int(found[1], 16)


def counts(ran: Ran) -> tuple[str, ...]:
    """Remaining, completed, failed and warning sub-operations of the last response."""
    names = ("Remaining", "Completed", "Failed", "Warning")
    return tuple(final(ran).get(f"{name} Suboperations", "none") for name in names)

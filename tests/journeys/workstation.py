"""A workstation that fetches over DICOM: DCMTK's movescu and getscu, and receivers to be moved to.

What it got is read from the files that it wrote, with code that is not the edge's.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.config import Dimse
from edge.dicom.identifier import read_identifier, write_identifier
from edge.dimse.dialogue import Response
from edge.dimse.messages import CommandField, Element
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer, Requestor
from edge.others import Peer
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
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
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
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
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


STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"


@asynccontextmanager
async def asking(port: int) -> AsyncIterator[Requestor]:
    """An association over which moves can be asked for, answer by answer."""
    dialer = Dialer(Dimse(ae_title=TITLE))
    proposal = Proposal(STUDY_ROOT_MOVE, (raw.IMPLICIT,))
    async with dialer.associate("127.0.0.1", port, "EDGE", [proposal]) as requestor:
        yield requestor


def moving(
    requestor: Requestor, *study_uids: str, to: str = "DEST", seconds: float = 20.0
) -> AsyncGenerator[Response]:
    """The answers to a C-MOVE of studies."""
    identifier = {
        "00080052": {"vr": "CS", "Value": ["STUDY"]},
        "0020000D": {"vr": "UI", "Value": list(study_uids)},
    }
    return requestor.dialogue.requests(
        1,
        CommandField.C_MOVE,
        {
            Element.AFFECTED_SOP_CLASS_UID: STUDY_ROOT_MOVE,
            Element.PRIORITY: 0,
            Element.MOVE_DESTINATION: to,
        },
        write_identifier(identifier, raw.IMPLICIT),
        seconds=seconds,
    )


def counted(response: Response) -> tuple[int | None, ...]:
    """Remaining, completed, failed and warning sub-operations."""
    elements = (
        Element.REMAINING_SUBOPERATIONS,
        Element.COMPLETED_SUBOPERATIONS,
        Element.FAILED_SUBOPERATIONS,
        Element.WARNING_SUBOPERATIONS,
    )
    return tuple(response.command.number(element) for element in elements)


def failed_list(response: Response) -> list[str]:
    """Failed SOP Instance UID List (0008,0058)."""
    if not response.data_set:
        return []
    return list(read_identifier(response.data_set, raw.IMPLICIT)["00080058"]["Value"])

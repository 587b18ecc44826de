"""Worklists for tests: items made by pydicom, DCMTK's wlmscpfs, and queries by its findscu.

Owns what the tests of the worklist share. Nothing here uses the code that is tested.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests import ports

__all__ = ["day", "find", "item", "model", "pynetdicom_find", "save", "wlmscpfs"]

MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
PATIENCE = 30.0


def day(offset: int = 0) -> str:
    """As the box goes by the clock on the wall, too."""
    return f"{date.today() + timedelta(days=offset):%Y%m%d}"  # noqa: DTZ011


def item(
    number: int = 1,
    *,
    name: str = "DOE^JANE",
    patient: str = "",
    station: str = "CT1",
    modality: str = "CT",
    when: str = "",
    at: str = "0900",
    physician: str = "ROE^JANE",
    charset: str = "",
    **fields: Any,
) -> Dataset:
    """An item with all that wlmscpfs wants it to have; *fields* are further ones by keyword."""
    step = Dataset()
    step.Modality = modality
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = when or day()
    step.ScheduledProcedureStepStartTime = at
    step.ScheduledPerformingPhysicianName = physician
    step.ScheduledProcedureStepDescription = f"{modality} step {number}"
    step.ScheduledProcedureStepID = f"SPS{number}"
    step.ScheduledStationName = "ROOM"
    step.ScheduledProcedureStepLocation = "HERE"
    found = Dataset()
    if charset:
        found.SpecificCharacterSet = charset
    found.AccessionNumber = f"A{number}"
    found.ReferringPhysicianName = "WILSON^JAMES"
    found.PatientName = name
    found.PatientID = patient or f"P{number}"
    found.PatientBirthDate = "19700101"
    found.PatientSex = "F"
    found.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.77.{number}"
    found.RequestedProcedureDescription = f"procedure {number}"
    found.RequestedProcedureID = f"RP{number}"
    found.RequestedProcedurePriority = "ROUTINE"
    for keyword, value in fields.items():
        setattr(found, keyword, value)
    found.ScheduledProcedureStepSequence = [step]
    return found


def model(dataset: Dataset) -> dict[str, Any]:
    """Its DICOM JSON, of plain types."""
    return json.loads(dataset.to_json())


def save(dataset: Dataset, path: Path, *, implicit: bool = False) -> Path:
    """Write it as a file; it appears whole, as from a careful writer."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MODALITY_WORKLIST
    meta.MediaStorageSOPInstanceUID = dataset.get("StudyInstanceUID", "1.2.3")
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    whole = FileDataset(str(path), dataset, file_meta=meta, preamble=bytes(128))
    growing = path.with_suffix(".tmp")
    whole.save_as(growing, enforce_file_format=True)
    growing.rename(path)
    return path


@asynccontextmanager
async def wlmscpfs(folder: Path, port: int = 0, ae_title: str = "WORKLIST") -> AsyncIterator[int]:
    """DCMTK's worklist SCP over ``folder/ae_title``; yields its port."""
    port = port or ports.free_port()
    database = folder / ae_title
    database.mkdir(parents=True, exist_ok=True)
    (database / "lockfile").touch()
    process = await asyncio.create_subprocess_exec(
        "wlmscpfs",
        "-dfp",
        str(folder),
        "--single-process",
        "--keep-char-set",
        str(port),
        env={**os.environ, "TCP_NODELAY": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not await asyncio.to_thread(_answers, port):
            assert time.monotonic() < deadline, "wlmscpfs does not listen"
            await asyncio.sleep(0.05)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def find(
    port: int, folder: Path, keys: Iterable[str], *, called: str = "EDGE", calling: str = "CT1"
) -> list[Dataset]:
    """What findscu -W gets for these keys, as it writes it to files."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    words = [word for key in keys for word in ("-k", key)]
    process = await asyncio.create_subprocess_exec(
        "findscu", "-v", "-W", "-X", "-od", str(folder), "-aet", calling, "-aec", called,
        *words, "127.0.0.1", str(port),
        env={**os.environ, "TCP_NODELAY": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode(errors="replace")
    assert b"Status: Success" in output or b"Success" in output, output.decode(errors="replace")

    def read() -> list[Dataset]:
        found = []
        for path in sorted(folder.glob("rsp*.dcm")):
            found.append(pydicom.dcmread(path, force=True))
            path.unlink()
        return found

    return await asyncio.to_thread(read)


async def pynetdicom_find(
    port: int, query: Dataset, *, called: str = "EDGE", calling: str = "CT1"
) -> list[tuple[int, Dataset | None]]:
    """Statuses and identifiers that pynetdicom's SCU gets."""

    def ask() -> list[tuple[int, Dataset | None]]:
        from pynetdicom import AE  # noqa: PLC0415 - it takes a second

        ae = AE(ae_title=calling)
        ae.add_requested_context(MODALITY_WORKLIST)
        association = ae.associate("127.0.0.1", port, ae_title=called)
        assert association.is_established
        try:
            return [
                (status.Status, identifier)
                for status, identifier in association.send_c_find(query, MODALITY_WORKLIST)
            ]
        finally:
            association.release()

    return await asyncio.to_thread(ask)

"""Indexes of many studies, filled before they are searched; what is in them is made up.

A study is a function of its number, so that both servers hold the same. The edge learns them as it
learns what an archive lists (its rows are whole, its bytes are elsewhere), in large transactions
while the service is down. Orthanc is sent them as headers without pixels over its own REST API,
without fsync, and for as long as there is time: who asks it must ask for what it has.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from edge.index import remote
from edge.index.database import Connection
from edge.loading import load
from edge.opening import Cache
from tests.bench.servers import Edge, Orthanc, Server
from tests.bench.workplace import BenchError, Catalogue

__all__ = ["Made", "files", "fill"]

_CT = "1.2.840.10008.5.1.4.1.1.2"
_DAYS = 3650
_BATCH = 500
"""Studies in one transaction of the edge."""
_SENDERS = 4
"""Connections to Orthanc; more made it no faster."""


@dataclass(frozen=True, slots=True)
class Made:
    """One study that was made up; all its values have the same length as those of any other."""

    number: int

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return f"2.25.{10**37 + self.number}"

    @property
    def series_uid(self) -> str:
        """Series Instance UID of its one series."""
        return f"2.25.{2 * 10**37 + self.number}"

    @property
    def patient_id(self) -> str:
        """Patient ID; two studies are of one patient."""
        return f"BENCH-{self.number // 2:07}"

    @property
    def patient_name(self) -> str:
        """Patient's Name."""
        return f"Bench^Patient{self.number // 2:07}"

    @property
    def study_date(self) -> str:
        """Study Date: ten years, and as many studies on each of their days."""
        day = date(2015, 1, 1) + timedelta(self.number * 7919 % _DAYS)
        return f"{day:%Y%m%d}"

    @property
    def accession_number(self) -> str:
        """Accession Number."""
        return f"A{self.number:07}"

    def sop_uid(self, instance: int) -> str:
        """SOP Instance UID of an instance, counted from 0."""
        return f"2.25.{3 * 10**37 + self.number * 10_000 + instance}"


def fill(server: Server, catalogue: Catalogue, seconds: float) -> int:
    """Have a running server hold the catalogue; it was started again when this returns.

    Args:
        server: One that speaks DICOMweb.
        catalogue: How much.
        seconds: A server that can only be sent them is sent no more after so long.

    Returns:
        How many of the studies it has, from the first on, each of them whole.
    """
    if isinstance(server, Edge):
        server.stop()
        asyncio.run(_learn(server, catalogue))
        server.start()
        return catalogue.studies
    if isinstance(server, Orthanc):
        server.restart(SyncStorageArea=False)
        filled = _send(server, catalogue, seconds)
        server.restart()
        return filled
    raise BenchError(f"{server.name} can't be filled")


async def _learn(server: Edge, catalogue: Catalogue) -> None:
    async with Cache(load(server.config, {})) as cache:
        numbers = iter(range(catalogue.studies))
        while batch := tuple(itertools.islice(numbers, _BATCH)):
            each = catalogue.instances_each
            await cache.database.write(partial(_learn_batch, batch=batch, each=each))


def _learn_batch(db: Connection, *, batch: tuple[int, ...], each: int) -> None:
    now = time.time()
    for made in map(Made, batch):
        listed = _listed(made, each)
        remote.learn(db, listed, now)
        for series in listed.series:
            for instance in series.instances:
                document = {**listed.attributes, **series.attributes, **instance.attributes}
                remote.set_document(db, instance.sop_uid, document, 0.0)


def _listed(made: Made, each: int) -> RemoteStudy:
    """What an archive would list."""
    study = {
        "00080020": _json("DA", made.study_date),
        "00080030": _json("TM", "101112"),
        "00080050": _json("SH", made.accession_number),
        "00080090": _json("PN", {"Alphabetic": "Sample^Referrer"}),
        "00081030": _json("LO", "Synthetic study"),
        "00100010": _json("PN", {"Alphabetic": made.patient_name}),
        "00100020": _json("LO", made.patient_id),
        "00100030": _json("DA", "19700101"),
        "00100040": _json("CS", "O"),
        "0020000D": _json("UI", made.study_uid),
        "00200010": _json("SH", "S1"),
    }
    series = {
        "00080060": _json("CS", "CT"),
        "0008103E": _json("LO", "Thorax"),
        "0020000E": _json("UI", made.series_uid),
        "00200011": _json("IS", 1),
    }
    instances = tuple(
        RemoteInstance(
            made.sop_uid(number),
            _CT,
            {
                "00080016": _json("UI", _CT),
                "00080018": _json("UI", made.sop_uid(number)),
                "00200013": _json("IS", number + 1),
            },
        )
        for number in range(each)
    )
    one = RemoteSeries(made.series_uid, series, instances)
    return RemoteStudy(made.study_uid, f"{made.number}", study, (one,))


def _json(vr: str, value: object) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def _send(server: Orthanc, catalogue: Catalogue, seconds: float) -> int:
    """Send whole studies until the time is over; how many were sent."""
    deadline = time.monotonic() + seconds
    numbers = _Counter(catalogue.studies)

    def work() -> None:
        with server.web.reader() as reader:
            for number in numbers:
                for data in files(Made(number), catalogue.instances_each):
                    answer = reader.post("/instances", "application/dicom", [data])
                    if answer.status != 200:
                        raise BenchError(f"{server.name} does not take what it is filled with")
                if time.monotonic() > deadline:
                    return

    with ThreadPoolExecutor(_SENDERS) as pool:
        for sent in [pool.submit(work) for _ in range(_SENDERS)]:
            sent.result()
    return numbers.given


class _Counter:
    """Gives each number to one of several threads."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self.given = 0

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._lock:
                if self.given == self._count:
                    return
                number, self.given = self.given, self.given + 1
            yield number


def files(made: Made, each: int) -> Iterator[bytes]:
    """The study's instances as Part 10: the first study's bytes, with other values in them."""
    first = Made(0)
    values = [
        (first.study_uid, made.study_uid),
        (first.series_uid, made.series_uid),
        (first.patient_id, made.patient_id),
        (first.patient_name, made.patient_name),
        (first.study_date, made.study_date),
        (first.accession_number, made.accession_number),
    ]
    for number in range(each):
        data = _template(number)
        for old, new in (*values, (first.sop_uid(number), made.sop_uid(number))):
            data = data.replace(old.encode("ascii"), new.encode("ascii"))
        yield data


@cache
def _template(number: int) -> bytes:
    """An instance of the first study."""
    made, dataset = Made(0), Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = _CT, made.sop_uid(number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = made.study_uid, made.series_uid
    dataset.StudyDate, dataset.StudyTime = made.study_date, "101112"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = (
        made.accession_number,
        "Sample^Referrer",
    )
    dataset.StudyDescription, dataset.StudyID = "Synthetic study", "S1"
    dataset.PatientName, dataset.PatientID = made.patient_name, made.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.Modality, dataset.SeriesDescription = "CT", "Thorax"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number + 1
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = _CT, made.sop_uid(number)
    meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()

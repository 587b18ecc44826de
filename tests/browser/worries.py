"""A clinic's bad day: for each thing that somebody has to decide, one that waits for it.

Owns what is wrong, and nothing of how a box finds out: most of it is written into the index. Nobody
in it is anybody. For pictures of the pages and for their tests.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pydicom
from pydicom.filebase import DicomBytesIO

from edge import config
from edge.admin.worklist_form import form_of, step_of
from edge.cache.admission import Source
from edge.cache.associations import Change, Direction, Finding, Other, Side
from edge.cache.expected import Expectations
from edge.dicom.instance import InstanceRef, Origin
from edge.index.commitments import Asked
from edge.index.expected import Expected
from edge.others import Peer
from tests import samples
from tests.browser.scene import PATIENTS, Scene, clinic, files
from tests.ports import free_port

REFUSED = "A900: Data Set does not match SOP Class: (0018,0015) Body Part Examined is missing"
_SENDERS = ("CT1", "XRAY2", "US1", "MR1")
_ANSWERS = "custody = ?, reason = ?, retry_at = 0"
_STEPS = (
    ("Osei^Kwame", "P-20455", "CT", "CT1", "08:30", "Thorax with contrast"),
    ("Petrov^Irina", "P-20451", "MR", "MR1", "09:10", "Knee, left"),
    ("Nakamura^Hiro", "P-20449", "DX", "XRAY2", "09:40", "Chest, two views"),
    ("Silva^Beatriz", "P-20447", "US", "US1", "10:15", "Abdomen"),
)


@contextlib.asynccontextmanager
async def bad_day(folder: Path, *, is_drawn: bool = False) -> AsyncIterator[Scene]:
    """The clinic, with its line down."""
    dimse = config.Dimse(
        listen=f"127.0.0.1:{free_port()}",
        unknown_peers="learn",
        peer=(Peer("CT1", "127.0.0.1", may=("store", "commit", "worklist"), name="Room 1"),),
    )
    sync = config.Sync(
        calendar=("mon-fri 08:00-18:00 2000 kbps", "mon-fri 12:00-13:00 off", "sat 09:00-13:00 off")
    )
    async with clinic(folder, cloud="down", dimse=dimse, sync=sync, is_drawn=is_drawn) as scene:
        uids = [
            await scene.store(number, _SENDERS[number % len(_SENDERS)])
            for number in range(len(PATIENTS))
        ]
        await _custody(scene, uids)
        await _another(scene, 2)
        await _history(scene)
        await _people(scene)
        await _devices(scene)
        scene.box.cache.changes.wake()
        yield scene


async def _custody(scene: Scene, uids: Sequence[str]) -> None:
    """What the archive said of some."""
    write = scene.box.cache.database.write

    async def said(uid: str, custody: str, reason: str = "", most: int = 999) -> None:
        chosen = (
            "SELECT id FROM instances WHERE study_id ="
            " (SELECT id FROM studies WHERE study_uid = ?) ORDER BY id LIMIT ?"
        )
        sql = f"UPDATE instances SET {_ANSWERS} WHERE id IN ({chosen})"
        await write(lambda db: db.execute(sql, (custody, reason, uid, most)))

    await said(uids[0], "VERIFIED", most=7)
    await said(uids[1], "REFUSED", REFUSED, most=1)
    await said(uids[3], "CONFLICT", "the archive has other bytes under this UID", most=1)
    await said(uids[5], "VERIFIED")
    await said(uids[6], "VERIFIED")
    held = (
        "INSERT INTO absences (study_id, state, is_whole, sweep, since)"
        " SELECT id, 'HELD', 1, 1, ? FROM studies WHERE study_uid = ?"
    )
    await write(lambda db: db.execute(held, (time.time() - 5400, uids[5])))
    refs = [_ref(data) for data in files(6)]
    await scene.box.cache.trash.put(refs, archive="cloud", reason="its change feed says so")


def _ref(data: bytes) -> InstanceRef:
    dataset = pydicom.dcmread(DicomBytesIO(data), stop_before_pixels=True)
    uids = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    return InstanceRef(*map(str, uids))


async def _another(scene: Scene, number: int) -> None:
    """Another image comes under a UID that is there."""
    dataset = pydicom.dcmread(DicomBytesIO(files(number, is_drawn=scene.is_drawn)[0]))
    dataset.PatientComments = "another"
    out = DicomBytesIO()
    dataset.save_as(out, enforce_file_format=True)
    with contextlib.suppress(Exception):
        await scene.box.admission.store_instance(
            samples.chunks(out.getvalue()), Source(Origin.DIMSE, "US2")
        )


async def _history(scene: Scene) -> None:
    """Ninety days: a week's rhythm, and a line that was down for three of them."""
    today = int(time.time()) // 900
    rows, behind = [], 0
    for ago in range(90, 0, -1):
        came = int(260 + 110 * math.sin(ago * 1.7) + 60 * math.cos(ago * 0.6))
        if (ago + 3) % 7 in (0, 1):
            came //= 6
        behind += came
        safe = 0 if ago in (16, 17, 18) else min(behind, 420)
        behind -= safe
        refused = 3 if ago in (9, 23) else 0
        rows.append((today - ago * 96, came, came * 530_000, safe, safe * 530_000, refused))
    sql = (
        "INSERT INTO history (quarter, came, came_bytes, safe, safe_bytes, refused)"
        " VALUES (?, ?, ?, ?, ?, ?)"
    )
    await scene.box.cache.database.write(lambda db: db.executemany(sql, rows))


async def _people(scene: Scene) -> None:
    """Who is scheduled, and who will come."""
    worklist = scene.box.cache.worklist
    steps = []
    for name, patient, modality, station, at, what in _STEPS:
        form = {
            "patient_name": name,
            "patient_id": patient,
            "modality": modality,
            "station_ae_title": station,
            "date": worklist.today.isoformat(),
            "time": at,
            "description": what,
        }
        steps.append(step_of(form_of(form), worklist.today))
    await worklist.add(steps)
    day = f"{worklist.today:%Y%m%d}"
    await Expectations(scene.box.cache.database).announce(
        [Expected("P-20417", day, modality="CT", source="keeper")]
    )


async def _devices(scene: Scene) -> None:
    """Who is let in, who called and is not, and what goes wrong."""
    cache = scene.box.cache
    await cache.peers.approve(
        Peer("MR1", "", 104, ("store", "query", "retrieve"), "Magnet"), "keeper", host="10.20.0.14"
    )
    why = "nobody let it in"
    cache.peers.strangers.note(
        "US4", "10.20.0.31", called="EDGE", services="Ultrasound Image Storage, echo", why=why
    )
    scanner = Other(Direction.IN, "CT1", "10.20.0.12", is_known=True, called="EGDE")
    cache.associations.note(
        scanner,
        Finding(
            "called",
            "it called this box EGDE, and the box is called EDGE",
            (Change(Side.DEVICE, "enter EDGE as the AE title of this box"),),
        ),
    )
    instances = (("1.2.840.10008.5.1.4.1.1.2", _ref(files(0)[0]).sop_uid),)
    asked = Asked("CT1", samples.sample_uid("transaction", 1), instances)
    await cache.commitments.ask(asked)

"""Proves that the box does what it is for: the running service, and all of it once more, aside.

Owns the checks of ``edge selftest`` and of the gate behind an update. What would leave traces in a
clinic's box (an image goes in, and comes out) is done in a box of its own, in a folder that is
thrown away: the same programs, keys, disk, processes and cages, and nobody's archive. Of the
service itself it is asked that every part runs, and that it commits something to its index.

Promises an end: of whatever is waited for, but for somebody who knows a passphrase. Nothing of it
needs the box's settings, which a version on trial may not be able to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from edge import config
from edge.access.roles import Role
from edge.admin.local import ask_service, parts_of_service
from edge.app import Appliance
from edge.errors import EdgeError, KeyLocked, Needs
from edge.phantom import phantom
from edge.updates.history import Cause
from edge.updates.journal import Trial
from edge.updates.trial import NotProven

__all__ = ["ARCHIVES", "Check", "Proving", "prove_trial"]

log = logging.getLogger(__name__)

ARCHIVES: Final = "archives"
_SERVICE: Final = 1800.0
"""Seconds that a service may take to start: it migrates its index, and looks through it."""
_REACH: Final = 300.0
"""Seconds in which archives are reached that were reached before."""
_TRIP: Final = 180.0
_COMMIT: Final = 900.0
_CLOSING: Final = 30.0
"""Seconds beyond its own in which a look has to end, and then to clean up."""
_LOOK: Final = 1.0
_PATIENCE: Final = 20
_ASIDE: Final = "selftest-"
_LEFT: Final = 3600.0
"""Seconds after which nobody uses a box aside any more."""
_PEOPLE: Final = frozenset({Needs.PASSPHRASE, Needs.NEW_PASSPHRASE})
"""What somebody has to come for, however good the version is."""
_PASSING: Final = {Needs.SERVER: Cause.LINE, Needs.ADMIN: Cause.MOMENT}
"""What a box may wait for that no version is to blame for: it may be tried again."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at."""

    name: str
    ok: bool
    seconds: float
    why: str = ""
    """What is wrong; empty if nothing is."""


class Proving:
    """It.

    Args:
        folder: The data of the box.
        tell: Hears of each check as it ends.
        service: Seconds that the service may take to be ready.
        reach: Seconds that archives may take to be reached.
        trip: Seconds that an image may take, and the box that it goes through.
        closing: Seconds beyond its own that a look may take to end.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[Check], None] = lambda _: None,
        *,
        service: float = _SERVICE,
        reach: float = _REACH,
        trip: float = _TRIP,
        closing: float = _CLOSING,
    ) -> None:
        self._folder = folder
        self._tell = tell
        self._service = service
        self._reach = reach
        self._trip = trip
        self._closing = closing
        self._abandoned: set[asyncio.Task[None]] = set()
        self.cause = Cause.ITSELF
        """Whether what was found wrong is the version's fault, or may be."""

    async def run(self, reached: Collection[str] = (), ailing: Collection[str] = ()) -> list[Check]:
        """Look at everything, or up to the first thing that is wrong.

        Args:
            reached: Archives that have to be reached.
            ailing: Parts of the service that need not run.
        """
        steps: list[tuple[str, float | None, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("service", None, partial(self._ready, ailing)),  # it bounds itself
            ("index", _COMMIT, self._commits),
            ("images", self._trip, self._round_trip),
        ]
        if reached:
            steps.append((ARCHIVES, self._reach + _COMMIT, partial(self._reaches, reached)))
        found: list[Check] = []
        for name, seconds, look in steps:
            began, why = time.monotonic(), ""
            try:
                await self._within(seconds, look())
            except TimeoutError:
                why = "it takes too long"
            except (EdgeError, OSError, httpx.HTTPError) as error:
                why = str(error) or type(error).__name__
                if isinstance(error, KeyLocked):
                    self.cause = _PASSING.get(error.needs, Cause.ITSELF)
            except Exception as error:
                log.exception("a check met a defect")
                why = type(error).__name__
            found.append(Check(name, not why, time.monotonic() - began, why))
            self._tell(found[-1])
            if why:
                break
        return found

    async def _within(self, seconds: float | None, look: Coroutine[Any, Any, None]) -> None:
        """Wait for a look, and not much longer: one that does not even end is left alone.

        Raises:
            TimeoutError: It takes too long.
        """
        looking = asyncio.create_task(look)
        try:
            await asyncio.wait([looking], timeout=seconds)
            if not looking.done():
                looking.cancel()
                await asyncio.wait([looking], timeout=self._closing)
                if not looking.done():
                    self._abandoned.add(looking)
                raise TimeoutError
        except asyncio.CancelledError:
            looking.cancel()
            raise
        await looking

    # The service ----------------------------------------------------------------------------------

    async def _ready(self, ailing: Collection[str]) -> None:
        """Wait until every part runs; the time does not count in which it waits for a passphrase.

        Who knows that may come tomorrow. A server, a TPM or an admin is not waited for so long.
        """
        loop = asyncio.get_running_loop()
        left, before = self._service, loop.time()
        while True:
            wrong = await self._not_running(ailing)
            if wrong is None:
                return
            now = loop.time()
            if not (isinstance(wrong, KeyLocked) and wrong.needs in _PEOPLE):
                left -= now - before
            before = now
            if left < 0:
                raise wrong
            await asyncio.sleep(_LOOK)

    async def _not_running(self, ailing: Collection[str]) -> EdgeError | OSError | None:
        """What is wrong; of a service that waits for somebody or something, that it does."""
        try:
            parts = await parts_of_service(self._folder)
            if parts is None:
                return EdgeError("the service does not run")
            if set(parts) == {"start"}:
                return EdgeError("the service has not started yet")
            await ask_service(self._folder, "prove")
        except (FileNotFoundError, EdgeError) as error:
            return error
        failing = [
            f"{name}: {state}"
            for name, state in sorted(parts.items())
            if state != "running" and name not in ailing
        ]
        return EdgeError("; ".join(failing)) if failing else None

    async def _commits(self) -> None:
        if await ask_service(self._folder, "prove") is None:
            raise EdgeError("the service has ended")

    async def _reaches(self, reached: Collection[str]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._reach
        while True:
            said: dict[str, Any] = await ask_service(self._folder, "prove") or {}
            missing = sorted(set(reached) - set(said.get("reached", ())))
            if not missing:
                return
            if loop.time() > until:
                names = ", ".join(missing)
                raise EdgeError(f"it was reached before, and is not any more: {names}")
            await asyncio.sleep(_LOOK)

    # All of it once more, aside -------------------------------------------------------------------

    async def _round_trip(self) -> None:
        """An image goes in over DICOM, is found, comes out byte by byte, and is drawn."""
        folder = await asyncio.to_thread(_room_aside, self._folder)
        try:
            async with Appliance(_aside(folder)) as box:
                token = await box.cache.tokens.create(Role.ADMIN, "selftest")
                [image] = phantom("EDGE^SELFTEST", "SELFTEST", 1)
                await asyncio.to_thread(_send, box.dimse_port, image)
                await _read(box.http_port, token, image)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _room_aside(data_dir: Path) -> Path:
    """A folder for it; those go that a power cut has left."""
    for path in data_dir.glob(f"{_ASIDE}*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > _LEFT:
            shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp("", _ASIDE, data_dir))


def _aside(folder: Path) -> config.Config:
    return config.Config(
        appliance=config.Appliance(name="selftest", data_dir=folder),
        dimse=config.Dimse(listen="127.0.0.1:0", unknown_peers="accept"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0, rendered_bytes=0),
        pixels=config.Pixels(workers=1),
    )


def _send(port: int, image: Dataset) -> None:
    """C-STORE (PS3.4 B)."""
    modality = AE("SELFTEST")
    modality.acse_timeout = modality.dimse_timeout = modality.network_timeout = _PATIENCE
    modality.add_requested_context(image.SOPClassUID, ExplicitVRLittleEndian)
    association = modality.associate("127.0.0.1", port, ae_title="EDGE")
    if not association.is_established:
        raise EdgeError("no association was accepted")
    try:
        status = getattr(association.send_c_store(image), "Status", None)
    finally:
        with contextlib.suppress(Exception):
            association.release()
    if status != 0x0000:
        said = "not answered" if status is None else f"answered {status:04X}"
        raise EdgeError(f"C-STORE was {said}")


async def _read(port: int, token: str, image: Dataset) -> None:
    """QIDO-RS, WADO-RS, and a rendered image (PS3.18 10)."""
    study = f"/dicom-web/studies/{image.StudyInstanceUID}"
    one = f"{study}/series/{image.SeriesInstanceUID}/instances/{image.SOPInstanceUID}"
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=_PATIENCE,
        trust_env=False,
    ) as client:
        answers = (
            ("/dicom-web/studies?PatientID=SELFTEST", "application/dicom+json"),
            (one, 'multipart/related; type="application/dicom"; transfer-syntax=*'),
            (f"{one}/rendered", "image/jpeg"),
        )
        bodies = []
        for path, accept in answers:
            answer = await client.get(path, headers={"Accept": accept})
            if answer.status_code != httpx.codes.OK:
                raise EdgeError(f"{accept.partition(';')[0]} was answered {answer.status_code}")
            bodies.append(answer.content)
    if image.StudyInstanceUID.encode() not in bodies[0]:
        raise EdgeError("the study that was stored is not found")
    if image.PixelData not in bodies[1]:
        raise EdgeError("the image does not come out as it went in")
    if not bodies[2].startswith(b"\xff\xd8"):
        raise EdgeError("the image is not drawn")


async def prove_trial(proving: Proving, trial: Trial) -> None:
    """Do nothing if a version on trial works.

    Raises:
        NotProven: It does not.
    """
    found: Sequence[Check] = await proving.run(trial.reached, trial.ailing)
    for check in found:
        if not check.ok:
            cause = Cause.LINE if check.name == ARCHIVES else proving.cause
            raise NotProven(f"{check.name}: {check.why}", cause)

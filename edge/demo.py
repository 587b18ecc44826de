"""``edge demo``: the main job on one machine, with a stand-in cloud.

The cloud is a second instance of this very service, so nothing else needs to be installed. A
modality is played by pynetdicom, with synthetic images of nobody. Everything listens on loopback,
and the data is thrown away at the end unless a folder is named.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import httpx
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from edge import config, others
from edge.access.roles import Role
from edge.app import Appliance
from edge.errors import EdgeError

__all__ = ["demo", "phantom", "show"]

_SLICES = 20
_SIDE = 128
_ATTEMPTS = 3
_INTERRUPTED = 130
"""The exit status of what Ctrl-C ended, as shells count."""
_PATIENCE = 60.0
"""Seconds that an upload on loopback may take before the demonstration gives up."""
_PEOPLE = {"nurse": Role.VIEWER, "technologist": Role.TECHNOLOGIST, "doctor": Role.PHYSICIAN}
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def demo(*, offline: bool, folder: Path | None) -> int:
    """Show the main job; the exit status.

    Args:
        offline: Go on to cut the line, work without it, restore it, compare, and end. Without it
            the appliance runs until it is interrupted.
        folder: Where the data is kept; None for a folder that is removed at the end.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            # Removed behind the loop and its threads, the last of which may still write.
            temporary = tempfile.TemporaryDirectory(prefix="edge-demo-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_show_and_leave(folder, offline=offline))
            return 0
        return _INTERRUPTED


async def _show_and_leave(folder: Path, *, offline: bool) -> None:
    """Like `show`; then nothing cuts short what is removed behind the loop."""
    try:
        await show(folder, offline=offline)
    finally:
        # The loop would let a second signal, such as a service manager's, end the process at once.
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def show(folder: Path, *, offline: bool) -> None:
    """Like `demo`, in a folder that is there; SIGINT and SIGTERM cancel it."""
    if showing := asyncio.current_task():
        _at_signals(showing.cancel)
    await _Demo(folder).run(offline=offline)


class _Demo:
    """Two appliances, and what is shown with them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cloud_port = _free(8042)
        self._edge_port = _free(8443)
        self._dimse_port = _free(11112)

    async def run(self, *, offline: bool) -> None:
        _say("Starting a stand-in cloud and an edge cache on loopback …")
        cloud = self._cloud = await Appliance(self._cloud_config()).__aenter__()
        try:
            secret = await cloud.cache.tokens.create(Role.SERVICE, "edge demo")
            async with Appliance(self._edge_config(secret)) as edge:
                token = await edge.cache.tokens.create(Role.ADMIN, "edge demo")
                self._client = httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{self._edge_port}",
                    headers={"Authorization": f"Bearer {token}"},
                )
                async with self._client:
                    await self._show_upload(edge)
                    if offline:
                        await self._show_offline(edge)
                    else:
                        await self._invite(edge, token)
        finally:
            await self._cloud.__aexit__(None, None, None)

    async def _show_upload(self, edge: Appliance) -> None:
        study = phantom("EDGE^DEMO", "DEMO-1", _SLICES)
        began = time.monotonic()
        await asyncio.to_thread(self._send, study)
        _say(
            f"A modality sent a study of {_SLICES} slices over DICOM in "
            f"{time.monotonic() - began:.1f} s; the edge keeps it sealed."
        )
        began = time.monotonic()
        await _until(edge, lambda: self._verified(edge), "the upload")
        _say(f"It was uploaded, and read back to verify it, in {time.monotonic() - began:.1f} s:")
        _say(f"  edge:  {(await edge.status()).sentence}")
        _say(f"  cloud: {(await self._cloud.status()).summary.instances} instances")

    async def _show_offline(self, edge: Appliance) -> None:
        _say("Cutting the line: the cloud stops listening.")
        await self._cloud.__aexit__(None, None, None)
        study = phantom("EDGE^OFFLINE", "DEMO-2", _SLICES)
        await asyncio.to_thread(self._send, study)
        _say("A second study was sent while the line is down:")
        await _until(edge, lambda: self._is_offline(edge), "the edge to notice")
        _say(f"  edge:  {(await edge.status()).sentence}")
        uid = str(study[0].StudyInstanceUID)
        answer = await self._client.get(
            f"/dicom-web/studies/{uid}",
            headers={"Accept": 'multipart/related; type="application/dicom"'},
        )
        answer.raise_for_status()
        _say(f"  and was read over DICOMweb: {len(answer.content)} bytes.")
        _say("Restoring the line.")
        cloud = self._cloud = await Appliance(self._cloud_config()).__aenter__()
        await _until(edge, lambda: self._verified(edge), "the backlog")
        here, there = await _digests(edge), await _digests(cloud)
        equal = here == there
        _say(f"  edge:  {(await edge.status()).sentence}")
        _say(f"  {len(here)} instances on the edge, {len(there)} in the cloud: ", end="")
        _say("the same bytes on both sides." if equal else "NOT the same.")
        if not equal:
            raise EdgeError("edge and cloud are not equal")

    async def _invite(self, edge: Appliance, token: str) -> None:
        """Say what can be tried, and wait for the end."""
        sample = self._folder / "sample.dcm"
        await asyncio.to_thread(_write, phantom("EDGE^YOURS", "DEMO-3", 1)[0], sample)
        base = f"http://127.0.0.1:{self._edge_port}/dicom-web"
        _say("")
        _say(f"  DICOM     EDGE at 127.0.0.1:{self._dimse_port}")
        _say(f"  DICOMweb  {base}")
        _say(f"  token     {token}")
        await self._open_page(edge)
        _say("")
        _say("Try it from another terminal:")
        _say(f"  storescu -aec EDGE 127.0.0.1 {self._dimse_port} {sample}")
        _say(f"  curl -H 'Authorization: Bearer {token}' {base}/studies")
        _say("")
        _say("Ctrl-C ends it.")
        stopping = asyncio.Event()
        _at_signals(stopping.set)
        await stopping.wait()

    async def _open_page(self, edge: Appliance) -> None:
        """Have people who log in at once, and one who looks after the box; say who they are."""
        # By this name, for no passkey is made for an address.
        page, users = f"http://localhost:{self._edge_port}", edge.cache.users
        _say(f"  web page  {page}/")
        if not await users.is_empty():
            return
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        for name, role in _PEOPLE.items():
            await users.redeem((await users.add(name, role)).code, password)
        code = (await users.first_code()).code
        _say(f"            log in as {', '.join(_PEOPLE)}; password {password}")
        _say(f"            set it up as a technician does: {page}/setup, with the code {code}")

    def _send(self, study: Sequence[Dataset]) -> None:
        """Send a study, and what was not answered once more, as modalities do.

        On a busy machine pynetdicom may miss an answer: its reactor takes it for a request.
        """
        modality = AE("MODALITY")
        modality.acse_timeout = modality.dimse_timeout = modality.network_timeout = 10
        modality.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        waiting = list(study)
        for _ in range(_ATTEMPTS):
            association = modality.associate("127.0.0.1", self._dimse_port, ae_title="EDGE")
            if not association.is_established:
                raise EdgeError("the edge did not accept the association")
            try:
                while waiting:
                    status = getattr(association.send_c_store(waiting[0]), "Status", None)
                    if status is None:
                        break
                    if status != 0x0000:
                        raise EdgeError("the edge did not store an instance")
                    del waiting[0]
                else:
                    return
            finally:
                association.release()
        raise EdgeError("the edge did not answer")

    @staticmethod
    async def _verified(edge: Appliance) -> bool:
        custody = (await edge.status()).summary.custody
        return set(custody) == {"VERIFIED"}

    @staticmethod
    async def _is_offline(edge: Appliance) -> bool:
        return any(not archive.online for archive in (await edge.status()).archives)

    def _cloud_config(self) -> config.Config:
        return config.Config(
            appliance=config.Appliance(name="cloud", data_dir=self._folder / "cloud"),
            dimse=config.Dimse(listen="127.0.0.1:0", ae_title="CLOUD"),
            http=config.Http(listen=f"127.0.0.1:{self._cloud_port}", tls="off"),
        )

    def _edge_config(self, secret: str) -> config.Config:
        archive = others.Archive(
            name="cloud",
            url=f"http://127.0.0.1:{self._cloud_port}/dicom-web",
            auth=others.Auth(kind="bearer", token=secret),
        )
        return config.Config(
            appliance=config.Appliance(name="edge", data_dir=self._folder / "edge"),
            dimse=config.Dimse(listen=f"127.0.0.1:{self._dimse_port}", unknown_peers="accept"),
            http=config.Http(listen=f"127.0.0.1:{self._edge_port}", tls="off"),
            cloud=config.Cloud(archive=(archive,)),
            sync=config.Sync(retry_min_seconds=0.5, retry_max_seconds=2.0),
        )


def _at_signals(act: Callable[[], object]) -> None:
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, act)


def _say(text: str, end: str = "\n") -> None:
    """Print for a person, at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


async def _until(box: Appliance, condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition, looking whenever something changed on the box.

    Raises:
        EdgeError: It did not come true in time.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            with box.changes.subscribe() as woken:
                while not await condition():
                    await woken.wait(0.5)
    except TimeoutError as error:
        raise EdgeError(f"{what} took longer than {_PATIENCE:.0f} s") from error


def phantom(name: str, patient_id: str, slices: int) -> list[Dataset]:
    """A synthetic CT study: a ball in air, of nobody."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    instances = []
    for index in range(slices):
        instance = Dataset()
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instance.SOPClassUID = CTImageStorage
        instance.SOPInstanceUID = generate_uid()
        instance.StudyDate = instance.SeriesDate = time.strftime("%Y%m%d")
        instance.StudyTime = instance.SeriesTime = time.strftime("%H%M%S")
        instance.AccessionNumber = ""
        instance.Modality = "CT"
        instance.Manufacturer = "Edge cache demonstration"
        instance.StudyDescription = "Demonstration"
        instance.SeriesDescription = "Phantom"
        instance.ReferringPhysicianName = ""
        instance.PatientName = name
        instance.PatientID = patient_id
        instance.PatientBirthDate = ""
        instance.PatientSex = "O"
        instance.StudyInstanceUID = study
        instance.SeriesInstanceUID = series
        instance.StudyID = "1"
        instance.SeriesNumber = 1
        instance.InstanceNumber = index + 1
        instance.FrameOfReferenceUID = frame
        instance.PositionReferenceIndicator = ""
        instance.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        instance.ImagePositionPatient = [0, 0, index * 2]
        instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        instance.SliceThickness = 2
        instance.PixelSpacing = [1, 1]
        instance.SamplesPerPixel = 1
        instance.PhotometricInterpretation = "MONOCHROME2"
        instance.Rows = instance.Columns = _SIDE
        instance.BitsAllocated = instance.BitsStored = 16
        instance.HighBit = 15
        instance.PixelRepresentation = 0
        instance.RescaleIntercept = -1024
        instance.RescaleSlope = 1
        instance.WindowCenter, instance.WindowWidth = 40, 400
        instance.PixelData = _ball(index, slices)
        instances.append(instance)
    return instances


def _ball(index: int, slices: int) -> bytes:
    """One slice of 16-bit pixels: 1064 (40 HU) inside the ball, 24 (-1000 HU) outside."""
    middle = (slices - 1) / 2
    height = (index - middle) / (middle + 1)
    radius = _SIDE * 0.45 * math.sqrt(1 - height**2)
    rows = []
    for row in range(_SIDE):
        across = radius**2 - (row - _SIDE / 2) ** 2
        half = int(math.sqrt(across)) if across > 0 else 0
        outside = (24).to_bytes(2, "little") * (_SIDE // 2 - half)
        rows.append(outside + (1064).to_bytes(2, "little") * (2 * half) + outside)
    return b"".join(rows)


def _write(instance: Dataset, path: Path) -> None:
    file = io.BytesIO()
    instance.save_as(file, enforce_file_format=True)
    path.write_bytes(file.getvalue())


def _free(preferred: int) -> int:
    """The port that people know, if it is free, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EdgeError("no port of loopback is free")


async def _digests(box: Appliance) -> dict[str, bytes]:
    rows = await box.cache.database.read("SELECT sop_uid, dataset_digest FROM instances")
    return dict(rows)

"""Whoever has the disk without the key has nothing, and the log names no patient.

Everything that a box does is done once, by a service in a process of its own; then every file that
it wrote, and every file that it has open, is searched for what was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest

from edge.access.roles import Role
from edge.commands.words import HarmlessFormatter
from edge.dicom.uids import is_uid
from tests import samples
from tests.dimse import raw
from tests.journeys.box import Box, running, settings
from tests.journeys.modality import dcmsend
from tests.journeys.service import Command, Installation
from tests.journeys.viewer import Part10, Viewer

RUN = 32
"""Bytes of pixel data that must stand nowhere."""
STEP = 480
"""Between two runs that are searched for: no longer piece can hide between them."""
_STANDARD = "1.2.840.10008."
"""UIDs of DICOM itself."""
_TEXT = {"PN", "LO", "SH", "LT", "ST", "UT", "UI", "DS"}


@dataclass
class Secrets:
    """What was sent, in every form in which it could be read."""

    texts: set[str] = field(default_factory=set)
    runs: set[bytes] = field(default_factory=set)

    def remember(self, part10: bytes, step: int = STEP) -> bytes:
        dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(part10))
        for element in dataset.iterall():
            if element.VR in _TEXT and element.value:
                values = element.value if element.VM > 1 else [element.value]
                self.texts.update(str(value) for value in values)
        pixels = dataset.PixelData
        self.runs.update(pixels[at : at + RUN] for at in range(0, len(pixels) - RUN, step))
        return part10

    def names(self) -> set[str]:
        """Of patients, their identifiers and their UIDs: what no log may hold."""
        found = {text for text in self.texts if "Patient" in text or text.startswith("SYN")}
        parts = {part for text in found for part in text.replace("=", "^").split("^")}
        uids = {text for text in self.texts if is_uid(text) and not text.startswith(_STANDARD)}
        return {name for name in found | parts | uids if len(name) > 5 or not name.isascii()}

    def needles(self) -> Iterator[tuple[str, bytes]]:
        for text in self.texts:
            if len(text) >= 8 and not text.startswith(_STANDARD):
                for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                    yield f"{text!r} in {encoding}", text.encode(encoding)
        for run in self.runs:
            yield f"pixels {run.hex()}", run

    def found_in(self, files: dict[str, bytes]) -> list[str]:
        """What of it stands in the files or in their names."""
        everything = b"\0".join([*files.values(), *map(os.fsencode, files)])
        return [
            f"{what}: {[name for name, data in files.items() if needle in data]}"
            for what, needle in self.needles()
            if needle in everything
        ]


def contents(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
        except OSError:
            continue  # It is gone meanwhile.
    return found


def tiny_series(seed: int, count: int = 2) -> list[bytes]:
    return [one.data for one in samples.ct_series(count, rows=64, columns=64, seed=seed)]


def other_pixels(part10: bytes) -> bytes:
    return part10[:-8192] + random.Random(part10).randbytes(8192)


@asynccontextmanager
async def half_sent(port: int, part10: bytes) -> AsyncIterator[raw.RawPeer]:
    """An association that is in the middle of an instance; it ends with an A-ABORT."""
    dataset = Part10.of(part10).dataset
    async with raw.connected(port) as peer:
        await peer.associate()
        peer.send(raw.p_data(raw.fragment(3, 3, raw.store_command("1.2.3.4"))))
        half = len(dataset) * 3 // 4
        for start in range(0, half, 16000):
            piece = dataset[start : min(start + 16000, half)]
            peer.send(raw.p_data(raw.fragment(3, 0, piece)))
        await peer.writer.drain()
        yield peer
        peer.send(raw.pdu(7, bytes(4)))  # A-ABORT


async def live(
    dimse_port: int, viewer: Viewer, writer: Viewer, drop: Path, cloud, folder: Path
) -> Secrets:
    """All that a box meets; what was sent."""
    secrets = Secrets()

    def written(parts: Iterable[bytes]) -> list[Path]:
        folder.mkdir(exist_ok=True)
        paths = []
        for part in parts:
            name = hashlib.sha256(part).hexdigest()[:16]
            paths.append(folder / f"{name}.dcm")
            paths[-1].write_bytes(secrets.remember(part))
        return paths

    # From a modality, and once more with other bytes.
    series = tiny_series(61)
    assert await dcmsend(dimse_port, *written(series)) == {"Success": 2}
    conflict = written([other_pixels(series[0])])
    assert await dcmsend(dimse_port, *conflict) == {"Success": 1}

    # By STOW-RS, a bad part among them.
    [stowed] = tiny_series(62, 1)
    answer = await writer.store(secrets.remember(stowed), stowed[:2000])
    assert answer.status_code == 202

    # From the drop folder, a file and a bad one.
    for path in written(tiny_series(63, 1)):
        path.replace(drop / path.name)

    # From the cloud, at a viewer's request.
    for part in tiny_series(64):
        cloud.store(secrets.remember(part))
    study = f"/studies/{samples.sample_uid(64, 'study')}"
    assert len(await viewer.instances(study)) == 2

    # Searched for, rightly and wrongly.
    assert await viewer.search("/studies", PatientName="Synthetic^Patient61*")
    assert await viewer.search("/studies", PatientID="SYN-000061", includefield="all")
    for wrong in ({"PatientNme": "Synthetic^Patient61"}, {"limit": "Synthetic^Patient61"}):
        assert (await viewer.get("/studies", "application/dicom+json", **wrong)).status_code == 400
    await viewer.get("/studies/Synthetic^Patient61/metadata", "application/dicom+json")
    return secrets


@pytest.fixture
async def installation(cloud, tmp_path):
    made = Installation(tmp_path, cloud)
    yield made
    made.kill()


async def test_what_a_service_leaves_on_the_disk_is_readable_to_nobody(installation, tmp_path):
    watched = installation.root / "watched"
    await installation.start()
    reader = (await installation.run("token", "create", "--role", "physician")).out.strip()
    storer = (await installation.run("token", "create", "--role", "technologist")).out.strip()
    base = f"http://127.0.0.1:{installation.http_port}/dicom-web"

    def at_the_door(token: str) -> Viewer:
        return Viewer(base, headers={"Authorization": f"Bearer {token}"})

    async with at_the_door(reader) as viewer, at_the_door(storer) as writer:
        secrets = await live(
            installation.dimse_port,
            viewer,
            writer,
            installation.drop,
            installation.cloud,
            tmp_path / "sent",
        )
    [large] = samples.ct_series(1, rows=1024, columns=1024, seed=65)
    secrets.remember(large.data, step=8192)
    async with half_sent(installation.dimse_port, large.data):
        await until(lambda: contents(watched / "data/incoming"))
        files = contents(watched)
        assert "data/index.db-wal" in files
        assert not secrets.found_in(files | installation.open_files())
    await until(lambda: not contents(watched / "data/incoming"))
    await until(lambda: not contents(installation.drop))
    assert not secrets.found_in(contents(watched) | installation.open_files())

    stopped = await installation.stop()
    assert stopped.status == 0
    files = contents(watched)
    assert len([name for name in files if name.startswith("data/objects/")]) == 7
    assert not secrets.found_in(files)
    assert not [name for name in secrets.names() if name in stopped.err]
    assert not contents(installation.temporary)
    assert not contents(installation.home)
    assert not files["data/index.db"].startswith(b"SQLite format 3")


async def test_the_search_for_it_would_find_it(tmp_path):
    # Else the test above could not fail.
    secrets = Secrets()
    [part] = tiny_series(66, 1)
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(secrets.remember(part)))
    anywhere = random.Random(66).randrange(len(dataset.PixelData) - 600)
    for piece in (
        dataset.StudyInstanceUID.encode(),
        str(dataset.PatientName).encode(),
        dataset.PatientID.encode("utf-16-le"),
        dataset.PixelData[anywhere : anywhere + STEP + RUN],
    ):
        assert secrets.found_in({"file": b"before" + piece + b"behind"})
    assert secrets.found_in({f"objects/{dataset.SOPInstanceUID}": b""})
    assert not secrets.found_in({"file": b"nothing of the kind"})
    assert {"SYN-000066", "Patient66", "Édith", "患者", dataset.StudyInstanceUID} <= secrets.names()


async def test_the_log_names_no_patient_however_much_it_says(cloud, open_box, tmp_path, caplog):
    caplog.set_level("INFO")
    caplog.set_level("DEBUG", logger="edge")
    caplog.set_level("WARNING", logger="httpx")  # as the command line has it
    drop = tmp_path / "drop"
    async with open_box(cloud, dropfolder={"path": drop, "settle_seconds": 0.2}) as box:
        writer = await box.client(Role.TECHNOLOGIST)
        drop.mkdir(exist_ok=True)
        (drop / "Synthetic^Patient61.dcm").write_bytes(b"not DICOM")
        async with writer:
            secrets = await live(box.dimse_port, box.viewer, writer, drop, cloud, tmp_path / "sent")
            async with half_sent(box.dimse_port, tiny_series(61)[0]):
                pass
        await until_settled(box)
    formatter = HarmlessFormatter("%(levelname)s %(name)s: %(message)s")
    text = "\n".join(map(formatter.format, caplog.records))
    assert "edge.dimse.association" in text
    assert not [name for name in secrets.names() if name in text]


async def until_settled(box: Box) -> None:
    async def verified() -> bool:
        return (await box.custody()).keys() == {"VERIFIED"}

    await box.until(verified, "all of it is in the cloud")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it comes true in another process
            await asyncio.sleep(0.05)


# Another key


OTHER_KEY = "YW5vdGhlciByb290IGtleSBvZiAzMiBieXRlcyBhYmM=\n"
UNUSABLE = {
    "another key": (OTHER_KEY, 0o600, "the root key does not open the keys of this box"),
    "no key": ("my password\n", 0o600, "does not hold a root key"),
    "a key that was cut": (OTHER_KEY[:20] + "\n", 0o600, "does not hold a root key"),
    "an exposed key": (OTHER_KEY, 0o644, "may be read by others"),
    "a key that is gone": (None, 0, "can't be read: No such file"),
}


@pytest.fixture
async def filled(tmp_path):
    """A box that was used and stopped."""
    made = Installation(tmp_path)
    paths = samples.write_series(tmp_path / "ct", 2, rows=16, columns=16, seed=67)
    async with running(settings(made.data, keys={"path": made.key})) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 2}
    return made


async def refused(installation: Installation, *words: str) -> Command:
    ran = await installation.run(*words)
    assert ran.status == 1, ran
    assert ran.out == ""
    assert ran.err.startswith("edge: "), ran.err
    assert "root key" in ran.err
    assert "Traceback" not in ran.err
    return ran


async def test_without_the_right_key_nothing_opens_nothing_changes_and_the_reason_is_said(filled):
    right = filled.key.read_text()
    before = contents(filled.data)
    for what, (text, mode, reason) in UNUSABLE.items():
        filled.key.unlink()
        if text is not None:
            filled.key.write_text(text)
            filled.key.chmod(mode)
        ran = await refused(filled, "status")
        assert reason in ran.err, what
        assert text is None or text.strip() not in ran.err
        assert filled.key.exists() == (text is not None)
    filled.key.write_text(OTHER_KEY)
    filled.key.chmod(0o600)
    commands = (["status", "--json"], ["serve"], ["token", "list"])
    await asyncio.gather(*(refused(filled, *words) for words in commands))
    assert contents(filled.data) == before

    filled.key.write_text(right)
    ran = await filled.run("status", "--json")
    assert ran.status == 1  # the service is not running
    assert json.loads(ran.out)["instances_online"] == 2

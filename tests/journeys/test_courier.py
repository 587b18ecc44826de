"""A clinic without a line: its backlog goes to the hospital on a disk, and receipts come back.

Box and hospital are the command line as it is installed; the archive is Orthanc.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time

import pydicom
import pytest

from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.service import Installation
from tests.journeys.test_nothing_readable import Secrets

COUNT = 5


def courier_section(**keys):
    lines = [f'{name} = ["{key}"]' for name, key in keys.items()]
    return "\n".join(["", "[courier]", *lines, ""])


async def key_of(place):
    ran = await place.run("courier", "key", "--json")
    assert ran.status == 0, ran
    return json.loads(ran.out)


@pytest.fixture
async def places(tmp_path, line):
    """The clinic, whose line to the archive is cut, and the hospital, which has a good one."""
    clinic = Installation(tmp_path / "clinic", line)
    hospital = Installation(tmp_path / "hospital", line)
    far = (await key_of(hospital))["key"]
    clinic.configure(more=courier_section(recipients=far))
    line.cut()
    await clinic.start()
    hospital.configure(more=courier_section(senders=(await key_of(clinic))["key"]))
    yield clinic, hospital
    clinic.kill()


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    return path


async def state(place):
    return json.loads((await place.run("status", "--json")).out)


async def sent(clinic, folder, seed, count=COUNT):
    paths = samples.write_series(folder, count, rows=64, columns=64, seed=seed)
    assert await dcmsend(clinic.dimse_port, *paths) == {"Success": count}
    return paths


async def carry(place, act, disk, *options):
    where = "--to" if act == "pack" else "--from"
    return await place.run("courier", act, where, str(disk), *options)


def everything_on(disk):
    return b"\0".join(
        path.name.encode() + path.read_bytes() for path in sorted(disk.rglob("*")) if path.is_file()
    )


async def test_the_backlog_is_carried_delivered_and_receipted(places, disk, cloud, line, tmp_path):
    clinic, hospital = places
    paths = await sent(clinic, tmp_path / "ct", 701)
    assert (await state(clinic))["custody"] == {"EDGE_ONLY": COUNT}

    packed = await carry(clinic, "pack", disk)
    assert packed.status == 0, packed
    assert f"{COUNT} images" in packed.out
    before = await state(clinic)
    # Packing says nothing of the archive: a disk may get lost.
    assert before["custody"] == {"EDGE_ONLY": COUNT}
    assert before["by_courier"] == COUNT
    assert "5 images are under way by courier" in before["sentence"]
    assert "5 on their way since " in (await clinic.run("status")).out
    again = await carry(clinic, "pack", disk)
    assert (again.status, again.out) == (0, "edge: nothing was packed\n")

    # A thief has the disk.
    secrets = Secrets()
    for path in paths:
        secrets.remember(path.read_bytes())
    content = everything_on(disk)
    assert len(content) > sum(path.stat().st_size for path in paths)
    found = [name for name, needle in secrets.needles() if needle in content]
    assert found == []
    assert (await carry(clinic, "list", disk)).out.count("5 images") == 1

    # The hospital has the disk. Its line is another one: that of the clinic stays cut.
    await clinic.stop()
    line.restore()
    early = await carry(clinic, "receipts", disk)
    assert (early.status, "not delivered yet: 5" in early.out) == (0, True), early
    delivered = await carry(hospital, "unpack", disk)
    assert delivered.status == 0, delivered
    assert f"{COUNT} verified" in delivered.out
    assert cloud.sop_uids() == sorted(pydicom.dcmread(path).SOPInstanceUID for path in paths)
    uploads = line.uploads()
    assert set(uploads.values()) == {1}
    # Twice does no harm, and sends nothing twice.
    assert (await carry(hospital, "unpack", disk)).status == 0
    assert line.uploads() == uploads
    # What comes back betrays no more than what went.
    content = everything_on(disk)
    assert [name for name, needle in secrets.needles() if needle in content] == []

    # The clinic has the disk again; its line is still cut.
    line.cut()
    await clinic.start()
    taken = await carry(clinic, "receipts", disk)
    assert taken.status == 0, taken
    assert f"{COUNT} verified" in taken.out
    after = await state(clinic)
    assert after["custody"] == {"VERIFIED": COUNT}
    assert after["by_courier"] == after["studies_only_here"] == 0
    told = await clinic.run("audit", "search", "--event", "data exported", "--json")
    assert any("courier" in entry for entry in told.out.splitlines()), told
    deleted = await carry(clinic, "receipts", disk, "--delete")
    assert deleted.status == 0, deleted
    assert list(disk.iterdir()) == []
    assert after["custody"] == (await state(clinic))["custody"]


async def test_late_delivery_finds_that_the_line_was_quicker(places, disk, line, tmp_path):
    clinic, hospital = places
    await sent(clinic, tmp_path / "ct", 702)
    assert (await carry(clinic, "pack", disk)).status == 0
    line.restore()
    async with asyncio.timeout(60):
        while (now := await state(clinic))["custody"] != {"VERIFIED": COUNT}:
            pass
    assert now["by_courier"] == 0
    uploads = line.uploads()
    delivered = await carry(hospital, "unpack", disk)
    assert (delivered.status, "5 verified" in delivered.out) == (0, True), delivered
    assert line.uploads() == uploads
    taken = await carry(clinic, "receipts", disk, "--delete")
    assert (taken.status, "nothing new" in taken.out) == (0, True), taken
    assert list(disk.iterdir()) == []
    assert (await state(clinic))["custody"] == {"VERIFIED": COUNT}


async def killed_while(place, disk, *act, ready):
    """Start a command, and end it as a power cut does once something has happened on the disk."""
    running = place._popen("courier", *act, str(disk), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60

    def wait():
        while running.poll() is None and not ready() and time.monotonic() < deadline:
            time.sleep(0.01)

    try:
        await asyncio.to_thread(wait)
    finally:
        running.kill()
        await asyncio.to_thread(running.wait)


async def test_both_ends_are_killed_and_go_on(places, disk, cloud, line, tmp_path):
    clinic, hospital = places
    count = 120
    paths = samples.write_series(tmp_path / "ct", count, rows=512, columns=512, seed=704)
    assert await dcmsend(clinic.dimse_port, *paths) == {"Success": count}

    def half_written():
        return any(path.stat().st_size > 2**20 for path in disk.rglob("*.part.new"))

    await killed_while(clinic, disk, "pack", "--to", ready=half_written)
    assert list(disk.rglob("*.part.new"))
    packed = await carry(clinic, "pack", disk)
    assert (packed.status, f"{count} images" in packed.out) == (0, True), packed
    assert not list(disk.rglob("*.new"))

    await clinic.stop()
    line.restore()

    def some_are_there():
        return len(cloud.sop_uids()) > 10

    await killed_while(hospital, disk, "unpack", "--from", ready=some_are_there)
    delivered = await carry(hospital, "unpack", disk)
    assert (delivered.status, f"{count} verified" in delivered.out) == (0, True), delivered
    assert len(cloud.sop_uids()) == count
    line.cut()
    taken = await carry(clinic, "receipts", disk)
    assert (taken.status, f"{count} verified" in taken.out) == (0, True), taken


async def test_a_full_disk_is_said_and_custody_is_as_it_was(places, disk, tmp_path):
    clinic, _ = places
    await sent(clinic, tmp_path / "ct", 705)
    full = await clinic.run("courier", "pack", "--to", str(disk), disk_is_full=True)
    assert (full.status, "5 images did not fit" in full.err) == (1, True), full
    assert "Traceback" not in full.err
    assert (await state(clinic))["custody"] == {"EDGE_ONLY": COUNT}
    assert (await carry(clinic, "pack", disk)).status == 0


async def test_a_disk_in_wrong_hands_and_places(places, disk, tmp_path):
    clinic, hospital = places
    await sent(clinic, tmp_path / "ct", 703)
    assert (await carry(clinic, "pack", disk)).status == 0
    stranger = Installation(tmp_path / "elsewhere", hospital.cloud)
    seen = await carry(stranger, "list", disk)
    assert seen.status == 0, seen
    assert "sealed for another place" in seen.out
    assert "images" not in seen.out
    opened = await carry(stranger, "unpack", disk)
    assert (opened.status, "sealed for another place" in opened.err) == (1, True), opened
    # The hospital knows no box: it says whose it is, and how to let it in.
    hospital.configure()
    refused = await carry(hospital, "unpack", disk)
    assert refused.status == 1
    mine = await key_of(clinic)
    assert f"signed by {mine['fingerprint']}" in refused.err
    assert f'"{mine["key"]}"' in refused.err
    nothing = await carry(clinic, "unpack", disk)
    assert "was packed here" in nothing.out
    missing = await carry(clinic, "pack", tmp_path / "not mounted")
    assert (missing.status, "mounted" in missing.err) == (1, True), missing
    unnamed = await carry(hospital, "pack", disk)
    assert (unnamed.status, "courier.recipients" in unnamed.err) == (2, True), unnamed

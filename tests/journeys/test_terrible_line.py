"""Over a terrible line everything arrives, once, and little of the line is wasted."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pydicom
import pytest
import trustme

from edge import config, others
from tests import samples
from tests.fakes.line import Fault, TerribleLine
from tests.fakes.tls import tls_before
from tests.journeys import box as journey
from tests.journeys.box import Box
from tests.journeys.modality import dcmsend

SEED = 20240229
INSTANCES, STUDIES, CUTS = 600, 12, 60
RATE = 1_000_000.0
"""Bytes a second each way: as much again comes down, for every instance is read back."""
QUESTION = 500
"""Bytes of the headers of a request."""
UNKNOWING = 1_000_000
"""Bytes that the first cut may cost: half a first batch, before push knows the line."""
QUICK = {"retry_min_seconds": 0.02, "retry_max_seconds": 0.02}
"""A day of a bad line in a minute: pauses are as much shorter."""


@asynccontextmanager
async def laid(cloud) -> AsyncIterator[TerribleLine]:
    async with TerribleLine(cloud.http_port, auth=cloud.auth) as line:
        yield line


def write_small(folder: Path, count: int, studies: int, *, seed: int) -> list[Path]:
    """Instances of 20 to 60 KB, in studies of one series each."""
    chance = random.Random(seed)
    paths = []
    for study in range(studies):
        side = 0
        for number in range(count // studies):
            side = chance.randint(98, 171)
            (part,) = samples.ct_series(
                1, rows=side, columns=side, seed=seed + study, series=1 + number
            )
            path = folder / f"{study:03}-{number:04}.dcm"
            paths.append(path)
            path.write_bytes(part.data)
    return paths


def created(cloud) -> Counter[str]:
    """How often Orthanc's own feed of changes shows an instance as new, by its own name."""
    found: Counter[str] = Counter()
    since, done = 0, False
    while not done:
        page = cloud.request("GET", f"/changes?since={since}&limit=1000").json()
        found.update(one["ID"] for one in page["Changes"] if one["ChangeType"] == "NewInstance")
        since, done = page["Last"], page["Done"]
    return found


async def arrived(cloud, paths: list[Path]) -> None:
    """All there exactly once: Orthanc's own REST says so, and its feed."""
    sops = await asyncio.to_thread(cloud.sop_uids)
    sent = sorted(sop_of(path) for path in paths)
    assert sops == sent
    changes = await asyncio.to_thread(created, cloud)
    assert len(changes) == len(paths)
    assert set(changes.values()) == {1}


def sop_of(path: Path) -> str:
    return str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


async def all_sent(box: Box, count: int) -> None:
    async def sent() -> bool:
        custody = await box.custody()
        return custody["ACKNOWLEDGED"] + custody["VERIFIED"] == count

    await box.until(sent, "all is sent", seconds=200)


@pytest.mark.alone
async def test_many_cuts_waste_little_and_lose_nothing(cloud, open_box, tmp_path):
    paths = await asyncio.to_thread(write_small, tmp_path, INSTANCES, STUDIES, seed=SEED)
    sizes = sum(path.stat().st_size for path in paths)
    async with laid(cloud) as line, open_box(line, sync=QUICK) as box:
        await line.suffer(Fault.REFUSE)
        assert await dcmsend(box.dimse_port, *paths) == {"Success": INSTANCES}
        line.limit(RATE)
        line.up.carried = line.down.carried = 0
        before = line.seconds_up
        await line.heal()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            cutting = group.create_task(
                line.cut_at_random(SEED, CUTS, within=2 * sizes, down_for=0.1)
            )
            await all_sent(box, INSTANCES)
            up_seconds, carried = line.seconds_up - before, line.up.carried
            sent_after, cuts = time.monotonic() - began, line.cuts
            await box.until_verified(INSTANCES, seconds=200)
            took = time.monotonic() - began
            await cutting
    # On such a line an instance has a request of its own: its headers are needed, too.
    needed = sizes + INSTANCES * QUESTION
    wasted = (carried - needed) / carried
    filled = carried / (RATE * up_seconds)
    print(
        f"seed {SEED}: sent within {sent_after:.0f} s and {cuts} cuts, verified after {took:.0f} s"
        f" and {line.cuts} cuts; {carried / 1e6:.2f} MB up for {needed / 1e6:.2f} MB needed:"
        f" {wasted:.1%} wasted; the line was up for {up_seconds:.1f} s and {filled:.1%} filled"
    )
    await arrived(cloud, paths)
    assert line.cuts == CUTS
    # Orthanc keeps nothing of a request that was cut, and no request is less than an instance: half
    # of one is lost each time on the average. So each is judged by itself.
    assert carried - needed - UNKNOWING < cuts * needed / INSTANCES
    assert filled > 0.4


async def twenty(box: Box, folder: Path, seed: int) -> list[Path]:
    paths = await asyncio.to_thread(write_small, folder, 20, 1, seed=seed)
    assert await dcmsend(box.dimse_port, *paths) == {"Success": 20}
    return paths


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
async def test_whatever_the_line_does_everything_arrives_once_it_is_healed(
    fault, cloud, open_box, tmp_path
):
    async with laid(cloud) as line, open_box(line, sync=QUICK) as box:
        await box.until_online()
        await line.suffer(fault)
        paths = await twenty(box, tmp_path, 41)
        await asyncio.sleep(1.0)
        assert (await box.custody())["VERIFIED"] == 0
        await line.heal()
        await box.until_verified(20)
    await arrived(cloud, paths)


@pytest.mark.parametrize("after", [0, 300, 100_000, 500_000])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_reset_after_any_number_of_bytes_either_way_loses_nothing(
    way, after, cloud, open_box, tmp_path
):
    async with laid(cloud) as line, open_box(line, sync=QUICK) as box:
        await box.until_online()
        getattr(line, way).reset_after = after
        paths = await twenty(box, tmp_path, 42)
        await box.until_verified(20)
        assert line.cuts == 1
    await arrived(cloud, paths)


async def test_a_line_of_one_byte_a_second_is_borne_until_it_is_better(cloud, open_box, tmp_path):
    async with laid(cloud) as line, open_box(line, sync=QUICK) as box:
        await box.until_online()
        line.limit(1.0)
        paths = await twenty(box, tmp_path, 43)
        await asyncio.sleep(2.0)
        assert set(await box.custody()) <= {"EDGE_ONLY", "SENT"}
        line.limit(None)
        await box.until_verified(20)
    await arrived(cloud, paths)


async def test_a_slow_line_with_a_long_way_is_used(cloud, open_box, tmp_path):
    async with laid(cloud) as line, open_box(line, sync=QUICK) as box:
        await box.until_online()
        line.limit(2_000_000 / 8, latency=0.2)
        paths = await twenty(box, tmp_path, 44)
        await box.until_verified(20)
    await arrived(cloud, paths)


async def test_what_the_line_turns_over_tls_notices_and_it_is_sent_again(cloud, tmp_path):
    """Without TLS nobody would: TCP's sum is weak, and the archive would keep what it got."""
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.configure_cert(server)
    async with (
        tls_before(cloud.http_port, server) as port,
        TerribleLine(port, auth=cloud.auth) as line,
    ):
        line.scheme = "https"
        line.up.corrupt_every = 150_000
        settings = trusting(line, tmp_path / "ca.pem", journey.settings(tmp_path / "box", line))
        async with journey.running(settings) as box:
            paths = await twenty(box, tmp_path, 45)
            await asyncio.sleep(1.0)
            line.up.corrupt_every = None
            await box.until_verified(20)
    await arrived(cloud, paths)


async def test_a_name_that_does_not_resolve_any_more_is_waited_for(
    cloud, open_box, tmp_path, monkeypatch
):
    known = True
    ask = socket.getaddrinfo

    def resolve(host, *rest, **options):
        if host not in ("archive.invalid", b"archive.invalid"):
            return ask(host, *rest, **options)
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with laid(cloud) as line:
        line.host = "archive.invalid"
        async with open_box(line, sync=QUICK) as box:
            await box.until_online()
            known = False
            line.reset()
            paths = await twenty(box, tmp_path, 46)
            await box.until_offline()

            async def named() -> bool:
                # At first it is the connection that broke.
                (state,) = (await box.appliance.cache.status()).archives
                return "the name archive.invalid can't be resolved" in state.reason

            await box.until(named, "the reason is the name")
            known = True
            await box.until_verified(20)
    await arrived(cloud, paths)


def trusting(line: TerribleLine, tls_ca: Path, settings: config.Config) -> config.Config:
    user, password = line.auth
    auth = others.Auth("basic", user=user, password=password)
    archive = others.Archive("cloud", line.dicomweb, auth=auth, tls_ca=tls_ca)
    return dataclasses.replace(settings, cloud=config.Cloud((archive,)))

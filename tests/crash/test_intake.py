"""Killed between every two steps of intake: what was answered is there, and is uploaded once."""

from __future__ import annotations

import asyncio
import itertools
import subprocess

import httpx
import pytest

from edge import config
from edge.app import Appliance
from tests.crash.doomed import doomed
from tests.fakes.archive import FakeArchive
from tests.samples import ct_series

SAMPLES = list(ct_series(2, rows=96, columns=96))


def settings(folder, *, archive=None) -> config.Config:
    archives = () if archive is None else (config.Archive(name="cloud", url=archive.url),)
    return config.Config(
        appliance=config.Appliance(data_dir=folder),
        dimse=config.Dimse(listen="127.0.0.1:0", unknown_peers="accept"),
        http=config.Http(listen="127.0.0.1:0", tls="off", auth="none"),
        cache=config.Cache(reserve_bytes=0),
        cloud=config.Cloud(archive=archives),
        sync=config.Sync(retry_min_seconds=0.05, retry_max_seconds=0.2),
    )


def send_over_dimse(service, folder) -> set[str]:
    """Send the samples with DCMTK; the SOP Instance UIDs that were answered with success."""
    paths = [folder / f"{number}.dcm" for number in range(len(SAMPLES))]
    for path, sample in zip(paths, SAMPLES, strict=True):
        path.write_bytes(sample.data)
    sent = subprocess.run(
        ["storescu", "-v", "-aec", "EDGE", "127.0.0.1", str(service.dimse_port), *map(str, paths)],
        env={"TCP_NODELAY": "1", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    successes = sent.stderr.count("Received Store Response (Success)")
    successes += sent.stdout.count("Received Store Response (Success)")
    return {sample.ref.sop_uid for sample in SAMPLES[:successes]}


def send_over_dicomweb(service, _folder) -> set[str]:
    """The same by STOW-RS, an instance a request."""
    answered: set[str] = set()
    for sample in SAMPLES:
        body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + sample.data + b"\r\n--b--"
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{service.http_port}/dicom-web/studies",
                content=body,
                headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
            )
        except httpx.TransportError:
            break
        if answer.status_code == 200:
            answered.add(sample.ref.sop_uid)
    return answered


async def contents(box) -> dict[str, bytes]:
    """Every data set on the box, by SOP Instance UID."""
    found = {}
    for entry in await box.retrieval.instances(SAMPLES[0].ref.study_uid):
        async with box.retrieval.open_instance(entry) as instance:
            data = b"".join([piece async for piece in instance.stream()])
        found[entry.ref.sop_uid] = data
    return found


def dataset_bytes(part10: bytes) -> bytes:
    """What is behind preamble and group 0002, whose length stands in its first element."""
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


async def everything_is_safe(box) -> None:
    """Wait until the archive vouches for all that the box has."""
    async with asyncio.timeout(30):
        with box.changes.subscribe() as woken:
            while set((await box.cache.status()).summary.custody) - {"VERIFIED"}:
                await woken.wait(0.2)


@pytest.mark.parametrize("send", [send_over_dimse, send_over_dicomweb])
async def test_killed_at_every_step_between_the_first_byte_and_the_answer(tmp_path, send):
    expected = {sample.ref.sop_uid: dataset_bytes(sample.data) for sample in SAMPLES}
    partly = False
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        with doomed(settings(folder), fatal) as service:
            answered = await asyncio.to_thread(send, service, tmp_path)
            clean = service.alive
        partly |= 0 < len(answered) < len(SAMPLES)
        async with FakeArchive() as archive:
            async with Appliance(settings(folder, archive=archive)) as box:
                await everything_is_safe(box)
                there = {uid: dataset_bytes(data) for uid, data in (await contents(box)).items()}
            assert answered <= there.keys(), f"lost at step {fatal}"
            assert all(expected[uid] == data for uid, data in there.items()), f"step {fatal}"
            assert archive.received == dict.fromkeys(there, 1), f"step {fatal}"
        assert not list((folder / "incoming").iterdir())
        if clean:
            assert answered == expected.keys()
            break
    steps = service.steps
    assert fatal > len(steps) >= 12, steps
    assert {"open", "writev", "fsync", "rename", "COMMIT", "commit of a key"} <= set(steps), steps
    assert partly

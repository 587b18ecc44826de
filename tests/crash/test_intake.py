"""Killed between every two steps of intake: what was answered is there, and is uploaded once."""

from __future__ import annotations

import asyncio
import itertools
import subprocess

import httpx
import pytest

from edge.app import Appliance
from tests.crash.box import SAMPLES, contents, dataset_bytes, everything_is_safe, settings
from tests.crash.doomed import doomed
from tests.fakes.archive import FakeArchive


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
                timeout=60,
            )
        except httpx.TransportError:
            break
        if answer.status_code == 200:
            answered.add(sample.ref.sop_uid)
    return answered


@pytest.mark.parametrize("send", [send_over_dimse, send_over_dicomweb])
async def test_killed_at_every_step_between_the_first_byte_and_the_answer(tmp_path, send):
    expected = {sample.ref.sop_uid: dataset_bytes(sample.data) for sample in SAMPLES}
    partly = False
    for fatal in itertools.count(1):
        folder = tmp_path / str(fatal)
        with doomed(settings(folder), fatal) as service:
            answered = await asyncio.to_thread(send, service, tmp_path)
        partly |= 0 < len(answered) < len(SAMPLES)
        async with FakeArchive() as archive:
            async with Appliance(settings(folder, archive=archive)) as box:
                await everything_is_safe(box)
                there = {uid: dataset_bytes(data) for uid, data in (await contents(box)).items()}
            assert answered <= there.keys(), f"lost at step {fatal}"
            assert all(expected[uid] == data for uid, data in there.items()), f"step {fatal}"
            assert archive.received == dict.fromkeys(there, 1), f"step {fatal}"
        assert not list((folder / "incoming").iterdir())
        if service.steps:  # it told them at its end: it was not killed
            assert answered == expected.keys()
            break
    steps = service.steps
    assert fatal > len(steps) >= 12, steps
    assert {"open", "write", "fsync", "rename", "COMMIT", "pwrite"} <= set(steps), steps
    assert partly

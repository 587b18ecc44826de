"""``edge key rotate``, in processes of its own, beside a running service and without one."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from edge import config
from edge.app import Appliance
from edge.cache.admission import Source
from edge.crypto.twin import PLACE, copies
from edge.dicom.instance import Origin
from tests.commands import program
from tests.samples import chunks, ct_series

SAMPLES = list(ct_series(2, rows=16, columns=16))


@pytest.fixture
def settings(tmp_path):
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n')
    return path


async def rotate(path, *more):
    return await asyncio.to_thread(program.run, "key", "rotate", *more, "--config", path)


def objects(folder):
    """Every sealed object: when it was last touched, and its bytes."""
    found = {}
    for path in folder.glob("objects/??/*"):
        stat = path.stat()
        digest = hashlib.sha256(path.read_bytes()).digest()
        found[path.name] = stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, digest
    return found


async def contents(box):
    found = []
    for entry in await box.retrieval.instances(SAMPLES[0].ref.study_uid):
        async with box.retrieval.open_instance(entry) as instance:
            found.append(b"".join([piece async for piece in instance.stream()]))
    return sorted(found)


async def test_every_image_opens_afterwards_and_no_object_was_touched(settings, path, tmp_path):
    wanted = sorted(sample.data for sample in SAMPLES)
    folder = tmp_path / "box"
    async with Appliance(settings) as box:
        for sample in SAMPLES:
            await box.admission.store_instance(chunks(sample.data), Source(Origin.DIMSE))
        before = objects(folder)
        done = await rotate(path)
        assert (done.returncode, done.stdout) == (0, "")
        assert "all 1 keys are wrapped anew, by epoch 2" in done.stderr
        assert await contents(box) == wanted
    done = await rotate(path)
    assert "by epoch 3" in done.stderr
    assert len(before) == 2
    assert objects(folder) == before
    async with Appliance(settings) as box:
        assert await contents(box) == wanted


async def test_damage_is_named_and_can_be_given_up(settings, path, tmp_path):
    async with Appliance(settings) as box:
        for _ in range(2):
            await asyncio.to_thread(box.cache.keys.new_study_key)
        for number, copy in enumerate(copies(tmp_path / "box" / "keys.db")):
            content = bytearray(copy.read_bytes())
            content[3 * PLACE + 30 + number] ^= 1
            copy.write_bytes(content)
        refused = await rotate(path)
        assert refused.returncode == 1
        assert "1 places of the ring of keys are damaged in both copies" in refused.stderr
        assert "--abandon-damaged" in refused.stderr
        assert "all 1 keys" in (await rotate(path, "--abandon-damaged")).stderr


async def test_where_there_is_no_box_nothing_is_made(path, tmp_path):
    refused = await rotate(path)
    assert refused.returncode == 2
    assert "there is no box" in refused.stderr
    assert not (tmp_path / "box").exists()

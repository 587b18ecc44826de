"""``edge trash``, in processes of its own, beside a running service and without one."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge import config
from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.index import lookup
from tests import program
from tests.samples import chunks, ct_series

SAMPLES = list(ct_series(3, rows=16, columns=16))
UIDS = [sample.ref.sop_uid for sample in SAMPLES]


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


async def fill(box):
    for sample in SAMPLES:
        source = Source(Origin.CLOUD, "cloud", vouches=True)
        await box.admission.store_instance(chunks(sample.data), source)
    refs = [sample.ref for sample in SAMPLES]
    await box.cache.trash.put(refs, archive="cloud", reason="deleted there")


async def edge(path, *arguments):
    return await asyncio.to_thread(program.run, *arguments, "--config", path)


async def test_it_lists_restores_and_empties_beside_the_service(settings, path):
    async with Appliance(settings) as box:
        await fill(box)
        said = await edge(path, "trash", "list")
        assert said.returncode == 0
        assert "in the trash: 3" in said.stdout
        assert "by archive cloud: deleted there" in said.stdout
        said = await edge(path, "status")
        assert "3 images that the archive deleted" in said.stdout
        said = await edge(path, "trash", "restore", UIDS[0])
        assert "1 image is shown again; the archive deleted them, and will be sent" in said.stderr
        for act in (("restore",), ("empty", "--yes")):
            said = await edge(path, "trash", *act, "--study", "1.2.3")
            assert said.returncode == 1
            assert "no such study is known here: 1.2.3" in said.stderr
        said = await edge(path, "trash", "restore", UIDS[0])
        assert (said.returncode, "none of these is in the trash" in said.stderr) == (0, True)
        row = await lookup.find_one(box.cache.database, UIDS[0])
        assert (row.custody, row.withheld) == ("EDGE_ONLY", "")
        said = await edge(path, "trash", "empty", UIDS[1])
        assert said.returncode == 2
        assert "--yes" in said.stderr
        said = await edge(path, "trash", "empty", UIDS[1], "--yes")
        assert "1 image will be erased now" in said.stderr
        async with asyncio.timeout(60):
            with box.changes.subscribe() as woken:
                while await lookup.find_one(box.cache.database, UIDS[1]) is not None:
                    await woken.wait(0.05)


async def test_without_the_service_it_lists_and_what_is_to_go_goes_at_the_next_start(
    settings, path
):
    async with Appliance(settings) as box:
        await fill(box)
    said = await edge(path, "trash", "empty", "--all", "--yes")
    assert "3 images will be erased when the service starts" in said.stderr
    page = json.loads((await edge(path, "trash", "list", "--json")).stdout)
    assert page["total"] == 3
    assert {one["until"] for one in page["items"]} == {None}
    async with Appliance(settings) as box, asyncio.timeout(60):
        with box.changes.subscribe() as woken:
            while await lookup.find_one(box.cache.database, UIDS[0]) is not None:
                await woken.wait(0.05)


@pytest.mark.parametrize("about", [(), ("1.2", "--all"), ("--all", "--study", "1.2")])
async def test_what_it_is_about_must_be_said_once(path, about):
    for act in ("restore", "empty"):
        said = await edge(path, "trash", act, *about)
        assert said.returncode == 2
        assert "it is not clear about which images that is" in said.stderr

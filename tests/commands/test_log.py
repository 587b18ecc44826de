"""``edge log``: references in the log are looked up."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from edge import config
from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.logs import reference
from tests.commands import program
from tests.samples import chunks, ct_series

SAMPLES = list(ct_series(2, rows=16, columns=16))


@pytest.fixture
async def refer(tmp_path):
    """Gives the references of a box that has two images, one of them in the trash."""
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )
    async with Appliance(loaded) as box:
        for sample in SAMPLES:
            source = Source(Origin.CLOUD, "cloud", vouches=True)
            await box.admission.store_instance(chunks(sample.data), source)
        await box.cache.trash.put([SAMPLES[0].ref], archive="cloud", reason="deleted there")
        key = box.cache.keys.derive("references in the log")
    return partial(reference, key)


@pytest.fixture
def find(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n')

    async def run(*words, of="log"):
        return await asyncio.to_thread(program.run, of, *words, "--config", path)

    return run


async def test_it_tells_what_references_stand_for_and_who_asked_is_recorded(refer, find):
    ref = SAMPLES[0].ref
    study, series, sop = map(refer, (ref.study_uid, ref.series_uid, ref.sop_uid))
    ran = await find("find", study, series, sop.removeprefix("uid:").upper())
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        f"{study}  study {ref.study_uid}",
        f"{series}  series {ref.series_uid}",
        f"{sop}  sop {ref.sop_uid}",
    ]
    searched = await find("search", "--json", of="audit")
    assert [one for one in map(json.loads, searched.stdout.splitlines()) if study in str(one)]


async def test_it_says_what_nothing_here_is_called(refer, find):
    known = refer(SAMPLES[1].ref.sop_uid)
    ran = await find("find", "--json", known, "uid:0000000000")
    assert ran.returncode == 1
    assert ran.stderr == "edge: nothing here is called uid:0000000000\n"
    found = json.loads(ran.stdout)
    assert found == {known: {SAMPLES[1].ref.sop_uid: "sop"}, "uid:0000000000": {}}

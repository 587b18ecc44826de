"""What only the cloud has: found on the box, opened at the first request, there to stay."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest

from edge.dicom.instance import InstanceRef
from tests import samples
from tests.journeys.viewer import Part10

AVAILABILITY = "00080056"


@dataclass
class Study:
    """A study that was put into Orthanc, past the box."""

    uid: str
    refs: list[InstanceRef]
    files: dict[str, Part10]
    frames: dict[str, bytes]

    @property
    def path(self) -> str:
        return f"/studies/{self.uid}"

    @property
    def series_path(self) -> str:
        return f"{self.path}/series/{self.refs[0].series_uid}"

    def instance_path(self, number: int) -> str:
        return f"{self.series_path}/instances/{self.refs[number].sop_uid}"


def put(cloud, *, seed: int, slices: int = 4) -> Study:
    made = list(samples.ct_series(slices, rows=32, columns=32, seed=seed))
    for one in made:
        cloud.store(one.data)
    return Study(
        uid=made[0].ref.study_uid,
        refs=[one.ref for one in made],
        files={one.ref.sop_uid: Part10.of(one.data) for one in made},
        frames={one.ref.sop_uid: one.data[-2048:] for one in made},
    )


async def until_found(box, study: Study) -> dict:
    """Wait for the sweep to find the study; what QIDO-RS says of it."""

    async def found():
        return await box.viewer.search("/studies", StudyInstanceUID=study.uid)

    await box.until(found, "the sweep finds the study")
    return (await found())[0]


async def until_here(box, study: Study) -> None:
    async def here() -> bool:
        rows = await box.rows("SELECT count(*) FROM instances WHERE availability = 'ONLINE'")
        return rows[0][0] == len(study.files)

    await box.until(here, "the rest of the series follows")


async def open_instance(viewer, study):
    found = await viewer.instances(study.instance_path(1))
    sop_uid = study.refs[1].sop_uid
    assert found == {sop_uid: study.files[sop_uid]}


async def open_frames(viewer, study):
    found = await viewer.frames(study.instance_path(2), [1])
    assert found == [study.frames[study.refs[2].sop_uid]]


async def open_metadata(viewer, study):
    found = await viewer.metadata(study.path)
    assert {one["00080018"]["Value"][0] for one in found} == study.files.keys()
    assert all(one["00280010"]["Value"] == [32] for one in found)


async def open_series(viewer, study):
    assert await viewer.instances(study.series_path) == study.files


async def open_study(viewer, study):
    assert await viewer.instances(study.path) == study.files


WAYS = [open_instance, open_frames, open_metadata, open_series, open_study]


async def test_a_study_that_only_the_cloud_has_is_found_on_the_box(cloud, open_box):
    study = put(cloud, seed=41)
    async with open_box(cloud) as box:
        found = await until_found(box, study)
        assert found[AVAILABILITY]["Value"] == ["NEARLINE"]
        assert found["00100020"]["Value"] == ["SYN-000041"]
        assert found["00201208"]["Value"] == [4]
        [series] = await box.viewer.search(f"{study.path}/series")
        assert series["0020000E"]["Value"] == [study.refs[0].series_uid]
        listed = await box.viewer.search(f"{study.path}/instances")
        assert {one["00080018"]["Value"][0] for one in listed} == study.files.keys()
        assert not box.files()


@pytest.mark.parametrize("open_first", WAYS)
async def test_it_opens_at_the_first_request_and_again_without_the_line(
    open_first, cloud, line, open_box
):
    study = put(cloud, seed=42)
    async with open_box(line) as box:
        await until_found(box, study)
        await open_first(box.viewer, study)
        if open_first is not open_metadata:
            await until_here(box, study)
        line.cut()
        await open_first(box.viewer, study)


async def test_a_study_that_was_opened_once_stays_when_the_cloud_stops(cloud, open_box):
    study = put(cloud, seed=43)
    async with open_box(cloud) as box:
        await until_found(box, study)
        await open_instance(box.viewer, study)
        await until_here(box, study)
        await cloud.stopped()
        for open_again in WAYS:
            await open_again(box.viewer, study)
        [found] = await box.viewer.search("/studies", StudyInstanceUID=study.uid)
        assert found[AVAILABILITY]["Value"] == ["ONLINE"]


@pytest.mark.parametrize("open_first", WAYS)
async def test_a_study_that_no_sweep_has_met_opens_by_its_uid(open_first, cloud, open_box):
    met = put(cloud, seed=44)
    async with open_box(cloud) as box:
        await until_found(box, met)
        study = put(cloud, seed=45)
        assert not await box.viewer.search("/studies", StudyInstanceUID=study.uid)
        await open_first(box.viewer, study)
        assert await box.viewer.search("/studies", StudyInstanceUID=study.uid)


async def test_many_viewers_of_a_missing_study_cause_one_fetch_of_each_instance(
    cloud, line, open_box
):
    study = put(cloud, seed=46)
    async with open_box(line) as box:
        await until_found(box, study)
        await asyncio.gather(*(open_study(box.viewer, study) for _ in range(5)))
        assert line.downloads() == Counter(study.files.keys())
        assert len(box.files()) == len(study.files)


async def test_without_the_line_what_is_not_here_is_refused_with_the_time_to_try_again(
    cloud, line, open_box
):
    study = put(cloud, seed=47)
    async with open_box(line) as box:
        await until_found(box, study)
        line.cut()
        for path in (study.path, study.instance_path(0), f"{study.path}/metadata"):
            answer = await box.viewer.get(path, "*/*")
            assert answer.status_code == 503, path
            assert int(answer.headers["Retry-After"]) > 0

        line.restore()
        await open_study(box.viewer, study)


async def test_what_came_by_reading_through_is_not_sent_back(cloud, line, open_box):
    study = put(cloud, seed=48)
    async with open_box(line) as box:
        await open_study(box.viewer, study)
        assert await box.custody() == {"VERIFIED": len(study.files)}
        await asyncio.sleep(0.5)
    assert not line.uploads()

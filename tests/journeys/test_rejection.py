"""A technician rejects images (IHE IOCM): nobody is shown them, whichever way the note comes."""

from __future__ import annotations

import pytest

from edge.access.roles import Role
from tests import samples
from tests.journeys.modality import dcmtk
from tests.notes import note

COUNT = 4
SLICES = list(samples.ct_series(COUNT, seed=91, rows=32, columns=32))
REJECTED = SLICES[:2]
NOTE = note([each.ref for each in REJECTED], "113037")
STUDY = SLICES[0].ref.study_uid


@pytest.fixture
def files(tmp_path):
    """Images, and the note about two of them."""
    folder = tmp_path / "sent"
    folder.mkdir()
    paths = []
    for number, each in enumerate([*SLICES, NOTE]):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(each.data)
    return paths[:COUNT], paths[COUNT]


async def storescu(box, *paths):
    ran = await dcmtk("storescu", box.dimse_port, *paths)
    assert ran.has_succeeded, ran.output


async def shown(box):
    found = await box.viewer.search(f"/studies/{STUDY}/instances")
    return {one["00080018"]["Value"][0] for one in found}


async def statuses(box, ref):
    """What every way to an image answers."""
    path = f"/studies/{ref.study_uid}/series/{ref.series_uid}/instances/{ref.sop_uid}"
    ways = ["", "/metadata", "/rendered", "/frames/1"]
    return {(await box.viewer.http.get(path + way)).status_code for way in ways}


UIDS = {each.ref.sop_uid for each in [*SLICES[2:], NOTE]}


@pytest.mark.parametrize("order", ["images first", "note first", "images again"])
async def test_what_a_note_rejects_is_shown_to_nobody_and_goes_to_the_cloud(
    cloud, open_box, files, order
):
    images, said = files
    async with open_box(cloud) as box:
        if order == "note first":
            await storescu(box, said)
        await storescu(box, *images)
        if order != "note first":
            await storescu(box, said)
        if order == "images again":
            await storescu(box, *images)
        assert await shown(box) == UIDS
        [study] = await box.viewer.search("/studies", StudyInstanceUID=STUDY)
        assert study["00201208"]["Value"] == [len(UIDS)]
        for each in REJECTED:
            assert await statuses(box, each.ref) == {404}
        metadata = (await box.viewer.http.get(f"/studies/{STUDY}/metadata")).json()
        assert {one["00080018"]["Value"][0] for one in metadata} == UIDS
        await box.until_verified(COUNT + 1)
        assert len(cloud.sop_uids()) == COUNT + 1
        assert (await box.summary()).rejected == 2


async def test_who_deletes_the_note_takes_the_rejection_back(cloud, open_box, files):
    images, said = files
    async with open_box(cloud) as box:
        await storescu(box, *images, said)
        await box.until_verified(COUNT + 1)
        async with await box.client(Role.ADMIN) as keeper:
            ref = NOTE.ref
            path = f"/studies/{STUDY}/series/{ref.series_uid}/instances/{ref.sop_uid}"
            assert (await keeper.http.delete(path)).status_code == 204
        assert await shown(box) == {each.ref.sop_uid for each in SLICES}
        assert await statuses(box, REJECTED[0].ref) == {200}


async def test_another_box_learns_of_the_rejection_from_the_cloud(cloud, open_box, files):
    images, said = files
    async with open_box(cloud) as box:
        await storescu(box, *images, said)
        await box.until_verified(COUNT + 1)
    async with open_box(cloud, folder="other") as other:

        async def is_hidden() -> bool:
            return await shown(other) == UIDS

        await other.until(is_hidden, "the note is read")
        assert await statuses(other, REJECTED[0].ref) == {404}
        assert await statuses(other, SLICES[2].ref) == {200}


async def test_what_the_cloud_deleted_is_in_the_trash_until_it_is_restored(cloud, open_box, files):
    images, _ = files
    async with open_box(cloud) as box:
        await storescu(box, *images)
        await box.until_verified(COUNT)
        uids = {each.ref.sop_uid for each in SLICES}
        trash = box.appliance.cache.trash
        refs = [each.ref for each in REJECTED]
        assert (await trash.put(refs, archive="cloud", reason="deleted there")).trashed == 2
        assert await shown(box) == uids - {ref.sop_uid for ref in refs}
        assert await statuses(box, refs[0]) == {404}
        status = await box.appliance.status()
        assert status.sentence.startswith("In the trash until 20")
        assert "2 images that the archive deleted." in status.sentence
        async with await box.client(Role.ADMIN) as keeper:
            base = str(keeper.http.base_url).replace("/dicom-web", "/api/v1")
            listed = (await keeper.http.get(f"{base}trash")).json()
            assert {one["sop_uid"] for one in listed["items"]} == {ref.sop_uid for ref in refs}
            wish = {"decision": "empty", "all": True}
            assert (await keeper.http.post(f"{base}trash", json=wish)).status_code == 409
            wish = {"decision": "restore", "sop_uids": [refs[0].sop_uid]}
            assert (await keeper.http.post(f"{base}trash", json=wish)).json() == {"done": 1}
            wish = {"decision": "empty", "study_uid": STUDY, "confirmed": True}
            assert (await keeper.http.post(f"{base}trash", json=wish)).json() == {"done": 1}

        async def erased() -> bool:
            return (await box.summary()).trashed == 0

        await box.until(erased, "the trash is emptied")
        await box.until_verified(COUNT - 1)
        assert await shown(box) == uids - {refs[1].sop_uid}
        async with await box.client(Role.PHYSICIAN) as reader:
            wish = {"decision": "empty", "all": True, "confirmed": True}
            assert (await reader.http.post(f"{base}trash", json=wish)).status_code == 403


async def test_the_note_of_what_is_expired_is_hidden_as_well(open_box, tmp_path):
    said = note([each.ref for each in SLICES], "113039")
    folder = tmp_path / "expired"
    folder.mkdir()
    async with open_box() as box:
        for number, each in enumerate([said, *SLICES]):
            path = folder / f"{number}.dcm"
            path.write_bytes(each.data)
            await storescu(box, path)
        assert await box.viewer.search("/studies") == []
        assert (await box.summary()).studies_only_here == 1

"""The main job: a modality sends, the box keeps it and gives it back, the cloud has it.

The data set that comes back, from the box and from the cloud, is compared byte for byte with what
went over the wire, or with what is in the file.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests import samples
from tests.journeys.box import Box
from tests.journeys.modality import dcmsend, dcmtk, send, tapped, with_its_own_names
from tests.journeys.viewer import Part10, Viewer, as_sent, identity

NOT_READ_BY_DCMTK = {
    "SC_rgb_jpeg.dcm": "its file meta says JPEG, and its data set is in implicit VR",
    "rtdose_rle.dcm": "DCMTK finds no SOP class in it",
    "rtdose_rle_1frame.dcm": "DCMTK finds no SOP class in it",
}
"""Legal for us. Orthanc reads with DCMTK, so it may refuse them, too."""

STORESCU_PROPOSES = {
    "-xi": "1.2.840.10008.1.2",
    "-xe": "1.2.840.10008.1.2.1",
    "-xb": "1.2.840.10008.1.2.2",
    "-xd": "1.2.840.10008.1.2.1.99",
    "-xy": "1.2.840.10008.1.2.4.50",
    "-xx": "1.2.840.10008.1.2.4.51",
    "-xs": "1.2.840.10008.1.2.4.70",
    "-xt": "1.2.840.10008.1.2.4.80",
    "-xv": "1.2.840.10008.1.2.4.90",
    "-xw": "1.2.840.10008.1.2.4.91",
    "-xr": "1.2.840.10008.1.2.5",
}


def rounds() -> list[list[Path]]:
    """Every legal file; those that share a SOP Instance UID are in different rounds."""
    several: dict[str, list[Path]] = defaultdict(list)
    for path in samples.legal_files():
        several[str(identity(path.read_bytes()).SOPInstanceUID)].append(path)
    most = max(map(len, several.values()))
    return [
        [paths[number] for paths in several.values() if number < len(paths)]
        for number in range(most)
    ]


async def everything(viewer: Viewer) -> dict[str, Part10]:
    """Every instance of every study, as it is stored."""
    found: dict[str, Part10] = {}
    for study in await viewer.search("/studies", limit=1000):
        found |= await viewer.instances(f"/studies/{study['0020000D']['Value'][0]}")
    return found


async def assert_has(viewer: Viewer, expected: dict[str, Part10]) -> None:
    """It has these instances and no others, in their transfer syntaxes, with the same bytes."""
    found = await everything(viewer)
    assert found.keys() == expected.keys()
    differing = [uid for uid, one in expected.items() if found[uid] != one]
    assert not differing


async def test_what_dcmtk_sends_comes_back_from_the_box_and_from_the_cloud(cloud, open_box):
    paths = [one for one in samples.distinct_files() if one.name not in NOT_READ_BY_DCMTK]
    async with open_box(cloud) as box, tapped(box.dimse_port) as tap:
        assert await dcmsend(tap.port, *paths) == {"Success": len(paths)}

        sent = tap.stored()
        assert len(sent) == len(paths)
        await assert_has(box.viewer, sent)

        await box.until_verified(len(paths))
        async with Viewer(cloud.dicomweb, auth=cloud.auth) as there:
            await assert_has(there, sent)


@pytest.mark.parametrize("number", range(len(rounds())))
async def test_every_legal_file_comes_back_as_it_is(number, cloud, open_box, tmp_path):
    paths = [with_its_own_names(path, tmp_path) for path in rounds()[number]]
    expected = as_sent(paths)
    assert len(expected) == len(paths)
    async with open_box(cloud) as box:
        assert await send(box.dimse_port, paths) == {0x0000: len(paths)}
        await assert_has(box.viewer, expected)

        refused = await until_settled(box, paths)
        async with Viewer(cloud.dicomweb, auth=cloud.auth) as there:
            await assert_has(there, {uid: expected[uid] for uid in expected.keys() - refused})


async def until_settled(box: Box, paths: list[Path]) -> set[str]:
    """Wait until the cloud has all but those that it may refuse; the UIDs of what it refused."""
    excused = {Part10.at(path).sop_uid for path in paths if path.name in NOT_READ_BY_DCMTK}

    async def settled() -> bool:
        return (await box.custody()).keys() <= {"VERIFIED", "REFUSED"}

    await box.until(settled, "the cloud took or refused everything")
    rows = await box.rows("SELECT sop_uid FROM instances WHERE custody = 'REFUSED'")
    refused = {uid for (uid,) in rows}
    assert refused <= excused
    return refused


@pytest.mark.parametrize("option", STORESCU_PROPOSES)
async def test_storescu_may_propose_any_transfer_syntax_that_it_knows(option, open_box):
    syntax = STORESCU_PROPOSES[option]
    paths = {
        one.sop_uid: path
        for path in samples.legal_files()
        if path.name not in NOT_READ_BY_DCMTK and (one := Part10.at(path)).transfer_syntax == syntax
    }
    async with open_box() as box, tapped(box.dimse_port) as tap:
        ran = await dcmtk("storescu", tap.port, option, "-R", *list(paths.values())[:10])
        assert ran.has_succeeded, ran.output

        sent = tap.stored()
        assert {one.transfer_syntax for one in sent.values()} == {syntax}
        await assert_has(box.viewer, sent)


@pytest.mark.alone
async def test_a_ct_of_500_slices_comes_back_from_the_box_and_from_the_cloud(
    cloud, open_box, tmp_path
):
    paths = samples.write_series(tmp_path / "ct", 500, rows=256, columns=256, seed=500)
    expected = as_sent(paths)
    [study_uid] = {str(identity(paths[0].read_bytes()).StudyInstanceUID)}
    async with open_box(cloud) as box:
        began = time.monotonic()
        assert await dcmsend(box.dimse_port, tmp_path / "ct") == {"Success": 500}
        print(f"500 slices came in within {time.monotonic() - began:.1f} s")

        assert await box.viewer.instances(f"/studies/{study_uid}") == expected
        assert len(await box.viewer.metadata(f"/studies/{study_uid}")) == 500

        await box.until_verified(500)
        async with Viewer(cloud.dicomweb, auth=cloud.auth) as there:
            assert await there.instances(f"/studies/{study_uid}") == expected
    assert len(cloud.sop_uids()) == 500


async def test_echoscu_gets_its_answer(open_box):
    async with open_box() as box:
        ran = await dcmtk("echoscu", box.dimse_port)
        assert ran.has_succeeded, ran.output

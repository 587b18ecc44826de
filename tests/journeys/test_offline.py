"""The line is down: intake goes on, and afterwards everything arrives, each instance once."""

from __future__ import annotations

from collections import Counter

from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import Viewer, as_sent


def write_study(folder, slices, *, seed):
    """A small CT; its study UID and its files."""
    paths = samples.write_series(folder, slices, rows=64, columns=64, seed=seed)
    return samples.sample_uid(seed, "study"), paths


async def test_what_came_while_the_cloud_was_down_arrives_once_and_is_verified(
    cloud, line, open_box, tmp_path
):
    first_uid, first = write_study(tmp_path / "first", 30, seed=31)
    second_uid, second = write_study(tmp_path / "second", 30, seed=32)
    expected = as_sent([*first, *second])
    await cloud.stopped()
    async with open_box(line) as box:
        await box.until_offline()
        assert await dcmsend(box.dimse_port, *first) == {"Success": len(first)}
        assert (await box.summary()).studies_only_here == 1

    async with open_box(line) as box:
        assert await dcmsend(box.dimse_port, *second) == {"Success": len(second)}
        await box.until_offline()
        status = await box.appliance.status()
        assert status.sentence == "2 studies exist only here; the line is down, intake goes on."
        assert await box.custody() == {"EDGE_ONLY": 60}
        assert len(await box.viewer.search("/studies", PatientName="synthetic*")) == 2
        found = await box.viewer.instances(f"/studies/{first_uid}")
        found |= await box.viewer.instances(f"/studies/{second_uid}")
        assert found == expected

        await cloud.started()
        await box.until_verified(60)
        assert (await box.summary()).studies_only_here == 0
    assert line.uploads() == Counter(expected.keys())
    assert cloud.sop_uids() == sorted(expected)
    async with Viewer(cloud.dicomweb, auth=cloud.auth) as there:
        found = await there.instances(f"/studies/{first_uid}")
        found |= await there.instances(f"/studies/{second_uid}")
        assert found == expected


async def test_a_backlog_survives_restarts_of_the_box_and_is_not_sent_again(
    line, open_box, tmp_path
):
    _, paths = write_study(tmp_path / "study", 20, seed=33)
    async with open_box(line) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": len(paths)}
        await box.until_verified(20)
    async with open_box(line) as box:
        # The same study comes once more, as modalities do after a doubt.
        assert await dcmsend(box.dimse_port, *paths) == {"Success": len(paths)}
        await box.until_verified(20)
    assert line.uploads() == Counter(as_sent(paths).keys())


async def test_an_upload_that_breaks_off_in_the_middle_is_made_good(
    cloud, line, open_box, tmp_path
):
    _, paths = write_study(tmp_path / "study", 40, seed=34)
    line.cut_after = 200_000
    async with open_box(line) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": len(paths)}
        await box.until_offline()
        assert not line.is_up

        line.restore()
        await box.until_verified(40)
    assert set(line.uploads()) == set(as_sent(paths))
    assert cloud.sop_uids() == sorted(as_sent(paths))


async def test_what_arrived_without_an_answer_is_asked_about_and_not_sent_again(
    cloud, line, open_box, tmp_path
):
    _, paths = write_study(tmp_path / "study", 10, seed=35)
    line.loses_the_answer = True
    async with open_box(line) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": len(paths)}
        await box.until_offline()
        assert (await box.custody())["SENT"] > 0

    async with open_box(line) as box:
        line.restore()
        await box.until_verified(10)
    assert line.uploads() == Counter(as_sent(paths).keys())
    assert cloud.sop_uids() == sorted(as_sent(paths))


async def test_a_lost_index_is_rebuilt_and_nothing_is_sent_again(line, open_box, tmp_path):
    study_uid, paths = write_study(tmp_path / "study", 10, seed=36)
    async with open_box(line) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 10}
        await box.until_verified(10)
    for path in (tmp_path / "box").glob("index.db*"):
        path.unlink()

    async with open_box(line) as box:
        await box.until_verified(10)
        assert await box.viewer.instances(f"/studies/{study_uid}") == as_sent(paths)
    assert line.uploads() == Counter(as_sent(paths).keys())

"""Two that are called the same: both are kept, the first one stands, and somebody is told."""

from __future__ import annotations

import asyncio
import random

from tests import samples
from tests.journeys.modality import dcmsend, send, tapped
from tests.journeys.viewer import Part10, as_sent


def with_other_pixels(data: bytes) -> bytes:
    pixels = random.Random(data).randbytes(2048)
    return data[: -len(pixels)] + pixels


def write(folder, seed):
    """A slice, and another one under the same SOP Instance UID."""
    [path] = samples.write_series(folder, 1, rows=32, columns=32, seed=seed)
    other = folder / "other.dcm"
    other.write_bytes(with_other_pixels(path.read_bytes()))
    return path, other


async def test_other_bytes_under_a_known_uid_are_kept_beside_the_first(
    line, open_box, tmp_path, caplog
):
    first, second = write(tmp_path, 101)
    study = f"/studies/{samples.sample_uid(101, 'study')}"
    async with open_box(line) as box:
        for path in (first, second, second, first):
            assert await dcmsend(box.dimse_port, path) == {"Success": 1}
        await box.until_verified(1)
        assert await box.viewer.instances(study) == as_sent([first])
        status = await box.appliance.status()
        assert status.sentence == "1 image is in conflict. 1 study exists only here."
        assert status.summary.quarantined == 1
        assert len(box.files()) == 2
    assert "came with other bytes than before; both are kept" in caplog.text
    assert line.uploads() == {Part10.at(first).sop_uid: 1}

    async with open_box(line) as box:
        assert (await box.summary()).quarantined == 1
        assert len(box.files()) == 2


async def test_a_cloud_that_has_other_bytes_is_found_out(cloud, line, open_box, tmp_path, caplog):
    ours, theirs = write(tmp_path, 102)
    study = f"/studies/{samples.sample_uid(102, 'study')}"
    async with open_box(line) as box:
        await box.until_online()
        # Orthanc keeps the first copy, and says of the second that it was stored.
        cloud.store(theirs.read_bytes())
        assert await dcmsend(box.dimse_port, ours) == {"Success": 1}

        async def settled() -> bool:
            return await box.custody() == {"CONFLICT": 1}

        await box.until(settled, "the other bytes are found")
        assert (await box.summary()).studies_only_here == 1
        assert await box.viewer.instances(study) == as_sent([ours])
    assert "has other bytes than ours" in caplog.text


async def test_one_instance_on_many_associations_at_once_is_kept_once(line, open_box, tmp_path):
    path, _ = write(tmp_path, 103)
    async with open_box(line) as box:
        answers = await asyncio.gather(*(dcmsend(box.dimse_port, path) for _ in range(6)))
        assert answers == [{"Success": 1}] * 6
        await box.until_verified(1)
        assert len(box.files()) == 1
        assert not (await box.summary()).quarantined
    assert line.uploads() == {Part10.at(path).sop_uid: 1}


async def test_all_doors_at_once_lose_nothing(line, open_box, tmp_path):
    drop = tmp_path / "drop"
    studies = {
        seed: samples.write_series(tmp_path / str(seed), 20, rows=64, columns=64, seed=seed)
        for seed in range(104, 109)
    }
    *sent, stowed, dropped = studies.values()
    async with open_box(line, dropfolder={"path": drop, "settle_seconds": 0.2}) as box:
        writer = await box.client("technologist")
        async with writer, tapped(box.dimse_port) as tap:
            for path in dropped:
                (drop / "CD").mkdir(parents=True, exist_ok=True)
                path.rename(drop / "CD" / path.name)
            *answers, stored = await asyncio.gather(
                dcmsend(tap.port, *sent[0]),
                dcmsend(tap.port, *sent[1]),
                send(tap.port, sent[2]),
                writer.store(*(path.read_bytes() for path in stowed)),
            )
        assert answers == [{"Success": 20}, {"Success": 20}, {0x0000: 20}]
        assert stored.status_code == 200
        await box.until_verified(100)
        for seed, paths in studies.items():
            found = await box.viewer.instances(f"/studies/{samples.sample_uid(seed, 'study')}")
            assert len(found) == 20
            if paths is not dropped:
                assert found == as_sent(paths)
        assert not [path for path in drop.rglob("*") if path.is_file()]
    assert set(line.uploads().values()) == {1}
    assert len(line.uploads()) == 100

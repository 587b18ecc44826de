"""A line that is slow, or may not be used at all hours: sync keeps to it, a viewer never waits."""

from __future__ import annotations

import time
from collections import Counter

from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.test_read_through import open_study, put
from tests.journeys.viewer import as_sent


async def test_while_it_is_off_sync_waits_and_a_viewers_miss_is_fetched_and_kept(
    cloud, line, open_box, tmp_path
):
    theirs = put(cloud, seed=51)
    paths = samples.write_series(tmp_path / "study", 5, rows=32, columns=32, seed=52)
    off = {"calendar": ("off",), "max_upload_kbps": 1000, "monthly_budget_mb": 1}
    async with open_box(line, sync=off) as box:
        await box.until_online()
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 5}
        await open_study(box.viewer, theirs)
        status = await box.appliance.status()
        assert status.sentence == ("1 study exists only here; the calendar lets nothing through.")
        assert await box.custody() == {"EDGE_ONLY": 5, "VERIFIED": 4}
        assert len(box.files()) == 9
    assert not line.uploads()

    # What viewers fetched counts, and the count outlives the restart.
    async with open_box(line) as box:
        await box.until_verified(9)
        status = await box.appliance.status()
        assert status.line.month_received_bytes > 4 * 2048
    assert line.uploads() == Counter(as_sent(paths).keys())


async def test_a_study_goes_up_and_is_read_back_as_slowly_as_it_may(line, open_box, tmp_path):
    paths = samples.write_series(tmp_path / "study", 10, rows=128, columns=128, seed=53)
    size = sum(path.stat().st_size for path in paths)
    slow = {"max_upload_kbps": 2000, "max_download_kbps": 4000}
    async with open_box(line, sync=slow) as box:
        await box.until_online()
        begun = time.monotonic()
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 10}
        await box.until_verified(10)
        took = time.monotonic() - begun
        assert took > 0.9 * (size / 250_000 + size / 500_000) - 0.4
    async with open_box(line, sync=slow) as box:
        told = (await box.appliance.status()).line
        assert 0.3 * 250_000 < told.upload_speed < 1.3 * 250_000
        assert (told.upload_kbps, told.download_kbps) == (2000, 4000)
        assert told.month_sent_bytes > size
        assert told.month_received_bytes > size

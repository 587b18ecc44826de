"""Another edge, or anyone's script, follows the box: nothing is missed, whatever happens to it."""

from __future__ import annotations

import asyncio
import json

import schemathesis

from edge.access.roles import Role
from tests import samples
from tests.admin.test_openapi import drive
from tests.journeys.box import PATIENCE
from tests.journeys.modality import dcmsend


class Follower:
    """Reads the feed as it would be read: by the number that it saw last."""

    def __init__(self):
        self.seen = {}
        """Number -> entry."""

    async def follow(self, box):
        """Read what is new, to the end; how many that were."""
        before = len(self.seen)
        while True:
            since = max(self.seen, default=0)
            answer = await box.viewer.http.get(
                origin(box) + "/changefeed", params={"since": since, "limit": 7}
            )
            assert answer.status_code == 200, answer.text
            if not answer.json():
                return len(self.seen) - before
            for entry in answer.json():
                assert entry["Sequence"] > max(self.seen, default=0)
                self.seen[entry["Sequence"]] = entry

    def instances(self):
        return {entry["SopInstanceUid"] for entry in self.seen.values()}


def series(folder, count, *, seed):
    return samples.write_series(folder, count, seed=seed, rows=64, columns=64)


def origin(box):
    return f"http://127.0.0.1:{box.appliance.http_port}"


async def test_a_study_that_is_sent_is_followed_while_it_arrives(open_box, tmp_path):
    study = series(tmp_path / "study", 30, seed=91)
    follower = Follower()
    async with open_box() as box:
        sending = asyncio.create_task(dcmsend(box.dimse_port, *study))
        async with asyncio.timeout(PATIENCE):
            while len(follower.seen) < 30:
                await follower.follow(box)
        await sending
        assert await follower.follow(box) == 0
        for entry in follower.seen.values():
            assert entry["Metadata"]["00080018"]["Value"] == [entry["SopInstanceUid"]]
            pixels = entry["Metadata"]["7FE00010"]["BulkDataURI"]
            assert (await box.viewer.http.get(pixels)).status_code == 200


async def test_a_follower_outlives_the_index(open_box, tmp_path):
    first = series(tmp_path / "first", 9, seed=92)
    second = series(tmp_path / "second", 9, seed=93)
    follower = Follower()
    async with open_box() as box:
        await dcmsend(box.dimse_port, *first)
        assert await follower.follow(box) == 9
        await dcmsend(box.dimse_port, *second)  # of these, it did not hear
    for file in (tmp_path / "box").glob("index.db*"):
        file.unlink()
    await asyncio.sleep(1.1)
    async with open_box() as box:
        assert await follower.follow(box) == 18
        assert len(follower.instances()) == 18
        assert await follower.follow(box) == 0


async def test_the_api_of_a_box_is_as_it_describes_itself(open_box):
    async with open_box() as box:
        token = {"Authorization": f"Bearer {await box.token(Role.ADMIN)}"}
        base = origin(box) + "/api/v1"
        answer = await box.viewer.http.get(f"{base}/openapi.json", headers=token)
        mode = schemathesis.GenerationMode.POSITIVE
        driven = await asyncio.to_thread(drive, json.loads(answer.text), base, mode, token)
        assert "GET /status" in driven

"""``edge sync absent`` and its decisions, in processes of their own, without a service."""

from __future__ import annotations

import json

from edge.app import Appliance
from edge.cache.absences import State
from edge.opening import Cache
from tests.commands.test_trash import edge, fill, path, settings  # noqa: F401 - fixtures


async def test_it_lists_and_takes_decisions(settings, path):  # noqa: F811
    async with Appliance(settings) as box:
        await fill(box)
        await box.cache.database.write(
            lambda db: db.execute("INSERT INTO absences SELECT id, 'HELD', 1, 1, 1.0 FROM studies")
        )
    listed = json.loads((await edge(path, "sync", "absent", "--json")).stdout)
    assert listed["total"] == 1
    (study,) = listed["items"]
    assert study["state"] == "HELD"
    answer = await edge(path, "sync", "absent")
    assert study["study_uid"] in answer.stdout
    assert "not yet" in answer.stdout

    for nonsense in ([], ["--all", study["study_uid"]]):
        answer = await edge(path, "sync", "send-again", *nonsense)
        assert answer.returncode == 2
        assert "not clear" in answer.stderr
    assert "1 studies" in (await edge(path, "sync", "accept-deletions", study["study_uid"])).stderr
    assert "0 studies" in (await edge(path, "sync", "accept-deletions", "--all")).stderr
    assert "not done yet" in (await edge(path, "sync", "absent")).stdout
    async with Cache(settings) as cache:
        assert [one.is_whole for one in await cache.absences.decided(State.TRASH)] == [True]

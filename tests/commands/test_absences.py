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
    for unknown in (["1.2.3"], ["--study", "1.2.3"], [study["study_uid"], "--study", "1.2.3"]):
        answer = await edge(path, "sync", "accept-deletions", *unknown)
        assert answer.returncode == 1
        assert "no such study is known here: 1.2.3" in answer.stderr
    answer = await edge(path, "sync", "send-again", "--study", study["study_uid"])
    assert "send-again: 1 study, once" in answer.stderr
    answer = await edge(path, "sync", "accept-deletions", study["study_uid"])
    assert "accept-deletions: 1 study, once" in answer.stderr
    answer = await edge(path, "sync", "accept-deletions", "--all")
    assert "none of these waits for it; see edge sync absent" in answer.stderr
    assert "not done yet" in (await edge(path, "sync", "absent")).stdout
    async with Cache(settings) as cache:
        assert [one.is_whole for one in await cache.absences.decided(State.TRASH)] == [True]

"""A person says which study the archive gets first: by command, or over HTTP."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

from edge.access.roles import Role
from tests import samples
from tests.fakes.archive import FakeArchive
from tests.journeys.modality import dcmsend
from tests.journeys.service import Installation

SEEDS = (901, 902, 903)


@pytest.fixture
async def away():
    """An archive that does not listen yet, on a port of its own."""
    archive = FakeArchive()
    await archive.start()
    await archive.stop()
    yield archive
    await archive.stop()


def way_to(archive):
    return SimpleNamespace(auth=("edge", "a password of the tests"), dicomweb=archive.url)


def write_studies(folder):
    return [
        path
        for seed in SEEDS
        for path in samples.write_series(folder / str(seed), 2, rows=16, columns=16, seed=seed)
    ]


def study_uid(seed):
    return samples.sample_uid(seed, "study")


def arrived(archive):
    """Seeds of the studies, in the order in which their instances came."""
    of = {study_uid(seed): seed for seed in SEEDS}
    sent = [archive.instances[uid] for batch in archive.batches for uid in batch]
    return [of[instance.study_uid] for instance in sent]


async def test_the_command_lets_a_study_go_first_and_takes_that_back(away, tmp_path):
    installation = Installation(tmp_path / "box", cloud=way_to(away))
    paths = write_studies(tmp_path)
    await installation.start()
    try:
        assert await dcmsend(installation.dimse_port, *paths) == {"Success": 6}
        for seed in (902, 903):
            ran = await installation.run("sync", "first", "--study", study_uid(seed))
            assert (ran.status, ran.out) == (0, "")
            assert ran.err == "edge: the study goes first; still to go: 2 images\n"
        ran = await installation.run("sync", "first", "--study", study_uid(902), "--not")
        assert ran.err == "edge: the study goes in its turn; still to go: 2 images\n"
        waiting = await installation.run("status", "--studies")
        named = [line.split()[1] for line in waiting.out.splitlines() if " waits: " in line]
        assert named == [study_uid(seed) for seed in (903, 901, 902)]

        unknown = await installation.run("sync", "first", "--study", "1.2.3")
        assert unknown.status == 1
        assert unknown.err.startswith("edge: no such study is known here\n")
        assert (await installation.run("sync", "first")).status == 2

        await away.start()
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            ready = await client.get(f"http://127.0.0.1:{installation.http_port}/readyz")
            assert ready.status_code == 200
        while len(away.instances) < 6:
            await installation.run("status")
        assert arrived(away) == [903, 903, 901, 901, 902, 902]
    finally:
        installation.kill()


async def test_over_http_it_is_for_those_who_may_decide(away, open_box, tmp_path):
    async with open_box(way_to(away)) as box:
        await box.until_offline()
        assert await dcmsend(box.dimse_port, *write_studies(tmp_path)) == {"Success": 6}
        url = f"http://127.0.0.1:{box.appliance.http_port}/api/v1/sync/first"
        wish = {"study_uid": study_uid(903)}
        async with await box.client(Role.TECHNOLOGIST) as technologist:
            answer = await technologist.http.post(url, json=wish)
            assert (answer.status_code, answer.json()) == (200, {"waiting": 2})
            answer = await technologist.http.post(url, json=wish | {"first": False})
            assert answer.json() == {"waiting": 2}
            answer = await technologist.http.post(url, json={"study_uid": study_uid(902)})
            assert answer.json() == {"waiting": 2}
            answer = await technologist.http.post(url, json={"study_uid": "1.2.3"})
            assert answer.status_code == 409
            assert "no such study" in answer.json()["detail"]
            answer = await technologist.http.post(url, json={"first": True})
            assert answer.status_code == 400
        async with await box.client(Role.SERVICE) as program:
            assert (await program.http.post(url, json=wish)).status_code == 403
        await away.start()
        await box.until_verified(6)
    assert arrived(away) == [902, 902, 901, 901, 903, 903]

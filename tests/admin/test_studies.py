"""Studies as people look for them, over the admin API of a box that runs."""

from __future__ import annotations

import contextlib

import httpx
import pytest
import pytest_asyncio

from edge.access.roles import Role
from edge.access.scope import Scope
from tests import samples
from tests.browser.scene import PATIENTS, clinic

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    """A clinic with all its patients, whose last study another device sent, and no cloud."""
    async with clinic(tmp_path_factory.mktemp("clinic"), cloud="none") as made:
        last = len(PATIENTS) - 1
        for number in range(last):
            await made.store(number)
        await made.store(last, sender="US7")
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(scene):
    """Asks as somebody of a role, who may be narrowed to what some devices sent."""
    async with contextlib.AsyncExitStack() as stack:
        base = f"{scene.base}/api/v1"
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=base, trust_env=False, timeout=60)
        )
        proofs = {}

        async def call(path, *, method="GET", role=Role.VIEWER, senders=(), json=None):
            if (role, senders) not in proofs:
                scope = Scope(studies_from=frozenset(senders))
                name = "-".join((role, *senders))
                secret = await scene.box.cache.tokens.create(role, name, scope=scope)
                proofs[role, senders] = {"Authorization": f"Bearer {secret}"}
            answer = await client.request(method, path, headers=proofs[role, senders], json=json)
            return answer.status_code, answer.json()

        yield call


async def found(ask, query="", **options):
    """Numbers of the patients whose studies are found, in their order."""
    status, answer = await ask(f"/studies?{query}", **options)
    assert status == 200, answer
    assert answer["total"] >= len(answer["items"])
    ids = [patient_id for _, patient_id, *_ in PATIENTS]
    return [ids.index(one["patient_id"]) for one in answer["items"]]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("oka", {0}),
        ("ADA okafor", {0}),
        ("Okafor, Ada", {0}),
        ("garcia", {4}),
        ("GARCÍA", {4}),
        ("P-2035", {5}),
        ("20352", {5}),
        ("73104", {4}),
        ("knee", {3}),
        ("contrast ct", {0, 5}),
        ("us", {2, 7}),
        ("20261127", {0, 1, 2}),
        ("2026-11-26", {3, 4, 5}),
        ("25.11.2026", {6, 7}),
        ("2026-11 ct", {0, 5}),
        ("nobody", set()),
        ("%", set()),
        ("_", set()),
        ("okafor nobody", set()),
    ],
)
async def test_each_word_is_found_wherever_it_stands(ask, text, numbers):
    assert set(await found(ask, httpx.QueryParams(q=text))) == numbers


async def test_a_study_is_found_by_its_uid(ask):
    assert await found(ask, f"q={samples.sample_uid('page', 3)}") == [3]


async def test_the_latest_examination_is_first_or_the_latest_arrival(ask):
    assert await found(ask) == [2, 1, 0, 5, 4, 3, 7, 6]
    assert await found(ask, "order=arrival") == [7, 6, 5, 4, 3, 2, 1, 0]


async def test_pages_follow_on_one_another_and_the_total_is_of_all(ask):
    pages = [await found(ask, f"limit=3&offset={offset}") for offset in (0, 3, 6, 9)]
    assert [number for page in pages for number in page] == await found(ask)
    assert pages[-1] == []
    _, answer = await ask("/studies?limit=1&q=us")
    assert (answer["total"], len(answer["items"])) == (2, 1)


async def test_filters_narrow_what_is_found(ask):
    everything = await found(ask)
    assert await found(ask, "custody=only-here") == everything
    assert await found(ask, "custody=trouble") == []
    assert await found(ask, "custody=absent") == []
    assert await found(ask, "custody=unproven") == []
    assert await found(ask, "here=whole") == everything
    assert await found(ask, "here=not") == await found(ask, "here=partly") == []
    assert await found(ask, "modality=CT") == [0, 5]
    assert set(await found(ask, "since=20261126&until=20261126")) == {3, 4, 5}
    assert await found(ask, "q=thorax&modality=US") == []


async def test_what_is_not_understood_is_refused(ask):
    for query in ("custody=unsafe", "since=yesterday", "limit=0", "colour=red", "modality=%22"):
        status, answer = await ask(f"/studies?{query}")
        assert status == 400, answer


async def test_a_study_says_all_of_itself(ask):
    uid = samples.sample_uid("page", 0)
    status, answer = await ask(f"/studies/{uid}")
    assert status == 200
    study = answer["study"]
    assert study["patient_name"] == "Okafor^Ada^N"
    assert study["modalities"] == ["CT"]
    assert (study["instances"], study["here"], study["waiting"]) == (12, 12, 12)
    assert study["custody"] == "only-here"
    assert not study["is_pinned"]
    [series] = answer["series"]
    assert (series["modality"], series["instances"], series["here"]) == ("CT", 12, 12)
    assert series["bytes"] == study["bytes"] > 0
    assert answer["priors"] == []


async def test_what_is_not_there_is_said_to_be_not_there(ask):
    assert (await ask("/studies/1.2.3"))[0] == 404
    assert (await ask("/studies/nothing"))[0] == 400


async def test_who_was_narrowed_finds_theirs_alone(ask):
    theirs, of_others = samples.sample_uid("page", 7), samples.sample_uid("page", 0)
    narrowed = {"senders": ("US7",)}
    assert await found(ask, **narrowed) == [7]
    assert await found(ask, "q=okafor", **narrowed) == []
    assert (await ask(f"/studies/{theirs}", **narrowed))[0] == 200
    assert (await ask(f"/studies/{of_others}", **narrowed))[0] == 404
    assert (await ask(f"/studies/{of_others}/fetch", method="POST", **narrowed))[0] == 404


async def test_a_pin_is_seen_and_found(ask):
    uid = samples.sample_uid("page", 1)
    pin = {"kind": "study", "value": uid}
    assert (await ask("/pins", method="POST", role=Role.PHYSICIAN, json=pin))[0] == 200
    try:
        _, answer = await ask(f"/studies/{uid}")
        assert (answer["pinned"], answer["patient_pinned"]) == (True, False)
        assert answer["study"]["is_pinned"]
        assert await found(ask, "pinned=true") == [1]
    finally:
        await ask(f"/pins?kind=study&value={uid}", method="DELETE", role=Role.PHYSICIAN)
    assert await found(ask, "pinned=true") == []


async def test_nothing_is_fetched_where_there_is_no_archive(ask):
    uid = samples.sample_uid("page", 0)
    status, answer = await ask(f"/studies/{uid}/fetch", method="POST")
    assert (status, answer["detail"]) == (
        409,
        "no archive is configured that it could come from",
    )

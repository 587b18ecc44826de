"""A study goes from one box to another because a person said so."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from edge import config, others
from edge.access.audit.entry import BOX, Event
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.dimse.carrying import Turns
from tests import samples
from tests.browser.scene import PATIENTS, clinic
from tests.dimse import raw
from tests.journeys.workstation import storescp
from tests.ports import free_port

UID = samples.sample_uid("page", 0)
PATH = f"/studies/{UID}/sending"
PATIENCE = 60.0


@pytest.fixture
async def other(tmp_path):
    """A box of somebody else, which takes what comes."""
    dimse = config.Dimse(ae_title="OTHER", listen="127.0.0.1:0", unknown_peers="accept")
    async with clinic(tmp_path / "other", cloud="none", dimse=dimse) as made:
        yield made


@pytest.fixture
async def scene(tmp_path, other):
    """A box that knows it, a device that is nowhere, and one whose address nobody said."""
    peers = (
        others.Peer(ae_title="OTHER", host="127.0.0.1", port=other.box.dimse_port, name="reading"),
        others.Peer(ae_title="GONE", host="127.0.0.1", port=free_port()),
        others.Peer(ae_title="CALLER"),
    )
    dimse = config.Dimse(listen="127.0.0.1:0", unknown_peers="accept", peer=peers)
    async with clinic(tmp_path / "ours", cloud="none", dimse=dimse) as made:
        await made.store(0)
        yield made


@pytest.fixture
async def ask(scene):
    """Asks as somebody of a role."""
    proofs = {}
    async with httpx.AsyncClient(
        base_url=f"{scene.base}/api/v1", trust_env=False, timeout=60
    ) as client:

        async def call(path, json=None, role=Role.PHYSICIAN):
            if role not in proofs:
                secret = await scene.box.cache.tokens.create(role, f"a-{role}")
                proofs[role] = {"Authorization": f"Bearer {secret}"}
            method = "GET" if json is None else "POST"
            answer = await client.request(method, path, headers=proofs[role], json=json)
            return answer.status_code, answer.json()

        yield call


def _sent(study_uid):
    return Asked(study=study_uid, event=Event.SENT)


async def ended(ask):
    """What became of the newest, once it is known."""
    deadline = time.monotonic() + PATIENCE
    while True:
        _, answer = await ask(PATH)
        if answer["sent"][0]["ended"]:
            return answer["sent"][0]
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.05)


async def test_a_study_goes_to_a_peer_whole(ask, other):
    status, answer = await ask(PATH)
    assert status == 200
    assert [one["ae_title"] for one in answer["destinations"]] == ["GONE", "OTHER"]
    status, gift = await ask(PATH, {"ae_title": "OTHER"})
    assert status == 200, gift
    done = await ended(ask)
    count = PATIENTS[0][5]
    assert (done["state"], done["sent"], done["failed"]) == ("done", count, 0)
    assert (done["peer"], done["who"]) == ("OTHER", "a-physician")
    entries = await other.box.retrieval.instances(UID)
    assert len(entries) == count


async def test_a_receiver_of_dcmtk_takes_all_of_it(tmp_path):
    """Which refuses a C-STORE-RQ without a Priority (PS3.7 9.3.1.1)."""
    async with storescp(tmp_path / "taken") as station:
        peer = others.Peer(ae_title=station.title, host="127.0.0.1", port=station.port)
        dimse = config.Dimse(listen="127.0.0.1:0", peer=(peer,))
        async with clinic(tmp_path / "ours", cloud="none", dimse=dimse) as made:
            await made.store(0)
            gift = await made.box.giving.give(UID, station.title, BOX)
            await raw.until(lambda: gift.ended)
    count = PATIENTS[0][5]
    assert (gift.state, gift.sent, gift.failed, gift.reason) == ("done", count, 0, "")
    assert len(station.got()) == count


async def test_a_box_is_not_quiet_while_a_study_is_on_its_way(scene, ask):
    giving = scene.box.giving
    assert giving.is_quiet
    await giving.give(UID, "OTHER", BOX)
    assert not giving.is_quiet
    await ended(ask)
    assert giving.is_quiet


async def test_the_record_has_who_sent_what_where(ask, scene):
    await ask(PATH, {"ae_title": "OTHER"})
    await ended(ask)
    deadline = time.monotonic() + PATIENCE
    folder = scene.box.cache.audit.folder
    while not (found := await asyncio.to_thread(search, folder, _sent(UID), 9)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    [entry] = found
    assert (entry.actor.name, entry.target, entry.outcome) == ("a-physician", "OTHER", 0)
    [begun] = await asyncio.to_thread(search, folder, Asked(study=UID, event=Event.SENDING), 9)
    assert begun.detail["ae_title"] == "OTHER"


async def test_who_can_t_be_reached_is_said_so(ask):
    assert (await ask(PATH, {"ae_title": "GONE"}))[0] == 200
    failed = await ended(ask)
    assert (failed["state"], failed["sent"]) == ("failed", 0)
    assert failed["failed"] == PATIENTS[0][5]
    assert "can't be reached" in failed["reason"]


@pytest.mark.parametrize("title", ["CALLER", "NOBODY"])
async def test_who_can_t_be_called_is_refused(ask, title):
    status, answer = await ask(PATH, {"ae_title": title})
    assert status == 409
    assert "no peer that can be called" in answer["detail"]


async def test_what_is_not_there_is_not_sent(ask):
    assert (await ask("/studies/1.2.3/sending", {"ae_title": "OTHER"}))[0] == 404


async def test_who_may_only_look_sends_nothing(ask):
    assert (await ask(PATH, role=Role.VIEWER))[0] == 403
    assert (await ask(PATH, {"ae_title": "OTHER"}, role=Role.VIEWER))[0] == 403


async def test_what_ended_can_t_be_stopped(ask):
    await ask(PATH, {"ae_title": "OTHER"})
    done = await ended(ask)
    assert await ask(f"{PATH}/stop", {"number": done["number"]}) == (200, {"stopped": False})
    assert await ask(f"{PATH}/stop", {"number": 999}) == (200, {"stopped": False})


async def test_what_devices_ask_for_and_people_send_takes_turns_together(tmp_path, monkeypatch):
    made, make = [], Turns.__init__
    monkeypatch.setattr(Turns, "__init__", lambda self: (made.append(self), make(self))[1])
    async with clinic(tmp_path / "one", cloud="none"):
        assert len(made) == 1

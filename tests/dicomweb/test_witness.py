"""However a request ends, the record has it; and what must be recorded first is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import TestClient, TestServer

from edge.access.audit.claim import SAID, Claim
from edge.access.audit.entry import Event, Outcome, Subject
from edge.access.roles import Act, Identity, Role
from edge.cache import tally
from edge.dicom.instance import InstanceRef
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.dicomweb.witness import HttpWitness
from edge.errors import AccessDenied, CloudUnreachable, InstanceNotFound, StorageFull

CT = "1.2.840.10008.5.1.4.1.1.2"


class Audit:
    """Keeps what it is told."""

    def __init__(self):
        self.entries, self.seen, self.refused, self.durable = [], [], [], []
        self.is_full = False

    def clock(self):
        return 1000.0

    def note(self, entry, seen=()):
        self.entries.append(entry)
        self.seen.append(list(seen))

    def put(self, entry):
        self.entries.append(entry)

    def suspect(self, entry):
        self.refused.append(entry)

    async def require(self):
        if self.is_full:
            raise StorageFull("the audit can't be written")

    async def record(self, entry):
        self.entries.append(entry)
        self.durable.append(entry.event)

    async def subject_of(self, study_uid):
        return Subject(study_uid, "4711")


@pytest.fixture
def audit():
    return Audit()


@asynccontextmanager
async def served(audit, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], claim):
    async def authorise(headers, address):
        role = headers.get("X-Role")
        if role is None:
            raise AccessDenied("a token is required")
        return Identity("somebody", Role(role), "t1")

    witness = HttpWitness(audit, lambda _: claim)
    door = web.Application(middlewares=[access(authorise, witness=witness)])
    for method in ("GET", "POST", "DELETE"):
        door.router.add_route(method, "/thing/{name}", handler)
    async with TestClient(TestServer(create_root({"/door": door}))) as client:
        yield client


READ = Claim(Event.ACCESSED, "WADO-RS", "1.2", "1.3")
CHANGE = Claim(Event.ADMINISTERED, "POST /x", is_durable=True)
ADMIN = {"X-Role": "admin"}


async def fine(_):
    return web.Response()


async def test_what_was_opened_is_told_study_by_study(audit):
    async def handler(_):
        async with asyncio.TaskGroup() as group:  # whatever task opens it
            for study in ("1.2", "9.9"):
                group.create_task(opened(InstanceRef(study, "1", f"{study}.5")))
        return web.Response()

    async def opened(ref):
        tally.opened(ref, CT)

    async with served(audit, handler, READ) as client:
        assert (await client.get("/door/thing/a", headers=ADMIN)).status == 200
    told = {one.about.study_uid: seen for one, seen in zip(audit.entries, audit.seen, strict=True)}
    assert told == {"1.2": [("1.2.5", CT)], "9.9": [("9.9.5", CT)]}
    assert {one.actor.token for one in audit.entries} == {"t1"}


async def test_what_needed_nothing_opened_is_told_all_the_same(audit):
    async with served(audit, fine, READ) as client:
        await client.get("/door/thing/a", headers=ADMIN)
    [entry] = audit.entries
    assert (entry.about.study_uid, audit.seen) == ("1.2", [[("1.3", "")]])


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InstanceNotFound("it is not here"), Outcome.REFUSED),
        (CloudUnreachable("the line is down"), Outcome.FAILED),
        (web.HTTPNotFound(), Outcome.REFUSED),
        (RuntimeError("a defect"), Outcome.FAILED),
    ],
    ids=["not found", "cloud", "http", "defect"],
)
async def test_what_fails_is_told_as_what_it_was(audit, error, outcome):
    async def handler(_):
        raise error

    async with served(audit, handler, READ) as client:
        await client.get("/door/thing/a", headers=ADMIN)
    [entry] = audit.entries
    assert entry.outcome is outcome
    assert entry.reason
    assert "defect" not in entry.reason  # its text may be anything


@pytest.mark.parametrize(("followed", "outcome"), [(True, 0), (False, 8)])
async def test_who_leaves_what_they_followed_ends_it_and_nothing_failed(audit, followed, outcome):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"news")
        raise ConnectionResetError

    async with served(audit, handler, replace(READ, is_followed=followed)) as client:
        with pytest.raises(ClientError):
            await (await client.get("/door/thing/a", headers=ADMIN)).read()
    assert [one.outcome for one in audit.entries] == [outcome]


@pytest.mark.parametrize("error", [ConnectionResetError, asyncio.CancelledError])
@pytest.mark.parametrize("followed", [True, False])
async def test_who_leaves_an_act_before_its_end_is_told_of_and_no_defect(audit, followed, error):
    """An export that nobody waited for, or a test of the way to the cloud."""

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a step")
        raise error

    async with served(audit, handler, replace(CHANGE, is_followed=followed)) as client:
        with pytest.raises(ClientError):
            await (await client.post("/door/thing/a", headers=ADMIN)).read()
    [entry] = audit.entries
    if followed:
        assert (entry.outcome, entry.reason) == (Outcome.SUCCESS, "")
        assert entry.detail == {"name": "a"}
    else:
        assert (entry.outcome, entry.reason) == (Outcome.FAILED, "it was not answered to its end")


async def test_an_answer_that_is_torn_off_is_told(audit):
    async def handler(request):
        tally.opened(InstanceRef("1.2", "1", "1.3"), CT)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise InstanceNotFound("it went away")

    async with served(audit, handler, READ) as client:
        with pytest.raises(ClientError):
            await (await client.get("/door/thing/a", headers=ADMIN)).read()
    assert [(one.about.study_uid, one.outcome) for one in audit.entries] == [
        ("1.2", Outcome.REFUSED)
    ]


async def test_a_change_is_durable_with_what_was_said_and_no_secret_of_it(audit):
    done = []

    async def handler(request):
        request[SAID] = await request.read()
        done.append(list(audit.durable))
        return web.json_response({})

    body = {"name": "x", "password": "p", "api_token": "t", "list": [1], "token_id": "t9"}
    async with served(audit, handler, CHANGE) as client:
        answer = await client.post("/door/thing/a?force=true", json=body, headers=ADMIN)
        assert answer.status == 200
    [entry] = audit.entries
    assert done == [[]]
    assert audit.durable == [Event.ADMINISTERED]
    assert entry.detail == {
        "force": "true",
        "list": "[1]",
        "name": "x",
        "password": "***",
        "api_token": "***",
        "token_id": "t9",
    }


async def test_a_deletion_is_durable_before_it_is_begun_and_after_it_is_done(audit):
    seen = []

    async def handler(_):
        seen.extend(audit.durable)
        return web.Response(status=204)

    claim = Claim(Event.DELETED, "study", "1.2", is_durable=True, begins=Event.DELETING)
    async with served(audit, handler, claim) as client:
        await client.delete("/door/thing/a", headers=ADMIN)
    assert seen == [Event.DELETING]
    assert audit.durable == [Event.DELETING, Event.DELETED]
    assert {one.about.patient_id for one in audit.entries} == {"4711"}


async def test_nothing_is_changed_that_can_not_be_recorded_and_reading_goes_on(audit):
    audit.is_full = True
    done = []

    async def handler(_):
        done.append(True)
        return web.Response()

    async with served(audit, handler, CHANGE) as client:
        assert (await client.post("/door/thing/a", headers=ADMIN)).status == 507
    assert not done
    async with served(audit, handler, READ) as client:
        assert (await client.get("/door/thing/a", headers=ADMIN)).status == 200
    assert done


async def test_who_is_turned_away_is_named_as_far_as_is_known(audit):
    async with served(audit, fine, READ) as client:
        await client.get("/door/thing/a")
        await client.get("/door/nowhere")
        await client.get("/door/thing/a", headers={"Authorization": "Basic bnVyc2U6eA=="})
        await client.get("/door/thing/a", headers={"Authorization": "Basic ÿ"})
        await client.get("/door/thing/a", headers={"Authorization": "Basic ZWRnZV9hOg=="})
        await client.delete("/door/thing/a", headers={"X-Role": "viewer"})
    names = [one.actor.name for one in audit.refused]
    assert names == ["", "", "nurse", "", "", "somebody"]
    assert {one.actor.address for one in audit.refused} == {"127.0.0.1"}
    assert [one.what for one in audit.refused][:2] == [
        "GET /door/thing/{name}",
        "GET of no such resource",
    ]
    assert audit.refused[-1].actor.role == "viewer"
    assert audit.entries == []
    assert Act.DELETE in audit.refused[-1].reason


async def test_what_is_of_no_concern_makes_no_entry(audit):
    async with served(audit, fine, None) as client:
        assert (await client.get("/door/thing/a", headers=ADMIN)).status == 200
    assert audit.entries == []

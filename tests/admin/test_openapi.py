"""The description of the API is true: whatever it allows is answered as it says."""

from __future__ import annotations

import asyncio
from operator import itemgetter
from types import SimpleNamespace

import msgspec
import pytest
import schemathesis
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import ignored_auth

from edge import config, others
from edge.access.oidc.people import ProviderPeople
from edge.access.passwords import Passwords
from edge.access.sessions import Sessions
from edge.access.tokens import Tokens
from edge.access.users import Users
from edge.admin import api
from edge.admin.commitments import commitment_routes
from edge.admin.edits import edit_routes
from edge.admin.identities import identity_routes
from edge.admin.keys import key_routes
from edge.admin.logs import log_routes
from edge.admin.openapi import Problem, operation, serve_description
from edge.admin.peers import peer_routes
from edge.admin.prefetch import prefetch_routes
from edge.admin.procedures import procedure_routes
from edge.admin.progress import progress_routes
from edge.admin.studies import study_routes
from edge.admin.sync import sync_routes
from edge.admin.tokens import token_routes
from edge.admin.trash import trash_routes
from edge.admin.users import user_routes
from edge.admin.worklist import worklist_routes
from edge.cache.changes import Changes
from edge.cache.commitments import Commitments
from edge.cache.completeness import Completeness
from edge.cache.custody import CustodyLedger
from edge.cache.disputes import Disputes
from edge.cache.edits import Edits
from edge.cache.exchange import Exchange
from edge.cache.expected import Expectations
from edge.cache.history import History
from edge.cache.outbox import Outbox
from edge.cache.peers import PeerBook, Reached
from edge.cache.pins import Pins
from edge.cache.procedures import Procedures
from edge.cache.queue import Queue
from edge.cache.reading_status import read_status
from edge.cache.studies import Studies
from edge.cache.trash import Trash
from edge.cache.worklist import Worklist
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.errors import DecisionRefused
from edge.index.database import Database
from edge.index.remote import set_archive_state
from edge.index.tokens import TokenTable
from edge.logs import Recent
from tests import samples
from tests.access.people import CHEAP
from tests.dicomweb.doubles import authorise as authorised

_PREFIX = samples.sample_uid("tokens of this test")
"""Hypothesis tries the words that stand in our modules, and would guess a token that is one."""
READER = {"Authorization": f"Bearer {_PREFIX}read"}
KEEPER = {"Authorization": f"Bearer {_PREFIX}delete"}


async def authorise(headers, address):
    said = headers.get("Authorization", "")
    known = said.startswith(f"Bearer {_PREFIX}")
    return await authorised({"Authorization": said.replace(_PREFIX, "") if known else "none"})


@pytest.fixture
async def base(tmp_path):
    """Where the API is, over a real index, behind the gate, below the root."""

    async def free_bytes():
        return 10**12

    async def nobody(name):
        return Reached(name, "", works=False, found="nobody", hint="", milliseconds=0.0)

    async def locked(_):
        raise DecisionRefused("there is no recovery key")

    archives = (others.Archive("cloud", "https://cloud"),)
    configuration = config.Config(cloud=config.Cloud(archives))
    disk = SimpleNamespace(free_bytes=free_bytes)
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        await database.write(
            lambda db: set_archive_state(
                db, "cloud", online=False, reason="no answer", lasting=False, now=1.0
            )
        )
        exchange = Exchange(None, None, database)
        disputes = Disputes(database, exchange, has_archive=True)
        trash = Trash(None, None, database, Changes(), days=30)
        worklist = Worklist(database, configuration.worklist)
        await worklist.begin()

        def status():
            return read_status(configuration, database, disk, {"dimse": "running"})

        door = api.create_application(
            status=status,
            identity=itemgetter(IDENTITY),
            middlewares=[access(authorise)],
            routes=[
                *sync_routes(
                    disputes,
                    CustodyLedger(database, Changes()),
                    itemgetter(IDENTITY),
                    lambda: None,
                ),
                *progress_routes(Queue(database, status), History(database)),
                *trash_routes(trash, itemgetter(IDENTITY)),
                *commitment_routes(Commitments(database, Changes(), configuration)),
                *edit_routes(Edits(database)),
                *study_routes(
                    Studies(database, Pins(database), None, has_archive=False),
                    itemgetter(IDENTITY),
                ),
                *procedure_routes(
                    Procedures(database, Changes()),
                    Completeness(database, config.Procedures(), Changes()),
                    Outbox(database, Changes()),
                    lambda: None,
                ),
                *prefetch_routes(
                    Expectations(database), Pins(database), itemgetter(IDENTITY), lambda: None
                ),
                *peer_routes(PeerBook(database, config.Dimse()), itemgetter(IDENTITY), nobody),
                *worklist_routes(worklist),
                *token_routes(Tokens(TokenTable(database)), itemgetter(IDENTITY)),
                *key_routes(locked, itemgetter(IDENTITY)),
                *log_routes(Recent()),
                *identity_routes(
                    ProviderPeople(database),
                    Sessions(database, config.Access()),
                    itemgetter(IDENTITY),
                ),
                *user_routes(
                    Users(database, Passwords(CHEAP)),
                    Sessions(database, config.Access()),
                    itemgetter(IDENTITY),
                ),
            ],
        )
        server = TestServer(create_root({"/api/v1": door}))
        # For what is left of a body that was refused it would wait ten seconds.
        await server.start_server(lingering_time=0.5)
        async with server:
            yield str(server.make_url("/api/v1"))


async def get(url, headers=READER):
    async with ClientSession(headers=headers) as http, http.get(url) as answer:
        return answer.status, await answer.read()


def is_stream(operation):
    """Whether its answer has no end that could be waited for; `test_events` looks at each event."""
    return "text/event-stream" in operation["responses"]["200"].get("content", {})


def drive(document, base, mode, headers):
    """Ask what the document allows, or what it does not; each answer must be one that it names."""
    driven = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        each = found.ok()
        if is_stream(document["paths"][each.path][each.method.lower()]):
            continue

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=each.as_strategy(generation_mode=mode))
        def ask(case):
            # Wrong proofs are tried on every route by `tests.attack`; many of them are slowed down.
            case.call_and_validate(base_url=base, headers=headers, excluded_checks=[ignored_auth])

        ask()
        driven.append(each.label)
    return driven


@pytest.mark.parametrize(
    "headers", [READER, KEEPER, {}], ids=["with a reader's token", "with a keeper's", "without"]
)
async def test_whatever_the_description_allows_is_answered_as_it_says(base, headers):
    _, body = await get(f"{base}/openapi.json")
    mode = schemathesis.GenerationMode.POSITIVE
    driven = await asyncio.to_thread(drive, msgspec.json.decode(body), base, mode, headers)
    assert driven == [
        "GET /arrivals",
        "GET /commitments",
        "POST /commitments",
        "GET /expected",
        "POST /expected",
        "DELETE /expected",
        "GET /identities",
        "POST /identities/{name}",
        "DELETE /identities/{name}",
        "POST /keys/lock",
        "GET /logs",
        "GET /openapi.json",
        "GET /outbox",
        "POST /outbox",
        "GET /peers",
        "POST /peers",
        "DELETE /peers",
        "POST /peers/{ae}/echo",
        "GET /pins",
        "POST /pins",
        "DELETE /pins",
        "GET /procedures",
        "GET /status",
        "GET /studies",
        "GET /studies/{study_uid}/edits",
        "GET /studies/{study}",
        "POST /studies/{study}/fetch",
        "GET /sync/conflicts",
        "POST /sync/conflicts",
        "GET /sync/dead-letters",
        "POST /sync/dead-letters",
        "POST /sync/first",
        "GET /sync/history",
        "GET /sync/queue",
        "GET /tokens",
        "POST /tokens",
        "DELETE /tokens",
        "GET /trash",
        "POST /trash",
        "GET /trash/studies",
        "GET /users",
        "POST /users",
        "POST /users/{name}",
        "DELETE /users/{name}",
        "POST /users/{name}/reset",
        "GET /users/{name}/sessions",
        "DELETE /users/{name}/sessions",
        "GET /worklist",
        "POST /worklist",
        "DELETE /worklist",
        "GET /worklist/sources",
    ]


async def test_what_the_description_does_not_allow_is_refused(base):
    _, body = await get(f"{base}/openapi.json")
    for path, operations in msgspec.json.decode(body)["paths"].items():
        for method in {"get", "put", "post", "patch", "delete", "trace"} - operations.keys():
            named = path.replace("{study_uid}", "1.2").replace("{study}", "1.2")
            named = named.replace("{ae}", "CT1")
            named = named.replace("{name}", "anna")
            async with (
                ClientSession(headers=KEEPER) as http,
                http.request(method, base + named) as answer,
            ):
                assert answer.status == 405
                implied = {"HEAD", "OPTIONS"} if "get" in operations else {"OPTIONS"}
                allowed = implied | set(map(str.upper, operations))
                assert set(answer.headers["Allow"].split(", ")) == allowed
                assert msgspec.json.decode(await answer.read(), type=Problem).request_id


async def test_it_is_behind_the_gate(base):
    status, body = await get(f"{base}/openapi.json", {})
    assert status == 401
    assert msgspec.json.decode(body, type=Problem).status == 401


async def test_it_names_where_the_api_is_and_how_to_get_in(base):
    _, body = await get(f"{base}/openapi.json")
    document = msgspec.json.decode(body)
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/api/v1"}]
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


async def test_a_handler_that_says_nothing_of_itself_is_not_mounted():
    async def silent(_):
        return web.json_response({})

    application = web.Application()
    application.router.add_get("/silent", silent)
    with pytest.raises(LookupError, match="does not say"):
        serve_description(application, "/api/v1")


async def test_a_description_that_is_not_true_is_found():
    @operation("It says a number and gives a word.", answer=int)
    async def untrue(_):
        return web.json_response("word")

    door = web.Application(middlewares=[access(authorise)])
    door.router.add_get("/untrue", untrue)
    serve_description(door, "/api/v1")
    async with TestServer(create_root({"/api/v1": door})) as server:
        base = str(server.make_url("/api/v1"))
        _, body = await get(f"{base}/openapi.json")
        document = msgspec.json.decode(body)
        mode = schemathesis.GenerationMode.POSITIVE
        with pytest.raises(FailureGroup) as caught:
            await asyncio.to_thread(drive, document, base, mode, READER)
    [failure] = caught.value.exceptions
    assert failure.title == "Response violates schema"

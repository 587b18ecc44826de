"""Settings over the admin API: who may, what goes out, and what the record gets."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from operator import itemgetter

import pytest
import trustme
from aiohttp.test_utils import TestClient, TestServer

from edge.access.acts import Act, Service
from edge.access.audit.claim import SAID
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import Scope
from edge.admin import api
from edge.admin.settings import Running, settings_routes
from edge.admin.trial import trial_routes
from edge.authorities import Authority
from edge.cache.own_settings import OwnSettings
from edge.cache.specimens import Specimens
from edge.cloud.findings import Finding, Step, Verdict
from edge.cloud.trial import Trials
from edge.dicomweb.middleware import IDENTITY, access
from edge.dicomweb.root import create_root
from edge.errors import AccessDenied
from edge.index.database import Database
from edge.machine.ports import Port
from edge.others import Archive

BASIC = {"kind": "basic", "user": "u", "password": "opensesame"}
ARCHIVE = {"name": "cloud", "url": "http://127.0.0.1:9/dicom-web", "auth": BASIC}


class Witness:
    """Keeps what the record would be told of a body."""

    def __init__(self):
        self.said = []

    def refused(self, request, identity, error):
        pass

    async def answer(self, request, handler):
        response = await handler(request)
        self.said.append(request.get(SAID))
        return response


@pytest.fixture
def witness():
    return Witness()


PORTS = [Port("lo", "00:00:00:00:00:00", True), Port("enp2s0", "52:54:00:12:34:56", None)]
"""Tests come by the first."""
TRUSTED = [Authority("St. Brigid", 2e9, "ab")]


@pytest.fixture
def applied():
    return []


@pytest.fixture
def walks():
    """Goes the way in the place of the box; none: the box does."""


@pytest.fixture
async def specimens(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield Specimens(database, Archive("cloud", ARCHIVE["url"]))


@pytest.fixture
def ports():
    return [*PORTS]


@pytest.fixture
async def client(tmp_path, witness, applied, ports, walks, specimens):
    """Whoever sends a role as a token has it, narrowed as they say."""

    async def authorise(headers, address):
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in list(Role):
            raise AccessDenied("who?")
        scope = Scope.read(headers.get("X-Scope", "{}"))
        proof = Proof(headers.get("X-Proof", "token"))
        return Identity("Ada", Role(token), scope=scope, proof=proof)

    file = tmp_path / "edge.toml"
    file.write_text(f'[appliance]\ndata_dir = "{tmp_path}"\n')
    own = OwnSettings(file, tmp_path, lambda secret: f"sealed:{secret[::-1]}", {})
    running = Running(
        1000.0,
        "a port was taken",
        lambda: applied.append(True),
        trusted=lambda: TRUSTED,
        page_ports=lambda: ports,
    )
    door = api.create_application(
        status=None,
        identity=itemgetter(IDENTITY),
        middlewares=[access(authorise, Service.ADMIN, witness)],
        routes=[
            *settings_routes(own, running, itemgetter(IDENTITY)),
            *trial_routes(
                own,
                lambda one, _: one,
                walks or Trials([], lambda one: one).walk_to,
                itemgetter(IDENTITY),
                specimens,
            ),
        ],
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as client:
        yield client


async def ask(client, method, path, role=Role.ADMIN, *, proof=Proof.SESSION, **what):
    headers = {
        "Authorization": f"Bearer {role}",
        "X-Proof": proof,
        "Sec-Fetch-Site": "same-origin",
    }
    answer = await client.request(method, f"/api/v1{path}", headers=headers, **what)
    return answer.status, await answer.json()


async def test_all_settings_are_told_and_since_when_they_hold(client):
    status, answer = await ask(client, "GET", "/settings")
    assert status == 200
    assert (answer["since"], answer["setback"]) == (1000.0, "a port was taken")
    assert answer["trusted"] == [{"subject": "St. Brigid", "until": 2e9, "digest": "ab"}]
    one = next(one for one in answer["settings"] if one["key"] == "sync.verify")
    assert (one["kind"], one["value"], one["choices"]) == ("choice", "all", ["all", "sample"])


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_nobody_else_sees_or_changes_them(client, role, applied):
    assert (await ask(client, "GET", "/settings", role))[0] == 403
    for path in ("/settings", "/settings/check", "/settings/authority", "/settings/trial"):
        body = {"changes": {"sync.sweep_minutes": 5}}
        assert (await ask(client, "POST", path, role, json=body))[0] == 403
    assert applied == []


@pytest.mark.parametrize("proof", [Proof.TOKEN, Proof.SESSION])
@pytest.mark.parametrize(
    "scope",
    [
        Scope(acts=frozenset({Act.ADMINISTER})),
        Scope(services=frozenset({Service.ADMIN})),
        Scope(networks=("127.0.0.0/8",)),
    ],
    ids=["to an act", "to a service", "to addresses"],
)
async def test_who_was_narrowed_sends_no_image_elsewhere(client, applied, scope, proof):
    """Whoever was kept from images would get to all of them by an archive of their own."""
    headers = {
        "Authorization": f"Bearer {Role.ADMIN}",
        "X-Scope": scope.write(),
        "X-Proof": proof,
        "Sec-Fetch-Site": "same-origin",
    }
    for path, body in (
        ("/settings", {"changes": {"cloud.archive": [ARCHIVE]}}),
        ("/settings/trial", {"name": "cloud", "archives": [ARCHIVE]}),
    ):
        answer = await client.post(f"/api/v1{path}", headers=headers, json=body)
        assert answer.status == 403
        assert "narrowed" in (await answer.json())["detail"]
    assert applied == []
    assert (await client.get("/api/v1/settings", headers=headers)).status == 200


async def test_a_stolen_token_changes_nothing_by_which_its_thief_goes_on(client, applied):
    for path, body in (
        ("/settings", {"changes": {"sync.sweep_minutes": 5, "cloud.archive": [ARCHIVE]}}),
        ("/settings", {"changes": {"access.session_hours": 168}}),
        ("/settings/trial", {"name": "cloud", "archives": [ARCHIVE]}),
    ):
        status, answer = await ask(client, "POST", path, json=body, proof=Proof.TOKEN)
        assert status == 403
        assert "no token changes" in answer["detail"]
    assert applied == []
    body = {"changes": {"page.language": "fr"}}
    status, _ = await ask(client, "POST", "/settings", json=body, proof=Proof.TOKEN)
    assert status == 200


async def test_nobody_on_its_way_keeps_an_answer(client):
    headers = {"Authorization": f"Bearer {Role.ADMIN}"}
    answer = await client.get("/api/v1/settings", headers=headers)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_change_comes_into_force_and_the_record_has_what_was_and_what_is(
    client, applied, witness
):
    body = {"changes": {"sync.sweep_minutes": 5, "cloud.archive": [ARCHIVE]}}
    status, answer = await ask(client, "POST", "/settings", json=body)
    assert (status, answer["begins_anew"]) == (200, True)
    assert applied == [True]
    told = json.loads(witness.said[-1])
    assert told["sync.sweep_minutes before"] == "15.0"
    assert told["sync.sweep_minutes after"] == "5.0"
    assert "opensesame" not in str(answer) + str(told)
    assert "emasesnepo" not in str(answer) + str(told)


async def test_who_renames_the_box_hears_where_it_is_then(client):
    body = {"changes": {"appliance.name": "St. Brigid"}}
    _, answer = await ask(client, "POST", "/settings", json=body)
    assert answer["moved"] == {"former": "edge.local", "host": "st-brigid.local", "hours": 4.0}


async def test_who_changes_something_else_hears_nothing_of_names(client):
    body = {"changes": {"sync.sweep_minutes": 5}}
    _, answer = await ask(client, "POST", "/settings", json=body)
    assert answer["moved"] is None


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("Dublin", ["Europe/Dublin"]),
        ("europe/dublin", ["Europe/Dublin"]),
        ("new york", ["America/New_York"]),
        ("Europe/Dubln", ["Europe/Dublin", "Europe/Berlin"]),
        ("Atlantis", []),
        ("/", []),
    ],
)
async def test_a_time_zone_that_is_not_known_is_told_with_those_like_it(client, typed, near):
    body = {"changes": {"appliance.time_zone": typed}}
    _, answer = await ask(client, "POST", "/settings/check", json=body)
    assert answer["problem"]["message"] == f'"{typed}" is not known'
    assert answer["problem"]["near"][:1] == near[:1]
    status, answer = await ask(client, "POST", "/settings", json=body)
    assert (status, answer["detail"]) == (409, f'appliance.time_zone = "{typed}" is not known')


async def test_what_can_not_be_is_refused_and_nothing_of_it_is_told(client, applied, witness):
    archive = ARCHIVE | {"url": "nowhere"}
    status, answer = await ask(
        client, "POST", "/settings", json={"changes": {"cloud.archive": [archive]}}
    )
    assert status == 409
    assert "cloud.archive.0.url" in answer["detail"]
    assert applied == []
    assert "opensesame" not in str(answer) + str(witness.said)


async def test_what_comes_too_soon_is_told_when_to_come_again(client, tmp_path, applied):
    (tmp_path / "settings.toml.former").touch()
    headers = {
        "Authorization": f"Bearer {Role.ADMIN}",
        "X-Proof": Proof.SESSION,
        "Sec-Fetch-Site": "same-origin",
    }
    body = {"changes": {"sync.sweep_minutes": 5}}
    answer = await client.post("/api/v1/settings", headers=headers, json=body)
    assert (answer.status, answer.headers["Retry-After"]) == (409, "1")
    assert "not in force yet" in (await answer.json())["detail"]
    assert applied == []


async def test_trying_says_what_is_wrong_and_where(client, applied):
    body = {"changes": {"sync.sweep_minutes": 0}}
    status, answer = await ask(client, "POST", "/settings/check", json=body)
    assert status == 200
    assert answer["problem"]["key"] == "sync.sweep_minutes"
    assert answer["problem"]["message"] == "must be 0.1 at the least"
    status, answer = await ask(
        client, "POST", "/settings/check", json={"changes": {"sync.sweep_minutes": 9}}
    )
    assert answer == {
        "problem": None,
        "changes": [{"key": "sync.sweep_minutes", "before": 15.0, "after": 9.0}],
    }
    assert applied == []


async def test_what_is_given_as_an_authority_is_read_and_kept_nowhere(client, applied, witness):
    clinic = trustme.CA(organization_name="St. Brigid")
    pem, key = (one.bytes().decode() for one in (clinic.cert_pem, clinic.private_key_pem))
    status, answer = await ask(client, "POST", "/settings/authority", json={"pem": f"#\n{pem}"})
    assert (status, answer["problem"], answer["pem"]) == (200, None, pem.strip())
    (one,) = answer["authorities"]
    assert one["subject"] == "St. Brigid"
    assert one["until"] > 0
    # A key that somebody gives by mistake is in no answer and in no record.
    status, answer = await ask(client, "POST", "/settings/authority", json={"pem": pem + key})
    assert (status, answer["pem"]) == (200, "")
    assert answer["problem"]["message"].startswith("has a private key")
    assert key.split("\n")[1] not in str(answer)
    assert witness.said[-1] == b""
    leaf = clinic.issue_cert("archive.example").cert_chain_pems[0].bytes().decode()
    _, answer = await ask(client, "POST", "/settings/authority", json={"pem": leaf})
    assert "no authority's certificate" in answer["problem"]["message"]
    assert applied == []


async def test_an_archive_is_tried_before_it_is_set_up(client):
    headers = {
        "Authorization": f"Bearer {Role.ADMIN}",
        "X-Proof": Proof.SESSION,
        "Sec-Fetch-Site": "same-origin",
    }
    body = {"name": "cloud", "archives": [ARCHIVE]}
    answer = await client.post("/api/v1/settings/trial", headers=headers, json=body)
    assert answer.content_type == "text/event-stream"
    events = [event.split("\ndata: ") for event in (await answer.text()).strip().split("\n\n")]
    steps = [json.loads(data) for kind, data in events if kind == "event: step"]
    assert [step["step"] for step in steps] == ["name", "connect"]
    assert steps[-1]["verdict"] == "failed"
    assert events[-1] == ["event: end", '{"works":false,"why":"","hint":""}']


async def test_an_archive_that_is_not_there_can_not_be_tried(client):
    status, answer = await ask(client, "POST", "/settings/trial", json={"name": "cloud"})
    assert status == 409
    assert "no archive is called cloud" in answer["detail"]


@asynccontextmanager
async def comes_back(archive):
    """The whole way, without an archive."""

    async def findings():
        for step in (Step.NAME, Step.STORE, Step.RETRIEVE):
            yield Finding(step, Verdict.PASSED, "it works", "", 1.0)

    yield findings()


async def came_back(client):
    return (await ask(client, "GET", "/settings/trial"))[1]["came_back"]


@pytest.mark.parametrize("walks", [comes_back])
async def test_a_test_image_of_what_is_set_up_is_remembered(client, walks):
    headers = {
        "Authorization": f"Bearer {Role.ADMIN}",
        "X-Proof": Proof.SESSION,
        "Sec-Fetch-Site": "same-origin",
    }
    for archives, is_kept in (([ARCHIVE], False), (None, True)):
        assert await came_back(client) is None
        body = {"name": "cloud", "archives": archives}
        answer = await client.post("/api/v1/settings/trial", headers=headers, json=body)
        assert (await answer.text()).endswith('{"works":true,"why":"","hint":""}\n\n')
        assert (await came_back(client) is not None) == is_kept
        # Of what may never be set up it was not kept.
        changed = {"changes": {"cloud.archive": [ARCHIVE]}}
        assert (await ask(client, "POST", "/settings", json=changed))[0] == 200


async def test_ports_that_the_page_may_be_kept_to_are_told(client):
    _, answer = await ask(client, "GET", "/settings")
    assert answer["page_ports"] == [
        {"name": "lo", "mac": PORTS[0].mac, "has_cable": True, "is_yours": True},
        {"name": "enp2s0", "mac": PORTS[1].mac, "has_cable": None, "is_yours": False},
    ]


async def test_the_page_is_kept_to_the_port_by_which_an_admin_came(client, applied, witness):
    body = {"changes": {"http.interface": "lo"}}
    status, _ = await ask(client, "POST", "/settings", json=body)
    assert (status, applied) == (200, [True])
    told = json.loads(witness.said[-1])
    assert (told["http.interface before"], told["http.interface after"]) == ('""', '"lo"')


@pytest.mark.parametrize(
    ("there", "wanted", "message", "hint", "near"),
    [
        (PORTS, "enp2s0", "would keep you out: you came by lo", "open the page by enp2s0", ["lo"]),
        (PORTS[1:], "enp2s0", "would keep you out: you came by lo", "screen of the box", []),
        (PORTS, "eth7", "is no network port of this machine", "it has lo, enp2s0", []),
        ([], "lo", "would keep the page to no port", "the machine's own firewall", []),
        (PORTS, "no port", "is no network port", "as the screen of the box names it", []),
    ],
)
async def test_no_admin_keeps_themselves_out(
    client, applied, ports, there, wanted, message, hint, near
):
    ports[:] = there
    body = {"changes": {"http.interface": wanted}}
    _, tried = await ask(client, "POST", "/settings/check", json=body)
    assert tried["problem"]["key"] == "http.interface"
    assert message in tried["problem"]["message"]
    assert hint in tried["problem"]["hint"]
    assert tried["problem"]["near"] == near
    status, answer = await ask(client, "POST", "/settings", json=body)
    assert status == 409
    assert "http.interface = " in answer["detail"]
    assert applied == []


@pytest.mark.parametrize("by_each", ["", None])
async def test_the_page_is_reached_by_each_port_again(client, applied, tmp_path, ports, by_each):
    (tmp_path / "settings.toml").write_text('[http]\ninterface = "enp2s0"\n')
    ports.clear()  # whatever there is
    body = {"changes": {"http.interface": by_each}}
    assert (await ask(client, "POST", "/settings", json=body))[0] == 200
    assert applied == [True]
    assert "enp2s0" not in (tmp_path / "settings.toml").read_text()

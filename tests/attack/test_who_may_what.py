"""Every door of the box, tried by everybody: each role, nobody, and those whose time is over."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest
from pynetdicom import AE

from edge import config, others
from edge.access.acts import Act, Service
from edge.access.roles import Role
from edge.access.scope import Scope
from edge.access.sessions import Proved, Visitor, cookie_name
from tests.attack import doors
from tests.attack.doors import Door
from tests.dimse import raw

OPEN = {
    ("GET", "/ca.crt"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/emergency"),
    ("GET", "/link"),
    ("POST", "/login"),
    ("POST", "/login/link"),
    ("GET", "/login/oidc"),
    ("POST", "/login/passkey"),
    ("POST", "/login/passkey/begin"),
    ("POST", "/login/redeem"),
    ("POST", "/logout"),
    ("GET", "/page/static/{tree}/{name}"),
    ("GET", "/setup"),
    ("GET", "/help"),
    ("GET", "/welcome"),
}
"""Of everybody: nothing of patients, what monitors ask, whom to trust, and the way in and out."""
SAMPLES = {
    "study": "1.2.3",
    "series": "1.2.3.4",
    "instance": "1.2.3.4.5",
    "study_uid": "1.2.3",
    "frames": "1",
    "path": "7FE00010",
    "ae": "NOBODY",
    "name": "nobody",
    "id": "0123456789ab",
    "tree": "0",
    "link": "0123456789ab",
}
BODIES = {
    "/login/link": {"secret": "x"},
    "/login/password": {"password": "x", "new_password": "seven quiet lamps"},
    "/login/redeem": {"code": "AAAA-AAAA-AAAA-AAAA", "password": "seven quiet lamps"},
}
"""Without which some doors say no more than that they understand nothing."""
WITH_A_CODE = {"/login/link", "/login/redeem"}
"""Open to whoever has a right one."""
OURS = {"Sec-Fetch-Site": "same-origin"}
SHUT = {401, 403, 421, 429}


def url(door: Door) -> str:
    return re.sub(r"{(\w+)[^}]*}", lambda match: SAMPLES[match[1]], door.path)


async def knock(client, door, headers):
    """Ask for something harmless: it is not there, or says nothing of what shall be done."""
    body = BODIES.get(door.path) if door.method == "POST" else None
    async with client.stream(door.method, url(door), headers=headers, json=body) as answer:
        if "event-stream" not in answer.headers.get("Content-Type", ""):  # which has no end
            await answer.aread()
    return answer


def is_shut(answer):
    """Nothing is shown; who looks for a page is led to where one logs in."""
    is_led = answer.status_code == 303 and answer.headers["Location"].startswith("/welcome")
    return is_led or answer.status_code in SHUT


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def basic(user, secret):
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"}


async def session_of(box, role):
    """The headers that a page of ours sends for somebody who logged in."""
    handed = await box.cache.users.add(f"a-{role}", role)
    await box.cache.users.redeem(handed.code, "seven quiet lamps")
    proved = Proved.PASSKEY  # an admin has a second factor
    secret, _ = await box.cache.sessions.open(f"a-{role}", role, proved, Visitor("127.0.0.1", ""))
    return {"Cookie": f"{cookie_name(tls=False)}={secret}", **OURS}


def test_the_table_is_the_one_that_people_looked_at():
    known = doors.TABLE.read_text(encoding="utf-8")
    assert asyncio.run(doors._table()) == known, "python -m tests.attack.doors --write"


async def test_what_is_open_to_everybody_is_named_here_and_nothing_else(box, client):
    found = set()
    for door in doors.doors(box.http.application):
        answer = await knock(client, door, OURS)
        if door.method in doors.IMPLIED:
            continue
        if not is_shut(answer) or door.path in WITH_A_CODE:
            found.add((door.method, door.path))
            assert not door.is_page
    assert found == OPEN


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_sees_the_pages_that_the_table_has_for_it(box, client, role):
    headers = await session_of(box, role)
    wrong = {}
    for door in doors.doors(box.http.application):
        if door.is_page:
            status = (await knock(client, door, headers)).status_code
            if status != (200 if door.lets_in(role) else 403):
                wrong[door] = status
    assert not wrong


@pytest.mark.parametrize("proof", ["token", "token as password", "session"])
@pytest.mark.parametrize("role", list(Role))
async def test_each_role_passes_the_doors_that_the_table_has_for_it(box, client, role, proof):
    if proof == "session":
        headers = await session_of(box, role)
    else:
        secret = await box.cache.tokens.create(role, f"a {role}")
        headers = bearer(secret) if proof == "token" else basic("viewer", secret)
    wrong = {}
    for door in doors.doors(box.http.application):
        if door.service is None:
            continue
        status = (await knock(client, door, headers)).status_code
        is_let_in = status not in SHUT
        if proof != "session" and is_for_people(door):
            assert status in (400, 403), door  # 400: it said nothing of whom
            continue
        if is_let_in != door.lets_in(role) or (not is_let_in and status != 403):
            wrong[door] = status
    assert not wrong


async def unworthy(tokens):
    """Proofs that open nothing, by what is wrong with them."""
    ended = await tokens.issue(Role.ADMIN, "ended", days=1e-9)
    revoked = await tokens.issue(Role.ADMIN, "revoked")
    await tokens.revoke(revoked.info.token_id)
    away = await tokens.create(Role.ADMIN, "away", scope=Scope(networks=("192.0.2.0/24",)))
    good = await tokens.create(Role.ADMIN, "good")
    return {
        "ended": bearer(ended.secret),
        "ended, as password": basic("x", ended.secret),
        "revoked": bearer(revoked.secret),
        "used from elsewhere": bearer(away),
        "no token": bearer("edge_" + "A" * 43),
        "nearly one": bearer(good[:-1] + ("A" if good[-1] != "A" else "B")),
        "in other letters": bearer(good.swapcase()),
        "without its scheme": {"Authorization": good},
        "of another scheme": {"Authorization": f"Token {good}"},
        "empty": {"Authorization": ""},
        "password of nobody": basic("admin", "admin"),
        "no password": basic("admin", ""),
        "in a cookie": {"Cookie": f"{cookie_name(tls=False)}={good}", **OURS},
        "in a parameter": {"X-Api-Key": good, "X-Auth-Token": good},
        "a session that is none": {"Cookie": f"{cookie_name(tls=False)}={'A' * 43}", **OURS},
        "a session beside a wrong token": {**bearer("x"), **OURS, "Cookie": "edge=x"},
    }


async def test_what_is_wrong_ended_or_revoked_opens_no_door(box, client):
    proofs = await unworthy(box.cache.tokens)
    for door in doors.doors(box.http.application):
        if door.service is None:
            continue
        for what, headers in proofs.items():
            answer = await knock(client, door, headers)
            # 429: so much that is wrong came from here that the caller is told to wait.
            assert answer.status_code in (401, 429), (what, door)
            if answer.status_code == 401 and door.method != "HEAD":
                assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
                assert "ended" not in answer.json()["detail"]
                assert "revoked" not in answer.json()["detail"]


async def test_a_session_that_was_ended_opens_no_door(box, client):
    headers = await session_of(box, Role.ADMIN)
    assert (await client.get("/api/v1/status", headers=headers)).status_code == 200
    await box.cache.sessions.end_all("a-admin")
    for door in doors.doors(box.http.application):
        if door.service is not None:
            assert (await knock(client, door, headers)).status_code == 401, door


def is_for_people(door):
    """No token does, see `tests.admin.test_users`, `test_identities` and `test_recovery`."""
    people = ("/api/v1/users", "/api/v1/identities", "/api/v1/keys/disk")
    return door.path.startswith(people) and door.method in ("POST", "DELETE")


@pytest.mark.parametrize("service", list(Service))
async def test_a_token_for_one_service_opens_the_doors_of_that_alone(box, client, service):
    scope = Scope(services=frozenset({service}))
    headers = bearer(await box.cache.tokens.create(Role.ADMIN, "narrow", scope=scope))
    for door in doors.doors(box.http.application):
        if door.service is not None and not is_for_people(door):
            status = (await knock(client, door, headers)).status_code
            assert (status not in SHUT) == (door.service is service), (door, status)


@pytest.mark.parametrize("act", list(Act))
async def test_a_token_for_one_act_does_that_alone(box, client, act):
    scope = Scope(acts=frozenset({act}))
    headers = bearer(await box.cache.tokens.create(Role.ADMIN, "narrow", scope=scope))
    for door in doors.doors(box.http.application):
        if door.service is not None and not is_for_people(door):
            status = (await knock(client, door, headers)).status_code
            assert (status not in SHUT) == (door.act is act), (door, status)


# DICOM --------------------------------------------------------------------------------------------

SERVICES = {
    "verification": "1.2.840.10008.1.1",
    "storage": "1.2.840.10008.5.1.4.1.1.2",
    "query": "1.2.840.10008.5.1.4.1.2.2.1",
    "retrieve by C-MOVE": "1.2.840.10008.5.1.4.1.2.2.2",
    "retrieve by C-GET": "1.2.840.10008.5.1.4.1.2.2.3",
    "storage commitment": "1.2.840.10008.1.20.1",
    "modality worklist": "1.2.840.10008.5.1.4.31",
    "modality performed procedure step": "1.2.840.10008.3.1.2.3.3",
}
RIGHTS = ("store", "query", "retrieve", "commit", "worklist")
IMPLICIT = "1.2.840.10008.1.2"


def settings(**fields):
    """A peer for each right, one with all, one from elsewhere, and one that must speak TLS."""
    peers = [others.Peer(right.upper(), "127.0.0.1", may=(right,)) for right in RIGHTS]
    peers += [
        others.Peer("ALL", "127.0.0.1", may=RIGHTS),
        others.Peer("ELSEWHERE", "192.0.2.1", may=RIGHTS),
        others.Peer("ENCRYPTED", "127.0.0.1", may=RIGHTS, tls_only=True),
    ]
    return config.Dimse(listen="127.0.0.1:0", tls_listen="127.0.0.1:0", peer=tuple(peers), **fields)


@pytest.fixture
async def dicom_box(tmp_path):
    async with doors.box(tmp_path, dimse=settings()) as running:
        yield running


def contexts_of(port, calling, called="EDGE"):
    """The abstract syntaxes that a caller gets; None if there is no association."""
    entity = AE(ae_title=calling)
    for uid in SERVICES.values():
        entity.add_requested_context(uid, IMPLICIT)
    association = entity.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return None
    accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
    association.release()
    return accepted


@pytest.mark.parametrize("calling", [*(right.upper() for right in RIGHTS), "ALL"])
async def test_a_peer_gets_the_services_that_its_rights_are_for(dicom_box, calling):
    known = {name: right.partition(";")[0] for name, right in doors.rights(dicom_box.dimse)}
    assert known.keys() == SERVICES.keys()
    rights = set(RIGHTS) if calling == "ALL" else {calling.lower()}
    expected = {SERVICES[name] for name, right in known.items() if right in rights | {"any peer"}}
    found = await asyncio.to_thread(contexts_of, dicom_box.dimse_port, calling)
    assert found == expected


@pytest.mark.parametrize(
    ("calling", "called"),
    [
        ("STRANGER", "EDGE"),
        ("store", "EDGE"),
        ("STORE", "OTHER"),
        ("ELSEWHERE", "EDGE"),
        ("ENCRYPTED", "EDGE"),
    ],
)
async def test_who_is_no_peer_gets_no_association(dicom_box, calling, called):
    assert await asyncio.to_thread(contexts_of, dicom_box.dimse_port, calling, called) is None


async def test_no_command_gets_in_by_the_context_of_another_service(dicom_box):
    """A peer that may only query sends a C-STORE on the context of the verification service."""
    context = raw.context_item(1, raw.VERIFICATION, [raw.IMPLICIT])
    async with raw.connected(dicom_box.dimse_port) as peer:
        await peer.associate(context, calling="QUERY")
        peer.send(raw.p_data(raw.fragment(1, 3, raw.store_command())))
        peer.send(raw.p_data(raw.fragment(1, 2, b"\0" * 64)))
        assert await peer.status() not in (0x0000, 0xB000, 0xB006, 0xB007)
    assert (await dicom_box.status()).summary.instances == 0


async def test_nobody_stores_who_may_not(dicom_box):
    """Nor does a context that was refused take anything."""
    both = raw.context_item(1, raw.VERIFICATION, [raw.IMPLICIT])
    both += raw.context_item(3, raw.CT, [raw.EXPLICIT])
    for calling in ("QUERY", "RETRIEVE", "COMMIT", "WORKLIST"):
        async with raw.connected(dicom_box.dimse_port) as peer:
            await peer.associate(both, calling=calling)
            peer.store(b"\0" * 64)
            kind, _ = await peer.read_pdu()
            assert kind == 7, calling  # A-ABORT
    assert (await dicom_box.status()).summary.instances == 0

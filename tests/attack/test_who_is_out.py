"""Who was let in once and is not any more: no door opens to them, over HTTP or DICOM."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import time

from pynetdicom import AE

from edge import config, others
from edge.access.roles import Role
from edge.access.sessions import Proved, Visitor, cookie_name
from tests.attack import doors
from tests.attack.test_who_may_what import (
    IMPLICIT,
    OPEN,
    OURS,
    RIGHTS,
    SERVICES,
    basic,
    bearer,
    contexts_of,
    is_shut,
    knock,
)
from tests.dimse.pki import Clinic, client_context

PASSWORD, OTHER = "seven quiet lamps", "under the green bridge"


def asks_itself(door):
    """It has no guard, is no page, and is not for everybody."""
    return door.is_open and (door.method, door.path) not in OPEN


async def that_open(box, client, headers):
    """Doors that let somebody through who shows this; and how often somebody was refused."""
    found, refused = [], 0
    for door in doors.doors(box.http.application):
        if door.method in doors.IMPLIED or (door.is_open and not asks_itself(door)):
            continue
        answer = await knock(client, door, headers)
        if is_shut(answer):
            refused += 1
        else:
            found.append((door, answer.status_code))
    return found, refused


def cookie(secret):
    return {"Cookie": f"{cookie_name(tls=False)}={secret}", **OURS}


async def admitted(box, client, name):
    """The secret of an admin's session, which opens the doors."""
    handed = await box.cache.users.add(name, Role.ADMIN)
    await box.cache.users.redeem(handed.code, PASSWORD)
    visitor = Visitor("127.0.0.1", "")
    secret, _ = await box.cache.sessions.open(name, Role.ADMIN, Proved.PASSKEY, visitor)
    answer = await client.get("/api/v1/users", headers=cookie(secret))
    assert answer.status_code == 200
    return secret


async def set_times(box, name, **times):
    """Of a session, as if it had been begun or used then."""
    (column, value), *_ = times.items()
    sql = f"UPDATE sessions SET {column} = ? WHERE name = ?"
    await box.cache.database.write(lambda db: db.execute(sql, (value, name)))


PUT_OUT = {
    "logged out": lambda box, name: box.cache.sessions.end_all(name),
    "disabled": lambda box, name: box.cache.users.change(name, disabled=True),
    "reset": lambda box, name: box.cache.users.reset(name),
    "removed": lambda box, name: box.cache.users.remove(name),
    "another password": lambda box, name: box.cache.users.set_password(name, OTHER),
    "idle": lambda box, name: set_times(box, name, used=time.time() - 1801),
    "over": lambda box, name: set_times(box, name, until=time.time() - 1),
    "of a clock that was wrong": lambda box, name: set_times(box, name, began=time.time() + 3600),
}


async def test_uses_anothers_session_that_is_over_or_whose_user_is_out(box, client):
    await admitted(box, client, "keeper")  # or the last admin could not be put out
    for number, (what, put_out) in enumerate(PUT_OUT.items()):
        secret = await admitted(box, client, f"admin-{number}")
        await put_out(box, f"admin-{number}")
        box.cache.sessions.forget()
        found, refused = await that_open(box, client, cookie(secret))
        assert found == [], what
        assert refused > 80, what


async def test_uses_anothers_session_of_which_only_what_is_kept_is_known(box, client):
    """Nor does a session open anything that is not sent as a cookie, or nearly the same."""
    secret = await admitted(box, client, "keeper")
    digest = hashlib.sha256(secret.encode()).hexdigest()
    (kept,) = await box.cache.sessions.list("keeper")
    nearly = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    for headers in (
        cookie(digest),
        cookie(digest[:43]),
        cookie(kept.session_id),
        cookie(nearly),
        cookie(secret.swapcase()),
        bearer(secret),
        basic("keeper", secret),
    ):
        found, _ = await that_open(box, client, headers)
        assert found == []
    assert (await client.get("/api/v1/users", headers=cookie(secret))).status_code == 200


async def test_was_an_admin_and_is_a_viewer_by_the_next_request(box, client):
    await admitted(box, client, "keeper")
    secret = await admitted(box, client, "anna")
    await box.cache.users.change("anna", role=Role.VIEWER)
    box.cache.sessions.forget()
    wrong = []
    for door in doors.doors(box.http.application):
        if not door.is_open:
            answer = await knock(client, door, cookie(secret))
            if is_shut(answer) is door.lets_in(Role.VIEWER):
                wrong.append((door, answer.status_code))
    assert wrong == []


async def test_changes_its_log_in_by_a_stolen_token(box, client):
    """A token is for programs: whatever its role, it is no part of anybody's log-in."""
    token = await box.cache.tokens.create(Role.ADMIN, "a program")
    for door in doors.doors(box.http.application):
        if door.method not in doors.IMPLIED and asks_itself(door):
            for headers in (bearer(token), basic("x", token)):
                assert is_shut(await knock(client, door, headers)), door


# DICOM --------------------------------------------------------------------------------------------


async def test_calls_as_a_modality_that_was_forgotten(tmp_path):
    async with doors.box(tmp_path) as box:
        peer = others.Peer("LATE", may=RIGHTS)
        await box.cache.peers.approve(peer, "keeper", host="127.0.0.1")
        expected = set(SERVICES.values())
        assert await asyncio.to_thread(contexts_of, box.dimse_port, "LATE") == expected
        await box.cache.peers.approve(peer, "keeper", host="192.0.2.7")
        assert await asyncio.to_thread(contexts_of, box.dimse_port, "LATE") is None
        await box.cache.peers.approve(peer, "keeper", host="127.0.0.1")
        assert await asyncio.to_thread(contexts_of, box.dimse_port, "LATE") == expected
        await box.cache.peers.forget("LATE", "keeper")
        assert await asyncio.to_thread(contexts_of, box.dimse_port, "LATE") is None


def contexts_over_tls(port, calling, context):
    """The services that a caller gets who shows the certificate of this context; None: none."""
    entity = AE(ae_title=calling)
    for uid in SERVICES.values():
        entity.add_requested_context(uid, IMPLICIT)
    tls = (context, "localhost")
    association = entity.associate("127.0.0.1", port, ae_title="EDGE", tls_args=tls)
    if not association.is_established:
        return None
    accepted = {str(one.abstract_syntax) for one in association.accepted_contexts}
    association.release()
    return accepted


async def test_calls_as_a_modality_with_no_certificate_or_one_that_is_wrong(tmp_path):
    """With none, a stranger's, another peer's, one that is over, and one that is not yet."""
    clinic = Clinic(tmp_path / "pki")
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    ours, right = clinic.issue("localhost"), clinic.issue("ct1")
    wrong = {
        "none": None,
        "a stranger's": Clinic(tmp_path / "other").issue("ct1"),
        "another peer's": clinic.issue("ct2"),
        "over": clinic.issue("ct3", not_before=now - 2 * day, not_after=now - day),
        "not yet": clinic.issue("ct4", not_before=now + day, not_after=now + 2 * day),
    }
    bound = {"CT1": right.sha256, "CT2": "ct2", "CT3": "ct3", "CT4": "ct4"}
    peers = [
        others.Peer(title, "127.0.0.1", may=RIGHTS, certificate=shown, tls_only=True)
        for title, shown in bound.items()
    ]
    dimse = config.Dimse(
        listen="127.0.0.1:0",
        tls_listen="127.0.0.1:0",
        tls_certificate=ours.certificate,
        tls_key=ours.key,
        tls_ca=clinic.ca,
        peer=tuple(peers),
    )
    titles = {"over": "CT3", "not yet": "CT4"}
    async with doors.box(tmp_path, dimse=dimse) as box:

        async def got(calling, pair):
            context = client_context(clinic.ca, pair)
            return await asyncio.to_thread(contexts_over_tls, box.dimse_tls_port, calling, context)

        assert await got("CT1", right) == set(SERVICES.values())
        for what, pair in wrong.items():
            assert await got(titles.get(what, "CT1"), pair) is None, what
        # Over the plain port nobody shows anything: who must speak TLS is nobody there.
        assert await asyncio.to_thread(contexts_of, box.dimse_port, "CT1") is None

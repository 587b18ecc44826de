"""Rows of people whom an identity provider vouches for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.index import identities, sessions
from edge.index.identities import IdentityRow
from edge.index.sessions import SessionRow

ROW = IdentityRow("idp", "s1", "oidc:anna", "Anna", "viewer", "active", 100.0, b"token")
SESSION = SessionRow(
    digest=b"d1",
    session_id="i1",
    name="oidc:anna",
    issuer="idp",
    role="viewer",
    proved="provider",
    began=100.0,
    used=100.0,
    until=200.0,
    address="",
    agent="",
)


@pytest.fixture
async def put(database):
    async def put(row, spare="oidc:spare"):
        return await database.write(lambda db: identities.put(db, row, spare))

    return put


async def begin(database, row):
    await database.write(lambda db: sessions.put(db, row, most=20, now=0.0, idle_since=0.0))


async def test_who_comes_again_keeps_the_name_and_the_state(database, put):
    assert await put(ROW) == ROW
    changed = replace(ROW, name="oidc:other", display_name="A", role="admin", vouched=150.0)
    assert await put(changed) == replace(changed, name="oidc:anna")
    await database.write(lambda db: identities.set_state(db, "oidc:anna", "disabled"))
    kept = await put(changed)
    assert (kept.state, kept.vouched, kept.refresh) == ("disabled", 0.0, None)


async def test_a_name_is_one_person_s_whoever_vouches(database, put):
    await put(ROW)
    assert (await put(replace(ROW, subject="s2"))).name == "oidc:spare"
    assert (await put(replace(ROW, issuer="idp2"), "oidc:other")).name == "oidc:other"
    assert len(await identities.all_identities(database)) == 3


async def test_who_is_to_be_asked_about_has_a_session_that_lives(database, put):
    await put(ROW)
    wanted = {"before": 100.0, "now": 150.0, "idle_since": 90.0}
    assert await identities.to_ask(database, "idp", **wanted) == []
    await begin(database, SESSION)
    assert await identities.to_ask(database, "idp", **wanted) == [ROW]
    for changed in ({"before": 99.0}, {"now": 200.0}, {"idle_since": 100.0}):
        assert await identities.to_ask(database, "idp", **(wanted | changed)) == []
    assert await identities.to_ask(database, "idp2", **wanted) == []


async def test_a_session_is_worth_what_the_issuer_said_last(database, put):
    await put(ROW)
    await begin(database, SESSION)
    await begin(database, replace(SESSION, digest=b"d2", session_id="i2", issuer="idp2"))
    held = await sessions.find(database, b"d1")
    assert (held.display_name, held.role, held.state, held.vouched) == (
        "Anna",
        "viewer",
        "active",
        100.0,
    )
    assert (await sessions.find(database, b"d2")).state == ""


async def test_an_answer_counts_only_if_nobody_logged_in_meanwhile(database, put):
    await put(ROW)
    await put(replace(ROW, refresh=b"newer", vouched=120.0))
    await begin(database, SESSION)
    await database.write(
        lambda db: identities.vouched(
            db, ROW, role="admin", refresh=b"older", now=130.0, usual_seconds=50.0
        )
    )
    await database.write(lambda db: identities.drop_voucher(db, ROW))
    kept = await identities.named(database, "oidc:anna")
    assert (kept.role, kept.refresh, kept.vouched) == ("viewer", b"newer", 120.0)
    assert (await sessions.find(database, b"d1")).row.until == 150.0


async def test_sessions_go_on_while_the_issuer_is_away_unless_they_ended(database, put):
    await put(ROW)
    await begin(database, SESSION)
    await begin(database, replace(SESSION, digest=b"d2", session_id="i2", until=110.0))
    await database.write(lambda db: identities.away(db, ROW, until=500.0, now=110.0))
    ends = [(await sessions.find(database, digest)).row.until for digest in (b"d1", b"d2")]
    assert ends == [500.0, 110.0]


async def test_who_is_removed_is_out(database, put):
    await put(ROW)
    await begin(database, SESSION)
    assert await database.write(lambda db: identities.remove(db, "oidc:anna"))
    assert not await database.write(lambda db: identities.remove(db, "oidc:anna"))
    assert await sessions.find(database, b"d1") is None

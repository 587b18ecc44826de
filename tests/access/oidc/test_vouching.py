"""Asking again: what becomes of sessions with the provider there, away, and back."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from edge.access.audit.entry import BOX, Event
from edge.access.links import Links
from edge.access.roles import Role
from edge.errors import AccessDenied
from edge.index import identities


async def age(way, minutes=6):
    """So long that somebody is asked about; they go on working meanwhile."""
    way.clock.now += minutes * 60
    used = way.clock.now
    await way.world.database.write(lambda db: db.execute("UPDATE sessions SET used = ?", (used,)))
    await way.vouching.look()


def asked(way):
    return way.fake.asked.count(("POST", "/token"))


async def role_of(way, opened):
    way.world.sessions.forget()
    session = await way.world.sessions.verify(opened.secret)
    return None if session is None else session.role


@pytest.mark.parametrize("rotates", [True, False])
async def test_who_is_vouched_for_stays_in(way, rotates):
    way.fake.rotates = rotates
    opened = await way.enter()
    for _ in range(5):
        await age(way)
        assert await role_of(way, opened) is Role.PHYSICIAN
    assert asked(way) == 6


async def test_nobody_is_asked_about_too_early_or_without_a_session(way):
    opened = await way.enter()
    await age(way, minutes=4)
    assert asked(way) == 1
    await way.world.sessions.end_all(opened.session.name, opened.session.issuer)
    await age(way)
    assert asked(way) == 1


async def test_a_session_ends_at_its_usual_time_while_the_provider_is_there(way):
    opened = await way.enter()
    for _ in range(119):
        await age(way)
    assert await role_of(way, opened) is Role.PHYSICIAN
    await age(way)
    assert await role_of(way, opened) is None


async def test_once_the_provider_is_back_a_session_ends_when_it_would_have(way, fake):
    opened = await way.enter()
    answer, fake.answer = fake.answer, refuse
    for _ in range(125):
        await age(way)
    assert await role_of(way, opened) is Role.PHYSICIAN
    fake.answer = answer
    await age(way)
    assert await role_of(way, opened) is None
    assert (await way.enter()).session.role is Role.PHYSICIAN


async def refuse(_request):
    return web.Response(status=503)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_whatever_is_wrong_with_our_client_is_held_against_nobody(way, status):
    opened = await way.enter()

    async def answer(_request):
        return web.json_response({"error": "invalid_client"}, status=status)

    way.fake.answer = answer
    await age(way)
    assert await role_of(way, opened) is Role.PHYSICIAN


async def test_another_role_holds_at_once(way):
    opened = await way.enter()
    way.fake.people["sub-anna"]["groups"] = ["grp-all"]
    await age(way)
    assert await role_of(way, opened) is Role.VIEWER


@pytest.mark.parametrize("groups", [[], ["others"], None, ["grp-it"]], ids=str)
async def test_who_has_no_role_any_more_or_became_an_admin_logs_in_anew(way, groups):
    opened = await way.enter()
    way.fake.people["sub-anna"]["groups"] = groups
    await age(way)
    assert await role_of(way, opened) is None


async def test_who_is_put_out_and_whose_role_changes_is_in_the_record(way):
    await way.enter()
    await age(way)
    assert way.recorded == []
    way.fake.people["sub-anna"]["groups"] = ["grp-all"]
    await age(way)
    way.fake.people["sub-anna"]["groups"] = []
    await age(way)
    changed, out = way.recorded
    assert (changed.event, changed.actor, changed.target) == (Event.USER, BOX, "oidc:anna")
    issuer = {"issuer": way.fake.issuer}
    assert changed.detail == {"role": "viewer", "was": "physician", **issuer}
    assert (out.event, out.actor, out.target) == (Event.LOGGED_OUT, BOX, "oidc:anna")
    assert (out.reason, out.detail) == ("the role needs another log-in", issuer)
    assert out.at == way.clock.now


async def test_whom_an_admin_put_out_first_is_not_said_to_be_put_out_by_the_provider(way):
    """Nor who came in again while the provider was asked."""
    await way.enter()
    (row,) = await identities.all_identities(way.world.database)
    real = way.provider.refresh

    async def refresh(token):
        await way.world.database.write(lambda db: identities.set_state(db, row.name, "disabled"))
        way.fake.people["sub-anna"]["groups"] = []
        return await real(token)

    way.provider.refresh = refresh
    await age(way)
    assert way.recorded == []


async def test_roles_that_stand_at_userinfo_alone(way):
    way.fake.in_id_token = way.fake.refresh_has_id_token = False
    opened = await way.enter()
    await age(way)
    assert await role_of(way, opened) is Role.PHYSICIAN
    way.fake.people["sub-anna"]["groups"] = ["grp-all"]
    await age(way)
    assert await role_of(way, opened) is Role.VIEWER


async def test_a_provider_that_says_nothing_of_anybody_at_a_refresh(way):
    way.fake.refresh_has_id_token = False
    way.fake.metadata = {"userinfo_endpoint": None}
    opened = await way.enter()
    await age(way)
    assert await role_of(way, opened) is Role.PHYSICIAN


async def test_an_answer_about_somebody_else_puts_them_out(way):
    opened = await way.enter()
    way.fake.lie = {"sub": "sub-eve"}
    await age(way)
    assert await role_of(way, opened) is None


def links_of(way):
    world = way.world
    return Links(world.database, world.sessions, world.throttle, world.settings, clock=way.clock)


async def make_link(way, opened):
    """By whoever just came in; what tells whether it holds."""
    maker = opened.session.identity
    await links_of(way).make("1.2.3", 24, "", maker)

    async def holds():
        return bool(await links_of(way).of_study("1.2.3"))

    return holds


@pytest.mark.parametrize("logged_in", [True, False])
async def test_links_end_once_the_provider_vouches_for_their_maker_no_longer(way, logged_in):
    opened = await way.enter()
    holds = await make_link(way, opened)
    if not logged_in:
        await way.world.sessions.end_all(opened.session.name, opened.session.issuer)
    for _ in range(3):
        await age(way)
    assert await holds()
    way.fake.disabled.add("sub-anna")
    await age(way)
    assert not await holds()
    assert await role_of(way, opened) is None
    before = asked(way)
    await age(way)
    assert asked(way) == before


async def test_links_outlive_that_their_maker_can_not_be_asked_about(way):
    way.fake.gives_refresh = False
    opened = await way.enter()
    holds = await make_link(way, opened)
    await age(way, minutes=9)
    assert await role_of(way, opened) is None
    assert await holds()
    (out,) = way.recorded
    assert out.reason == "it gave nothing by which it could be asked"
    await age(way)
    assert await holds()
    assert way.recorded == [out]


async def test_without_a_refresh_token_they_log_in_anew_while_the_provider_is_there(way):
    way.fake.gives_refresh = False
    opened = await way.enter()
    await age(way, minutes=6)
    assert await role_of(way, opened) is Role.PHYSICIAN
    await age(way, minutes=3)
    assert await role_of(way, opened) is None


async def test_without_a_refresh_token_they_stay_in_while_it_is_away(way):
    way.fake.gives_refresh = False
    opened = await way.enter()
    await way.fake.stop()
    for _ in range(20):
        await age(way)
    assert await role_of(way, opened) is Role.PHYSICIAN


async def test_who_logs_in_while_they_are_asked_about_stays_in(way):
    opened = await way.enter()
    asking, go_on = asyncio.Event(), asyncio.Event()
    real = way.fake.disabled

    class Waiting(set):
        """Answers late that somebody is disabled."""

        def __contains__(self, _subject):
            return True

    async def hold(request):
        asking.set()
        await go_on.wait()
        way.fake.answer = None
        way.fake.disabled = Waiting()
        answer = await way.fake._route(request)
        way.fake.disabled = real
        return answer

    way.clock.now += 600
    way.fake.answer = hold
    looking = asyncio.create_task(way.vouching.look())
    await asking.wait()
    way.fake.answer = None
    again = await way.enter()
    go_on.set()
    await looking
    assert await role_of(way, again) is Role.PHYSICIAN
    assert await role_of(way, opened) is Role.PHYSICIAN


async def test_with_the_provider_away_not_each_of_many_waits_for_it(way):
    for number in range(12):
        subject = f"sub-{number}"
        way.fake.people[subject] = {"preferred_username": f"p{number}", "groups": ["grp-all"]}
        await way.enter(subject)
    before = asked(way)
    way.fake.answer = refuse
    await age(way)
    assert asked(way) - before <= 4


async def test_a_token_that_another_box_sealed_is_none(way):
    opened = await way.enter()
    await way.world.database.write(lambda db: db.execute("UPDATE identities SET refresh = x'01'"))
    await age(way, minutes=10)
    assert await role_of(way, opened) is None


async def test_admins_show_a_second_factor_there(way):
    way.fake.people["sub-anna"]["groups"] = ["grp-it"]
    with pytest.raises(AccessDenied, match="second factor"):
        await way.enter()
    way.fake.extra = {"amr": ["pwd", "mfa"]}
    opened = await way.enter()
    assert opened.session.role is Role.ADMIN
    assert not opened.session.is_limited
    way.fake.extra = {}
    await age(way)
    assert await role_of(way, opened) is Role.ADMIN


async def test_a_session_of_before_makes_nobody_the_admin_that_they_became_elsewhere(way):
    before = await way.enter()
    assert before.session.role is Role.PHYSICIAN
    way.fake.people["sub-anna"]["groups"] = ["grp-it"]
    way.fake.extra = {"amr": ["pwd", "mfa"]}
    assert (await way.enter()).session.role is Role.ADMIN
    assert await role_of(way, before) is Role.PHYSICIAN

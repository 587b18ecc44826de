"""Links to a study: what they open, for how long, and whose they are."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from edge.access.acts import Act, Service
from edge.access.links import Links
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import Scope
from edge.config import Access
from edge.errors import AccessDenied, DecisionRefused, TooManyAttempts
from edge.index import identities
from edge.index.identities import IdentityRow
from tests.access.people import HERE

STUDY = "1.2.3.4"
BERT = Identity("bert", Role.PHYSICIAN, proof=Proof.SESSION, session_id="0123456789ab")


@pytest.fixture
async def links(world):
    await world.user("bert", Role.PHYSICIAN)
    return linked(world)


def linked(world, **settings):
    settings = Access(**settings)
    return Links(world.database, world.sessions, world.throttle, settings, clock=world.clock)


async def opened(world, links, secret):
    """The session of who opens a link."""
    return await world.sessions.verify((await links.open(secret, HERE)).secret)


async def test_who_opens_a_link_looks_at_one_study_and_does_nothing_else(world, links):
    made = await links.make(STUDY, 24, "Dr. Aalto", BERT)
    session = await opened(world, links, made.secret)
    who = session.identity
    assert (who.name, who.role) == (f"link {made.link.link_id}", Role.VIEWER)
    assert session.is_link
    assert who.scope.studies == {STUDY}
    assert [act for act in Act if who.may(act)] == [Act.READ]
    assert [one for one in Service if who.scope.is_for(one)] == [Service.DICOMWEB]
    assert not who.scope.is_for(None)


async def test_only_the_hash_of_its_secret_is_kept(world, links):
    made = await links.make(STUDY, 24, "", BERT)
    assert len(made.secret) == 43
    [(digest,)] = await world.database.read("SELECT digest FROM links")
    assert digest == hashlib.sha256(made.secret.encode()).digest()
    assert made.secret not in repr(made) + repr(await links.of_study(STUDY))


async def test_it_says_who_made_it_for_whom_and_how_often_it_was_opened(world, links):
    made = await links.make(STUDY, 24, "Dr. Aalto", BERT)
    await links.open(made.secret, HERE)
    await links.open(made.secret, HERE)
    [shown] = await links.of_study(STUDY)
    assert (shown.maker, shown.note, shown.opened) == ("bert", "Dr. Aalto", 2)
    assert shown.until == shown.created + 24 * 3600
    assert await links.of_study("1.2.3") == ()


async def test_it_ends_at_its_time_and_so_does_who_looks(world, links):
    made = await links.make(STUDY, 0.25, "", BERT)
    secret = (await links.open(made.secret, HERE)).secret
    assert await world.sessions.verify(secret) is not None
    world.clock.now += 901
    assert await world.sessions.verify(secret) is None
    with pytest.raises(AccessDenied):
        await links.open(made.secret, HERE)
    assert await links.of_study(STUDY) == ()


async def test_a_clock_that_is_set_back_opens_nothing_again(world, links):
    made = await links.make(STUDY, 0.25, "", BERT)
    secret = (await links.open(made.secret, HERE)).secret
    began = world.clock.now
    world.clock.now = began + 901
    assert await world.sessions.verify(secret) is None
    with pytest.raises(AccessDenied):
        await links.open(made.secret, HERE)
    world.clock.now = began + 1
    assert await world.sessions.verify(secret) is None
    with pytest.raises(AccessDenied):
        await links.open(made.secret, HERE)
    assert await links.of_study(STUDY) == ()


async def test_a_link_of_later_than_now_opens_nothing(world, links):
    made = await links.make(STUDY, 24, "", BERT)
    world.clock.now -= 301
    with pytest.raises(AccessDenied):
        await links.open(made.secret, HERE)
    world.clock.now += 2
    assert await opened(world, links, made.secret) is not None


async def test_it_ends_when_somebody_says_so_and_nobody_looks_any_more(world, links):
    made = await links.make(STUDY, 24, "", BERT)
    secret = (await links.open(made.secret, HERE)).secret
    assert not await links.end(made.link.link_id, "1.2.3")
    assert await world.sessions.verify(secret) is not None
    assert await links.end(made.link.link_id, STUDY)
    assert await world.sessions.verify(secret) is None
    with pytest.raises(AccessDenied):
        await links.open(made.secret, HERE)
    assert not await links.end(made.link.link_id, STUDY)


@pytest.mark.parametrize(
    "change",
    [
        lambda users: users.change("bert", disabled=True),
        lambda users: users.remove("bert"),
        lambda users: users.change("bert", role=Role.VIEWER),
        lambda users: users.change("bert", scope=Scope(studies_from=frozenset({"CT1"}))),
    ],
    ids=["disabled", "removed", "another role", "narrowed"],
)
async def test_it_ends_with_what_its_maker_may_do(world, links, change):
    made = await links.make(STUDY, 24, "", BERT)
    secret = (await links.open(made.secret, HERE)).secret
    await change(world.users)
    world.sessions.forget()
    assert await world.sessions.verify(secret) is None
    with pytest.raises(AccessDenied):
        await links.open(made.secret, HERE)


ANNA = IdentityRow("idp", "s1", "oidc:anna", "Anna", "physician", "active", 100.0, b"token")


@pytest.mark.parametrize(
    "change",
    [
        lambda db: identities.set_state(db, "oidc:anna", "disabled"),
        lambda db: identities.remove(db, "oidc:anna"),
        lambda db: identities.put(db, dataclasses.replace(ANNA, role="viewer"), ""),
        lambda db: identities.set_scope(db, "oidc:anna", '{"studies_from": ["CT1"]}'),
        lambda db: identities.drop_voucher(db, ANNA),
    ],
    ids=["disabled", "removed", "another role", "narrowed", "not vouched for"],
)
async def test_it_ends_with_what_who_is_vouched_for_may_do(world, links, change):
    await world.database.write(lambda db: identities.put(db, ANNA, ""))
    made = await links.make(STUDY, 24, "", dataclasses.replace(BERT, name="oidc:anna"))
    secret = (await links.open(made.secret, HERE)).secret
    await world.database.write(change)
    world.sessions.forget()
    assert await world.sessions.verify(secret) is None
    with pytest.raises(AccessDenied):
        await links.open(made.secret, HERE)


async def test_it_outlives_that_its_maker_can_not_be_asked_about(world, links):
    await world.database.write(lambda db: identities.put(db, ANNA, ""))
    made = await links.make(STUDY, 24, "", dataclasses.replace(BERT, name="oidc:anna"))
    assert await world.database.write(lambda db: identities.lapse(db, ANNA))
    again = dataclasses.replace(ANNA, vouched=200.0, refresh=None)
    await world.database.write(lambda db: identities.put(db, again, ""))
    assert await opened(world, links, made.secret) is not None


async def test_it_outlives_what_else_becomes_of_its_maker(world, links):
    made = await links.make(STUDY, 24, "", BERT)
    await world.users.change("bert", display_name="Bert")
    await world.sessions.end_all("bert")
    assert await opened(world, links, made.secret) is not None


async def test_what_is_no_link_gets_one_answer_and_has_to_wait(world, links):
    made = await links.make(STUDY, 24, "", BERT)
    said = set()
    for secret in ("", "A" * 43, "é" * 43, made.secret[:-1], "x" * 200):
        with pytest.raises(AccessDenied) as refused:
            await links.open(secret, HERE)
        said.add((str(refused.value), refused.value.known))
    assert len(said) == 1
    for _ in range(30):
        with pytest.raises(AccessDenied) as refused:
            await links.open("A" * 43, HERE)
    assert isinstance(refused.value, TooManyAttempts)
    assert await opened(world, links, made.secret) is not None, "a right one always passes"


@pytest.mark.parametrize("proof", [Proof.TOKEN, Proof.NONE, Proof.CERTIFICATE])
async def test_only_people_who_log_in_make_one(links, proof):
    with pytest.raises(AccessDenied, match="people who log in"):
        await links.make(STUDY, 24, "", dataclasses.replace(BERT, proof=proof))


@pytest.mark.parametrize(
    "scope",
    [Scope(services=frozenset({Service.ADMIN})), Scope(acts=frozenset({Act.DECIDE}))],
    ids=["not for images", "not to read"],
)
@pytest.mark.parametrize("emergency", ["", "in one"])
async def test_who_is_kept_from_images_gets_to_none_by_a_link(links, scope, emergency):
    with pytest.raises(AccessDenied):
        await links.make(STUDY, 24, "", dataclasses.replace(BERT, scope=scope, emergency=emergency))


async def test_it_is_for_no_more_addresses_than_its_maker_is(world, links):
    maker = dataclasses.replace(BERT, scope=Scope(networks=("203.0.113.0/24",)))
    made = await links.make(STUDY, 24, "", maker)
    with pytest.raises(AccessDenied, match="opens nothing"):
        await links.open(made.secret, HERE)


async def test_a_clinic_says_for_how_long_or_that_there_are_none(world, links):
    with pytest.raises(DecisionRefused, match="48 hours at the most"):
        await linked(world, link_days=2).make(STUDY, 49, "", BERT)
    with pytest.raises(DecisionRefused, match="no links are made here"):
        await linked(world, link_days=0).make(STUDY, 1, "", BERT)


async def test_what_a_clinic_says_holds_for_those_that_exist(world, links):
    long = await links.make(STUDY, 20 * 24, "", BERT)
    short = await links.make(STUDY, 3, "", BERT)
    looks = [(await links.open(made.secret, HERE)).secret for made in (long, short)]
    later = linked(world, link_days=0.25)
    await later.keep_to_limit()
    assert {one.link_id: one.until for one in await later.of_study(STUDY)} == {
        long.link.link_id: long.link.created + 6 * 3600,
        short.link.link_id: short.link.until,
    }
    world.sessions.forget()
    ends = [(await world.sessions.verify(secret)).until for secret in looks]
    assert ends == [long.link.created + 6 * 3600, short.link.until]
    # Longer again makes none longer.
    await links.keep_to_limit()
    assert (await links.of_study(STUDY))[0].until <= long.link.created + 6 * 3600


async def test_where_there_are_to_be_none_there_are_none(world, links):
    made = await links.make(STUDY, 24, "", BERT)
    secret = (await links.open(made.secret, HERE)).secret
    none = linked(world, link_days=0)
    with pytest.raises(AccessDenied):
        await none.open(made.secret, HERE)
    await none.keep_to_limit()
    world.sessions.forget()
    assert await world.sessions.verify(secret) is None
    assert await world.database.read("SELECT * FROM links") == []


async def test_neither_its_secret_nor_for_whom_it_is_gets_into_a_log(links):
    made = await links.make(STUDY, 24, "Dr. Aalto", BERT)
    opened = await links.open(made.secret, HERE)
    seen = repr((made, opened, await links.all()))
    for secret in (made.secret, opened.secret, "Aalto"):
        assert secret not in seen
    assert made.link.link_id in seen


async def test_a_study_has_so_many_at_the_most(links):
    for _ in range(50):
        await links.make(STUDY, 24, "", BERT)
    with pytest.raises(DecisionRefused, match="50 links"):
        await links.make(STUDY, 24, "", BERT)
    await links.make("1.2.3", 24, "", BERT)

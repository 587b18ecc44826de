"""Sessions: their secrets, their limits, and what they are worth."""

from __future__ import annotations

import hashlib

import pytest

from edge.access.roles import Identity, Proof, Role
from edge.access.sessions import Proved, Visitor, cookie_name, secret_in
from edge.config import Access
from edge.index import identities
from edge.index.identities import IdentityRow
from edge.others import Oidc
from tests.access.people import COOKIE, HERE, World


@pytest.fixture
async def opened(world):
    user = await world.user("bert")
    return await world.sessions.open("bert", user.role, Proved.PASSWORD, HERE)


async def test_a_session_says_who_it_is_and_how_it_was_proved(world, opened):
    secret, session = opened
    found = await world.sessions.verify(secret)
    assert found == session
    session_id = session.session_id
    assert found.identity == Identity(
        "bert", Role.VIEWER, proof=Proof.SESSION, session_id=session_id
    )
    assert (found.address, found.agent) == (HERE.address, HERE.agent)
    assert not found.is_limited


async def test_a_secret_has_256_bits_and_only_its_hash_is_kept(world, opened):
    secret, _ = opened
    assert len(secret) == 43
    [(digest,)] = await world.database.read("SELECT digest FROM sessions")
    assert digest == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(await world.sessions.list())


async def test_session_fixation_every_session_has_a_secret_of_its_own(world):
    user = await world.user("bert")
    opened = [
        (await world.sessions.open("bert", user.role, Proved.PASSWORD, HERE))[0] for _ in range(10)
    ]
    assert len(set(opened)) == 10


@pytest.mark.parametrize("secret", ["", "A" * 43, "A" * 42 + "\n", "é" * 43, "A" * 10**6])
async def test_what_is_no_secret_is_nobody(world, opened, secret):
    assert await world.sessions.verify(secret) is None


async def test_a_session_outlives_the_service(world, opened):
    world.start()
    assert await world.sessions.verify(opened[0]) is not None


async def test_an_idle_session_ends(world, opened):
    world.clock.now += 30 * 60
    assert await world.sessions.verify(opened[0]) is None
    assert await world.sessions.list() == ()


async def test_a_session_that_is_used_goes_on_until_its_end(world, opened):
    begun = world.clock.now
    while world.clock.now < begun + 12 * 3600 - 1200:
        world.clock.now += 1200
        assert await world.sessions.verify(opened[0]) is not None
    world.clock.now = begun + 12 * 3600
    assert await world.sessions.verify(opened[0]) is None


async def test_a_page_that_asks_by_itself_keeps_no_session_from_being_idle(world, opened):
    for _ in range(29):
        world.clock.now += 60
        assert await world.sessions.verify(opened[0], attended=False) is not None
    world.clock.now += 60
    assert await world.sessions.verify(opened[0], attended=False) is None


async def test_limits_are_those_of_the_configuration(database):
    world = World(database, Access(idle_minutes=0.5, session_hours=0.1))
    user = await world.user("bert")
    secret, session = await world.sessions.open("bert", user.role, Proved.PASSWORD, HERE)
    assert session.idle_until == world.clock.now + 30
    assert session.until == world.clock.now + 360
    for _ in range(17):
        world.clock.now += 20
        assert await world.sessions.verify(secret) is not None
    world.clock.now += 20
    assert await world.sessions.verify(secret) is None


async def test_a_session_of_a_clock_that_was_ahead_is_none(world, opened):
    world.clock.now -= 3600
    world.start()
    assert await world.sessions.verify(opened[0]) is None


async def test_what_a_session_is_worth_is_looked_up_and_not_remembered(world, opened):
    await world.users.change("bert", role=Role.PHYSICIAN)
    world.clock.now += 2
    assert (await world.sessions.verify(opened[0])).role is Role.PHYSICIAN
    await world.users.change("bert", role=Role.ADMIN)
    world.clock.now += 2
    assert (await world.sessions.verify(opened[0])).is_limited


async def test_an_admin_who_proved_a_password_alone_can_do_nothing(world):
    await world.user("anna", Role.ADMIN)
    for proved in Proved:
        _, session = await world.sessions.open("anna", Role.ADMIN, proved, HERE)
        assert session.is_limited == (proved is Proved.PASSWORD)


async def test_unless_the_configuration_says_otherwise(database):
    world = World(database, Access(admins_need_second_factor=False))
    await world.user("anna", Role.ADMIN)
    _, session = await world.sessions.open("anna", Role.ADMIN, Proved.PASSWORD, HERE)
    assert not session.is_limited


async def test_a_viewer_asking_often_costs_one_lookup(world, opened):
    reads = 0
    read = world.database.read

    async def counted(*arguments):
        nonlocal reads
        reads += 1
        return await read(*arguments)

    world.start()
    world.database.read = counted
    for _ in range(100):
        assert await world.sessions.verify(opened[0])
    assert reads == 1


async def test_a_session_that_another_process_ends_dies_soon(world, opened):
    secret, session = opened
    beside = World(world.database, clock=world.clock)
    assert await beside.sessions.end(session.session_id, "bert")
    world.clock.now += 2
    assert await world.sessions.verify(secret) is None


async def test_logging_out_ends_one_and_everywhere_ends_all(world):
    user = await world.user("bert")
    said = "bert", user.role, Proved.PASSWORD, HERE
    (one, session), (two, _) = await world.sessions.open(*said), await world.sessions.open(*said)
    assert not await world.sessions.end(session.session_id, "anna")
    assert await world.sessions.end(session.session_id, "bert")
    assert not await world.sessions.end(session.session_id, "bert")
    assert await world.sessions.verify(one) is None
    assert await world.sessions.verify(two) is not None
    assert await world.sessions.end_all("bert") == 1
    assert await world.sessions.verify(two) is None


async def test_a_name_has_so_many_sessions_and_no_more(world):
    user = await world.user("bert")
    opened = []
    for _ in range(25):
        world.clock.now += 1
        opened.append((await world.sessions.open("bert", user.role, Proved.PASSWORD, HERE))[0])
    alive = [await world.sessions.verify(secret) is not None for secret in opened]
    assert alive == [False] * 5 + [True] * 20


async def test_what_is_over_is_forgotten(world, opened):
    world.clock.now += 13 * 3600
    await world.user("anna")
    await world.sessions.open("anna", Role.VIEWER, Proved.PASSWORD, HERE)
    assert len(await world.database.read("SELECT * FROM sessions")) == 1


async def test_whom_a_provider_vouches_for_has_a_session_and_is_no_user(world):
    world.settings = Access(oidc=Oidc(issuer="https://idp"))
    world.start()
    now = world.clock.now
    row = IdentityRow("https://idp", "c1", "carla", "", Role.PHYSICIAN, "active", now, None)
    await world.database.write(lambda db: identities.put(db, row, ""))
    said = "carla", Role.PHYSICIAN, Proved.PROVIDER, HERE
    until = world.clock.now + 600
    secret, session = await world.sessions.open(*said, issuer="https://idp", until=until)
    assert (session.role, session.until, session.issuer) == (Role.PHYSICIAN, until, "https://idp")
    await world.user("carla", Role.VIEWER)
    world.start()
    found = await world.sessions.verify(secret)
    assert (found.role, found.name) == (Role.PHYSICIAN, "carla")
    assert await world.sessions.list("carla") == ()
    await world.users.change("carla", disabled=True)
    world.start()
    assert await world.sessions.verify(secret) is not None
    assert await world.sessions.end_all("carla") == 0
    assert await world.sessions.end_all("carla", "https://idp") == 1


async def test_what_a_browser_calls_itself_can_forge_no_line(world):
    user = await world.user("bert")
    visitor = Visitor("10.0.0.1", "Mozilla\n\x1b[2J" + "x" * 500)
    _, session = await world.sessions.open("bert", user.role, Proved.PASSWORD, visitor)
    assert session.agent.isprintable()
    assert len(session.agent) <= 120


async def test_a_proof_of_another_version_is_nobody(world, opened):
    await world.database.write(lambda db: db.execute("UPDATE sessions SET proved = 'charm'"))
    world.start()
    assert await world.sessions.verify(opened[0]) is None


def test_the_cookie_is_bound_to_the_host_where_there_is_tls():
    assert cookie_name(tls=True) == "__Host-edge"
    assert not cookie_name(tls=False).startswith("__")


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("", ""),
        (f"{COOKIE}=abc", "abc"),
        (f"a=b; {COOKIE}=abc; c=d", "abc"),
        (f"a=b;{COOKIE}=abc;", "abc"),
        (f"{COOKIE}=abc; {COOKIE}=def", ""),
        (f"x{COOKIE}=abc", ""),
        (COOKIE, ""),
        (f"{COOKIE.upper()}=abc", ""),
        (f"{COOKIE}=a=b", "a=b"),
    ],
)
def test_a_cookie_that_stands_there_twice_is_none(header, secret):
    assert secret_in({"Cookie": header}, COOKIE) == secret

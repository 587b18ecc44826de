"""Passkeys: made, used, copied, lost; enough alone."""

from __future__ import annotations

import asyncio

import pytest

from edge.access.login import MoreNeeded, Opened
from edge.access.passkeys import MOST
from edge.access.roles import Role
from edge.access.sessions import Proved
from edge.access.webauthn import Site
from edge.errors import AccessDenied, TooManyAttempts, UserRefused
from tests.access.authenticator import PRESENT, Authenticator
from tests.access.people import ELSEWHERE, GOOD, HERE, OTHER

SITE = Site("box.local:8443")
ORIGIN = "https://box.local:8443"
AT = HERE.address


@pytest.fixture
def device():
    return Authenticator()


async def session_of(world, name="bert", **more):
    opened = await world.login.with_password(name, GOOD, HERE, **more)
    assert isinstance(opened, Opened)
    return opened.session


async def enrol(world, device, session, label="", **wrong):
    options = await world.passkeys.begin(session, "", SITE)
    return await world.passkeys.add(session, SITE, device.make(options, ORIGIN, **wrong), label)


async def use(world, device, site=SITE, origin=ORIGIN, **wrong):
    return await world.passkeys.proved(
        site, device.answer(world.passkeys.ask(site), origin, **wrong), AT
    )


async def test_a_passkey_is_enough_alone(world, device):
    await world.user("anna", Role.ADMIN)
    session = await session_of(world, "anna")
    assert session.is_limited
    given = await enrol(world, device, session, "my key")
    assert len(given) == 10
    row = await use(world, device)
    opened = await world.login.proved(row, Proved.PASSKEY, HERE)
    assert (opened.session.name, opened.session.is_limited) == ("anna", False)
    assert opened.session.proved is Proved.PASSKEY
    assert (await world.users.find("anna")).second_factors == ("passkey",)
    [passkey] = await world.passkeys.list(opened.session)
    assert (passkey.label, passkey.rp_id) == ("my key", "box.local")
    assert passkey.last_used == world.clock.now


async def test_a_password_alone_is_not_enough_any_more(world, device):
    await world.user("bert")
    given = await enrol(world, device, await session_of(world))
    needed = await world.login.with_password("bert", GOOD, HERE)
    assert needed == MoreNeeded(("passkey", "recovery-code"))
    assert await world.basic.identity("bert", GOOD, AT) is None
    opened = await world.login.with_password("bert", GOOD, HERE, second=given[0])
    assert opened.session.proved is Proved.RECOVERY


async def test_replay_an_answer_opens_one_session(world, device):
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    answer = device.answer(world.passkeys.ask(SITE), ORIGIN)
    tried = await asyncio.gather(
        *(world.passkeys.proved(SITE, answer, AT) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, AccessDenied) for one in tried) == 3


async def test_replay_a_device_that_does_not_count_is_bound_by_its_challenge(world):
    device = Authenticator(counts=False)
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    answer = device.answer(world.passkeys.ask(SITE), ORIGIN)
    assert await world.passkeys.proved(SITE, answer, AT)
    with pytest.raises(AccessDenied):
        await world.passkeys.proved(SITE, answer, AT)
    assert await use(world, device)


async def test_a_copy_that_counts_backwards_is_refused(world, device, caplog):
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    await use(world, device, count=10)
    for count in (10, 9, 0):
        with pytest.raises(AccessDenied):
            await use(world, device, count=count)
    assert "may be a copy; it is of bert" in caplog.text
    assert await use(world, device, count=11)


@pytest.mark.parametrize(
    "wrong",
    [
        {"flags": PRESENT},
        {"client": {"origin": "https://evil.example"}},
        {"client": {"crossOrigin": True}},
        {"rp_id": "evil.example"},
        {"credential_id": b"another"},
        {"handle": b"h" * 16},
        {"signature": b"x" * 70},
    ],
)
async def test_an_answer_that_is_wrong_opens_nothing(world, device, wrong):
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    with pytest.raises(AccessDenied, match="passkey is not right"):
        await use(world, device, **wrong)
    assert await use(world, device)


async def test_a_passkey_is_for_the_name_that_it_was_made_for(world, device):
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    with pytest.raises(AccessDenied):
        await use(world, device, Site("other.local"), "https://other.local")
    with pytest.raises(UserRefused, match="by an address"):
        world.passkeys.ask(Site("192.168.1.10:8443"))
    with pytest.raises(UserRefused, match="by an address"):
        await world.passkeys.proved(Site("192.168.1.10:8443"), {}, AT)


async def test_a_challenge_ends(world, device):
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    options = world.passkeys.ask(SITE)
    world.clock.now += 300
    with pytest.raises(AccessDenied):
        await world.passkeys.proved(SITE, device.answer(options, ORIGIN), AT)


async def test_nobody_is_told_which_passkeys_there_are(world, device):
    await world.user("bert")
    before = world.passkeys.ask(SITE)
    await enrol(world, device, await session_of(world))
    after = world.passkeys.ask(SITE)
    assert before.keys() == after.keys()
    assert before | {"challenge": ""} == after | {"challenge": ""}
    said = set()
    for credential_id in (device.credential_id, b"unknown"):
        with pytest.raises(AccessDenied) as caught:
            await use(world, device, credential_id=credential_id, signature=b"x")
        said.add((str(caught.value), caught.value.hint, caught.value.known))
    assert len(said) == 1


async def test_who_is_disabled_or_removed_has_no_passkey(world, device):
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    await world.users.change("bert", disabled=True)
    with pytest.raises(AccessDenied):
        await use(world, device)
    changed = await world.users.change("bert", disabled=False)
    assert changed.state == "active"
    assert await use(world, device)
    await world.users.remove("bert")
    with pytest.raises(AccessDenied):
        await use(world, device)


async def test_a_reset_leaves_the_passkey_and_a_loss_takes_it(world, device):
    await world.user("bert")
    await enrol(world, device, await session_of(world))
    await world.users.reset("bert")
    assert await use(world, device)
    await world.users.reset("bert", forget_factors=True)
    with pytest.raises(AccessDenied):
        await use(world, device)


async def test_a_passkey_is_kept_in_the_session_in_which_it_was_asked_for(world, device):
    await world.user("bert")
    await world.user("mallory")
    here, there = await session_of(world), await session_of(world, "mallory")
    options = await world.passkeys.begin(there, "", SITE)
    made = device.make(options, ORIGIN)
    with pytest.raises(UserRefused, match="not made as it should be"):
        await world.passkeys.add(here, SITE, made, "")
    with pytest.raises(UserRefused):
        await world.passkeys.add(here, SITE, device.make(world_ask(world), ORIGIN), "")
    assert await world.passkeys.list(here) == ()


def world_ask(world):
    """The challenge of a log-in, where one for making is needed."""
    return {
        "rp": {"id": "box.local"},
        "user": {"id": "aA"},
        "challenge": world.passkeys.ask(SITE)["challenge"],
    }


@pytest.mark.parametrize("wrong", [{"flags": PRESENT}, {"rp_id": "evil.example"}, {"fmt": "tpm"}])
async def test_a_passkey_that_is_made_wrong_is_not_kept(world, device, wrong):
    await world.user("bert")
    session = await session_of(world)
    with pytest.raises(UserRefused):
        await enrol(world, device, session, **wrong)
    assert await world.passkeys.list(session) == ()


async def test_a_passkey_is_kept_once_whoever_shows_it(world, device):
    await world.user("bert")
    session = await session_of(world)
    await enrol(world, device, session)
    await world.user("mallory")
    with pytest.raises(UserRefused, match="is known"):
        await enrol(world, device, await session_of(world, "mallory"))


async def test_the_second_passkey_brings_no_other_recovery_codes(world, device):
    await world.user("bert")
    session = await session_of(world)
    assert await enrol(world, device, session)
    opened = await world.login.enrolled(session, Proved.PASSKEY)
    assert await enrol(world, Authenticator(), opened.session) == ()
    options = await world.passkeys.begin(opened.session, "", SITE)
    assert len(options["excludeCredentials"]) == 2


async def test_there_are_so_many_and_no_more(world):
    await world.user("bert")
    session = (await world.login.enrolled(await session_of(world), Proved.PASSKEY)).session
    for _ in range(MOST):
        await enrol(world, Authenticator(), session)
    with pytest.raises(UserRefused, match="20 already"):
        await enrol(world, Authenticator(), session)


async def test_passkeys_are_removed_by_who_holds_them(world, device):
    await world.user("bert")
    await world.user("mallory")
    await enrol(world, device, await session_of(world))
    session = (await world.login.proved(await use(world, device), Proved.PASSKEY, HERE)).session
    others = await session_of(world, "mallory")
    assert not await world.passkeys.remove(others, device.credential_id, "")
    assert not await world.passkeys.remove(session, b"another", "")
    world.clock.now += 601
    with pytest.raises(AccessDenied, match="password again"):
        await world.passkeys.remove(session, device.credential_id, OTHER)
    assert await world.passkeys.remove(session, device.credential_id, GOOD)
    assert isinstance(await world.login.with_password("bert", GOOD, HERE), Opened)
    assert await world.database.read("SELECT * FROM recovery_codes") == []


async def test_an_admin_keeps_the_last_second_factor_whichever_goes_first(world, device):
    secret, _ = await world.with_app("anna", Role.ADMIN)
    session = await session_of(world, "anna", second=world.code(secret))
    await enrol(world, device, session)
    done = await asyncio.gather(
        world.passkeys.remove(session, device.credential_id, ""),
        world.factors.remove_totp(session, ""),
        return_exceptions=True,
    )
    assert sum(isinstance(one, UserRefused) for one in done) == 1
    assert len((await world.users.find("anna")).second_factors) == 1


async def test_brute_force_nonsense_is_told_to_wait(world):
    refused = []
    for _ in range(30):
        with pytest.raises(AccessDenied) as caught:
            await world.passkeys.proved(SITE, {"id": "AA"}, ELSEWHERE.address)
        refused.append(isinstance(caught.value, TooManyAttempts))
    assert refused == [False] * 21 + [True] * 9


async def test_whom_a_provider_vouches_for_has_theirs_there(world):
    said = "bert", Role.VIEWER, Proved.PROVIDER, HERE
    await world.user("bert")
    _, session = await world.sessions.open(*said, issuer="https://idp")
    with pytest.raises(UserRefused, match="https://idp"):
        await world.passkeys.begin(session, "", SITE)
    assert await world.passkeys.list(session) == ()

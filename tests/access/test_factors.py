"""Second factors: enrolled, asked for, lost and replaced."""

from __future__ import annotations

import asyncio
from base64 import b32decode

import pytest

from edge.access.login import MoreNeeded, Opened
from edge.access.roles import Role
from edge.access.sessions import Proved
from edge.config import Access
from edge.errors import AccessDenied, TooManyAttempts, UserRefused
from tests.access.people import ELSEWHERE, GOOD, HERE, OTHER, World


async def begun(world, name="bert"):
    opened = await world.login.with_password(name, GOOD, HERE)
    assert isinstance(opened, Opened)
    return opened.session


async def logged_in(world, secret, name="bert"):
    return await world.login.with_password(name, GOOD, HERE, second=world.code(secret))


async def test_an_admin_can_do_nothing_before_and_everything_after(world):
    await world.user("anna", Role.ADMIN)
    opened = await world.login.with_password("anna", GOOD, HERE)
    assert opened.session.is_limited
    new = await world.factors.begin_totp(opened.session, "")
    assert new.secret in new.uri
    given = await world.factors.confirm_totp(opened.session, world.code(b32decode(new.secret)))
    after = await world.login.enrolled(opened.session, Proved.TOTP)
    assert not after.session.is_limited
    assert after.session.until == opened.session.until
    assert len(given) == 10
    assert await world.sessions.verify(opened.secret) is None
    assert (await world.gate.authorise(world.cookie(after.secret))).role is Role.ADMIN


async def test_session_fixation_more_proof_is_another_secret_and_all_others_end(world):
    await world.user("bert")
    here = await world.login.with_password("bert", GOOD, HERE)
    there = await world.login.with_password("bert", GOOD, ELSEWHERE)
    after = await world.login.enrolled(here.session, Proved.TOTP)
    assert after.secret != here.secret
    for opened in (here, there):
        assert await world.sessions.verify(opened.secret) is None
    assert (await world.sessions.verify(after.secret)).proved is Proved.TOTP


async def test_who_has_an_app_needs_its_code(world):
    secret, _ = await world.with_app("bert")
    needed = await world.login.with_password("bert", GOOD, HERE)
    assert needed == MoreNeeded(("totp", "recovery-code"))
    for wrong in ("000000", "nonsense", "0" * 100):
        with pytest.raises(AccessDenied, match="not right"):
            await world.login.with_password("bert", GOOD, HERE, second=wrong)
    opened = await logged_in(world, secret)
    assert opened.session.proved is Proved.TOTP


async def test_a_code_without_the_password_is_worth_nothing(world):
    secret, given = await world.with_app("bert")
    for second in ("", world.code(secret), given[0]):
        with pytest.raises(AccessDenied, match="not right"):
            await world.login.with_password("bert", OTHER, HERE, second=second)
    assert len(await world.database.read("SELECT * FROM recovery_codes")) == 10


async def test_replay_a_code_opens_one_session(world):
    secret, _ = await world.with_app("bert")
    code = world.code(secret)
    tried = await asyncio.gather(
        *(world.login.with_password("bert", GOOD, HERE, second=code) for _ in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Opened) for one in tried) == 1
    assert sum(isinstance(one, AccessDenied) for one in tried) == 3


async def test_replay_the_code_that_enrolled_the_app_logs_nobody_in(world):
    secret, _ = await world.with_app("bert")
    world.clock.now -= 60
    with pytest.raises(AccessDenied):
        await logged_in(world, secret)


async def test_a_clock_that_is_a_step_off_is_no_matter(world):
    secret, _ = await world.with_app("bert")
    for later in (-30, 0, 30):
        world.clock.now += 90
        code = world.code(secret, later)
        opened = await world.login.with_password("bert", GOOD, HERE, second=code)
        assert isinstance(opened, Opened)


async def test_brute_force_codes_are_so_few_that_guessing_takes_years(world):
    await world.with_app("bert")
    end, guesses = world.clock.now + 86400, 0
    while world.clock.now < end:
        try:
            await world.login.with_password("bert", GOOD, HERE, second=f"{guesses:06}")
        except TooManyAttempts as error:
            world.clock.now += error.retry_after
        except AccessDenied:
            guesses += 1
    assert guesses < 40


async def test_a_recovery_code_stands_in_once(world):
    _, given = await world.with_app("bert")
    opened = await world.login.with_password("bert", GOOD, HERE, second=given[0].lower())
    assert opened.session.proved is Proved.RECOVERY
    with pytest.raises(AccessDenied):
        await world.login.with_password("bert", GOOD, HERE, second=given[0])
    assert await world.login.with_password("bert", GOOD, HERE, second=given[1])


async def test_recovery_codes_are_those_of_one_user(world):
    await world.with_app("bert")
    _, given = await world.with_app("carla")
    with pytest.raises(AccessDenied):
        await world.login.with_password("bert", GOOD, HERE, second=given[0])


async def test_other_recovery_codes_make_those_before_worthless(world):
    secret, given = await world.with_app("bert")
    opened = await logged_in(world, secret)
    fresh = await world.factors.renew_codes(opened.session, "")
    assert not set(fresh) & set(given)
    with pytest.raises(AccessDenied):
        await world.login.with_password("bert", GOOD, HERE, second=given[0])
    assert await world.login.with_password("bert", GOOD, HERE, second=fresh[0])


async def test_there_are_no_recovery_codes_without_a_second_factor(world):
    await world.user("bert")
    with pytest.raises(UserRefused, match="no second factor"):
        await world.factors.renew_codes(await begun(world), "")


async def test_a_secret_that_no_code_was_shown_of_is_not_in_force(world):
    await world.user("bert")
    session = await begun(world)
    with pytest.raises(UserRefused, match="not the code"):
        await world.factors.confirm_totp(session, "000000")
    await world.factors.begin_totp(session, "")
    with pytest.raises(UserRefused, match="not the code"):
        await world.factors.confirm_totp(session, "000000")
    assert isinstance(await world.login.with_password("bert", GOOD, HERE), Opened)


async def test_another_telephone_takes_the_place_of_the_first(world):
    secret, given = await world.with_app("bert")
    opened = await logged_in(world, secret)
    new = b32decode((await world.factors.begin_totp(opened.session, "")).secret)
    assert await world.factors.confirm_totp(opened.session, world.code(new)) == ()
    world.clock.now += 60
    with pytest.raises(AccessDenied):
        await logged_in(world, secret)
    assert isinstance(await logged_in(world, new), Opened)
    assert await world.login.with_password("bert", GOOD, HERE, second=given[0])


async def test_a_browser_that_was_left_alone_changes_nothing(world):
    secret, _ = await world.with_app("bert")
    session = (await logged_in(world, secret)).session
    world.clock.now += 601
    for act in (world.factors.begin_totp, world.factors.remove_totp, world.factors.renew_codes):
        for password in ("", OTHER):
            with pytest.raises(AccessDenied, match="password again") as caught:
                await act(session, password)
            assert caught.value.known
    assert await world.factors.renew_codes(session, GOOD)
    assert await world.factors.remove_totp(session, GOOD)


async def test_who_has_no_second_factor_any_more_has_no_recovery_codes(world):
    secret, _ = await world.with_app("bert")
    session = (await logged_in(world, secret)).session
    assert await world.factors.remove_totp(session, "")
    assert not await world.factors.remove_totp(session, "")
    assert await world.database.read("SELECT * FROM recovery_codes") == []
    assert isinstance(await world.login.with_password("bert", GOOD, HERE), Opened)


async def test_an_admin_keeps_the_last_one(world):
    secret, _ = await world.with_app("anna", Role.ADMIN)
    session = (await logged_in(world, secret, "anna")).session
    with pytest.raises(UserRefused, match="last one"):
        await world.factors.remove_totp(session, "")


async def test_unless_the_configuration_says_otherwise(database):
    world = World(database, Access(admins_need_second_factor=False))
    secret, _ = await world.with_app("anna", Role.ADMIN)
    session = (await logged_in(world, secret, "anna")).session
    assert await world.factors.remove_totp(session, "")


async def test_a_password_alone_replaces_no_second_factor(world):
    """A session that proved less, however it came about, changes nothing."""
    await world.with_app("bert")
    _, session = await world.sessions.open("bert", Role.VIEWER, Proved.PASSWORD, HERE)
    for act in (world.factors.begin_totp, world.factors.remove_totp, world.factors.renew_codes):
        with pytest.raises(AccessDenied, match="second factor first"):
            await act(session, GOOD)
    with pytest.raises(AccessDenied, match="second factor first"):
        await world.factors.confirm_totp(session, "000000")


async def test_a_lost_telephone_is_forgotten_by_a_reset(world):
    await world.with_app("bert")
    handed = await world.users.reset("bert", forget_factors=True)
    opened = await world.login.redeem(handed.code, OTHER, HERE)
    assert isinstance(opened, Opened)
    assert (await world.users.find("bert")).second_factors == ()
    assert await world.database.read("SELECT * FROM recovery_codes") == []


async def test_a_reset_alone_is_no_way_around_the_second_factor(world):
    await world.with_app("bert")
    handed = await world.users.reset("bert")
    assert await world.login.redeem(handed.code, OTHER, HERE) is None
    assert isinstance(await world.login.with_password("bert", OTHER, HERE), MoreNeeded)


async def test_whom_a_provider_vouches_for_has_theirs_there(world):
    said = "bert", Role.VIEWER, Proved.PROVIDER, HERE
    _, session = await world.sessions.open(*said, issuer="https://idp")
    with pytest.raises(UserRefused, match="https://idp"):
        await world.factors.begin_totp(session, "")


async def test_the_log_has_no_secret(world, caplog):
    caplog.set_level("DEBUG")
    secret, given = await world.with_app("bert")
    code = world.code(secret)
    await world.login.with_password("bert", GOOD, HERE, second=code)
    await world.login.with_password("bert", GOOD, HERE, second=given[0])
    for hidden in (code, given[0], secret.hex(), GOOD):
        assert hidden not in caplog.text
    assert "bert used a recovery code" in caplog.text

"""Logging in: what is proved becomes a session."""

from __future__ import annotations

import pytest

from edge.access.login import Opened
from edge.access.roles import Proof, Role
from edge.access.sessions import Proved
from edge.errors import AccessDenied, TooManyAttempts, UserRefused
from tests.access.people import ELSEWHERE, GOOD, HERE, OTHER


async def until_told_to_wait(guess):
    """Guess wrong until that has to wait."""
    for number in range(100):
        with pytest.raises(AccessDenied) as caught:
            await guess(number)
        if isinstance(caught.value, TooManyAttempts):
            return caught.value
    raise AssertionError("nobody was told to wait")


async def test_name_and_password_begin_a_session(world):
    await world.user("bert")
    opened = await world.login.with_password("Bert", GOOD, HERE)
    session = await world.sessions.verify(opened.secret)
    assert session == opened.session
    assert (session.name, session.proved) == ("bert", Proved.PASSWORD)
    assert session.identity.proof is Proof.SESSION
    user = await world.users.find("bert")
    assert user.last_seen == world.clock.now


async def test_the_answer_is_the_same_whatever_is_wrong(world):
    await world.user("bert")
    await world.users.add("carla", Role.VIEWER)
    await world.user("dora")
    await world.users.change("dora", disabled=True)
    said = set()
    for name in ("bert", "nobody", "carla", "dora", "no\nname"):
        with pytest.raises(AccessDenied) as caught:
            await world.login.with_password(name, OTHER, HERE)
        said.add((str(caught.value), caught.value.hint, caught.value.known, type(caught.value)))
    assert len(said) == 1


async def test_brute_force_is_slowed_down_and_the_right_password_is_not_looked_at(world):
    await world.user("bert")
    waiting = await until_told_to_wait(
        lambda number: world.login.with_password("bert", f"wrong {number}", ELSEWHERE)
    )
    before = world.passwords.count
    with pytest.raises(TooManyAttempts):
        await world.login.with_password("bert", GOOD, ELSEWHERE)
    assert world.passwords.count == before
    world.clock.now += waiting.retry_after
    assert await world.login.with_password("bert", GOOD, ELSEWHERE)


async def test_session_fixation_logging_in_again_is_another_session(world):
    await world.user("bert")
    one = await world.login.with_password("bert", GOOD, HERE)
    two = await world.login.with_password("bert", GOOD, HERE)
    assert one.secret != two.secret
    assert one.session.session_id != two.session.session_id


async def test_a_code_begins_a_session(world):
    handed = await world.users.first_code()
    opened = await world.login.redeem(handed.code, GOOD, HERE, name="anna")
    assert isinstance(opened, Opened)
    assert (opened.session.role, opened.session.is_limited) == (Role.ADMIN, True)


async def test_whose_code_it_is_that_has_a_second_factor_logs_in_with_it(world):
    await world.user("bert")
    await world.database.write(lambda db: db.execute("UPDATE users SET totp = x'00'"))
    handed = await world.users.reset("bert")
    assert await world.login.redeem(handed.code, OTHER, HERE) is None
    assert await world.sessions.list() == ()


async def test_codes_are_not_guessed(world):
    await until_told_to_wait(lambda number: world.login.redeem(f"{number:016}", GOOD, HERE))


async def test_a_password_that_may_not_be_is_no_guess(world):
    handed = await world.users.first_code()
    for _ in range(100):
        with pytest.raises(UserRefused):
            await world.login.redeem(handed.code, "short", HERE, name="anna")
    assert await world.login.redeem(handed.code, GOOD, HERE, name="anna")


async def test_another_password_ends_every_session_and_this_one_goes_on_as_another(world):
    await world.user("bert")
    here = await world.login.with_password("bert", GOOD, HERE)
    there = await world.login.with_password("bert", GOOD, ELSEWHERE)
    world.clock.now += 600
    after = await world.login.change_password(here.session, GOOD, OTHER)
    for secret in (here.secret, there.secret):
        assert await world.sessions.verify(secret) is None
    session = await world.sessions.verify(after.secret)
    assert session.until == here.session.until
    assert await world.login.with_password("bert", OTHER, HERE)
    with pytest.raises(AccessDenied):
        await world.login.with_password("bert", GOOD, HERE)


async def test_another_password_needs_the_one_before(world):
    await world.user("bert")
    opened = await world.login.with_password("bert", GOOD, HERE)
    with pytest.raises(AccessDenied):
        await world.login.change_password(opened.session, OTHER, "another good one")
    with pytest.raises(UserRefused):
        await world.login.change_password(opened.session, GOOD, "short")
    with pytest.raises(UserRefused, match="the one before"):
        await world.login.change_password(opened.session, GOOD, GOOD)
    assert await world.sessions.verify(opened.secret)
    assert await world.login.with_password("bert", GOOD, HERE)


async def test_the_log_names_who_came_in_and_who_did_not_and_no_secret(world, caplog):
    caplog.set_level("INFO")
    await world.user("bert")
    opened = await world.login.with_password("bert", GOOD, HERE)
    for name in ("bert", "evil\nline"):
        with pytest.raises(AccessDenied):
            await world.login.with_password(name, OTHER, ELSEWHERE)
    assert f"bert from {HERE.address}, by password" in caplog.text
    assert f"bert from {ELSEWHERE.address} is refused" in caplog.text
    assert "evil" not in caplog.text
    for secret in (GOOD, OTHER, opened.secret):
        assert secret not in caplog.text


# What happens meanwhile ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["reset", "disabled", "removed", "enrolled"])
async def test_what_ends_sessions_while_somebody_logs_in_ends_that_one_too(world, what):
    await world.user("bert")
    fits = world.passwords.fits

    async def meanwhile(*arguments):
        fitted = await fits(*arguments)
        match what:
            case "reset":
                await world.users.reset("bert")
            case "disabled":
                await world.users.change("bert", disabled=True)
            case "removed":
                await world.users.remove("bert")
            case "enrolled":
                await world.database.write(lambda db: db.execute("UPDATE users SET totp = x'00'"))
        return fitted

    world.passwords.fits = meanwhile
    with pytest.raises(AccessDenied, match="not hold any more"):
        await world.login.with_password("bert", GOOD, HERE)
    assert await world.database.read("SELECT * FROM sessions") == []


async def test_who_was_logged_out_meanwhile_goes_on_with_nothing(world):
    await world.user("bert")
    opened = await world.login.with_password("bert", GOOD, HERE)
    await world.sessions.end_all("bert")
    with pytest.raises(AccessDenied, match="not hold any more"):
        await world.login.change_password(opened.session, GOOD, OTHER)
    with pytest.raises(AccessDenied, match="not hold any more"):
        await world.login.enrolled(opened.session, Proved.TOTP)
    assert await world.sessions.list() == ()

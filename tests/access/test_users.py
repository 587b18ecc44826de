"""People: invited, reset, disabled and removed; and there is always an admin."""

from __future__ import annotations

import asyncio

import pytest

from edge.access.acts import Act
from edge.access.handed_before import Beginning
from edge.access.roles import Role
from edge.access.scope import ANYTHING, Scope
from edge.access.sessions import Proved
from edge.access.user import State
from edge.access.users import Users
from edge.errors import AccessDenied, UserRefused
from edge.index import identities
from edge.index.identities import IdentityRow
from tests.access.people import GOOD, HERE, OTHER


async def test_there_is_nobody_at_first_and_no_default_password(world):
    assert await world.users.is_empty()
    assert await world.users.list() == ()


async def test_who_came_by_an_identity_provider_is_somebody(world):
    row = IdentityRow("idp", "s1", "oidc:anna", "Anna", "admin", "active", 100.0, None)
    await world.database.write(lambda db: identities.put(db, row, "oidc:spare"))
    assert not await world.users.is_empty()
    assert await world.users.list() == ()
    assert (await world.users.first_code()).code  # for who is on the machine


async def test_the_first_admin_is_made_with_a_code(world):
    handed = await world.users.first_code()
    user = await world.users.redeem(
        handed.code.lower(), GOOD, name="Anna", display_name=" Dr.  Anna "
    )
    assert (user.name, user.display_name) == ("anna", "Dr. Anna")
    assert (user.role, user.state) == (Role.ADMIN, State.ACTIVE)
    assert await world.users.list() == (user,)


async def test_the_code_of_the_first_admin_works_once_and_is_the_last_one(world):
    before, handed = await world.users.first_code(), await world.users.first_code()
    with pytest.raises(AccessDenied):
        await world.users.redeem(before.code, GOOD, name="anna")
    await world.users.redeem(handed.code, GOOD, name="anna")
    with pytest.raises(AccessDenied):
        await world.users.redeem(handed.code, GOOD, name="bert")
    with pytest.raises(UserRefused, match="there is an admin"):
        await world.users.first_code()


async def test_the_code_of_the_first_admin_makes_none_once_there_is_one(world):
    first = await world.users.first_code()
    invited = await world.users.add("bert", Role.ADMIN)
    await world.users.redeem(invited.code, GOOD)
    with pytest.raises(UserRefused, match="there is an admin"):
        await world.users.redeem(first.code, GOOD, name="anna")


async def test_of_two_at_the_same_time_one_redeems_a_code(world):
    handed = await world.users.first_code()
    tried = await asyncio.gather(
        *(world.users.redeem(handed.code, GOOD, name=f"n{number}") for number in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, AccessDenied) for one in tried) == 9
    assert len(await world.users.list()) == 1


BROUGHT = "7K2M-Q0XE-41TR-ZB9D"
DAYS = 90 * 86400.0


@pytest.mark.parametrize("off", [DAYS, -DAYS])
async def test_a_code_that_was_brought_holds_for_its_time_though_the_clock_is_set(world, off):
    """Before, a machine that began without the time took none any more once it knew it."""
    since = [7.0]
    words = world.database, world.passwords
    users = Users(*words, clock=world.clock, this_start=lambda: Beginning("a", since[0]))
    handed = await users.first_code(BROUGHT)
    assert await users.first_code_until() == handed.until
    world.clock.now += off + 3600.0
    since[0] += 3600.0
    assert await users.first_code_until() == pytest.approx(handed.until + off)
    world.clock.now += 82_700.0
    since[0] += 82_700.0
    assert await users.first_code_until() is not None
    world.clock.now += 101.0
    since[0] += 101.0
    with pytest.raises(AccessDenied):
        await users.redeem(BROUGHT, GOOD, name="anna")


async def test_behind_another_start_of_the_machine_its_end_is_that_which_was_known(world):
    start = [Beginning("a", 7.0)]
    words = world.database, world.passwords
    users = Users(*words, clock=world.clock, this_start=lambda: start[0])
    handed = await users.first_code(BROUGHT)
    start[0] = Beginning("b", 3.0)
    world.clock.now += 3600.0
    assert await users.first_code_until() == handed.until
    await users.redeem(BROUGHT, GOOD, name="anna")


async def test_a_code_of_the_screen_ends_when_it_was_said_to(world):
    handed = await world.users.first_code()
    world.clock.now += DAYS
    with pytest.raises(AccessDenied):
        await world.users.redeem(handed.code, GOOD, name="anna")


async def test_codes_end(world):
    handed = await world.users.add("bert", Role.VIEWER)
    world.clock.now = handed.until
    with pytest.raises(AccessDenied):
        await world.users.redeem(handed.code, GOOD)


async def test_who_is_invited_sets_a_password_and_is_active(world):
    handed = await world.users.add(" Bert ", Role.TECHNOLOGIST, "Bert, CT")
    invited = await world.users.find("bert")
    assert (invited.state, invited.code_until) == (State.INVITED, handed.until)
    user = await world.users.redeem(handed.code, GOOD, name="admin", display_name="Chief")
    assert (user.name, user.role, user.display_name) == ("bert", Role.TECHNOLOGIST, "Bert, CT")
    assert (user.state, user.code_until) == (State.ACTIVE, None)


@pytest.mark.parametrize("password", ["short", "bert-bert-1", "password123"])
async def test_a_password_that_may_not_be_leaves_the_code_as_it_was(world, password):
    handed = await world.users.add("bert", Role.VIEWER)
    with pytest.raises(UserRefused, match="the password"):
        await world.users.redeem(handed.code, password)
    await world.users.redeem(handed.code, GOOD)


@pytest.mark.parametrize("code", ["", "nonsense", "0000-0000-0000-0000", "0" * 10_000])
async def test_what_is_no_code_is_refused(world, code):
    await world.users.first_code()
    with pytest.raises(AccessDenied):
        await world.users.redeem(code, GOOD, name="anna")


async def test_no_two_have_one_name(world):
    await world.users.add("bert", Role.VIEWER)
    with pytest.raises(UserRefused, match="there is a user bert"):
        await world.users.add("BERT", Role.ADMIN)
    first = await world.users.first_code()
    with pytest.raises(UserRefused, match="there is a user bert"):
        await world.users.redeem(first.code, GOOD, name="bert")
    await world.users.redeem(first.code, GOOD, name="anna")


async def test_a_reset_ends_the_password_and_the_sessions_at_once(world):
    user = await world.user("bert")
    secret, _ = await world.sessions.open("bert", user.role, Proved.PASSWORD, HERE)
    handed = await world.users.reset("Bert")
    world.start()
    assert await world.sessions.verify(secret) is None
    assert await world.basic.identity("bert", GOOD, "") is None
    await world.users.redeem(handed.code, OTHER)
    assert await world.basic.identity("bert", OTHER, "") is not None


async def test_another_reset_makes_the_code_before_worthless(world):
    await world.user("bert")
    before, after = await world.users.reset("bert"), await world.users.reset("bert")
    with pytest.raises(AccessDenied):
        await world.users.redeem(before.code, GOOD)
    await world.users.redeem(after.code, GOOD)


async def test_who_is_disabled_is_out_until_enabled(world):
    user = await world.user("bert")
    secret, _ = await world.sessions.open("bert", user.role, Proved.PASSWORD, HERE)
    handed = await world.users.reset("bert")
    await world.users.redeem(handed.code, GOOD)
    handed = await world.users.reset("bert")
    changed = await world.users.change("bert", disabled=True)
    assert changed.state is State.DISABLED
    world.start()
    assert await world.sessions.verify(secret) is None
    with pytest.raises(AccessDenied):
        await world.users.redeem(handed.code, GOOD)
    with pytest.raises(UserRefused, match="disabled"):
        await world.users.reset("bert")
    assert (await world.users.change("bert", disabled=False)).state is State.INVITED


async def test_who_is_enabled_has_their_password_again(world):
    await world.user("bert")
    await world.users.change("bert", disabled=True)
    assert await world.basic.identity("bert", GOOD, "") is None
    assert (await world.users.change("bert", disabled=False)).state is State.ACTIVE
    world.start()
    assert await world.basic.identity("bert", GOOD, "") is not None


async def test_the_last_active_admin_stays(world):
    await world.user("anna", Role.ADMIN)
    await world.users.add("later", Role.ADMIN)
    for change in ({"disabled": True}, {"role": Role.VIEWER}):
        with pytest.raises(UserRefused, match="last active admin"):
            await world.users.change("anna", **change)
    with pytest.raises(UserRefused, match="last active admin"):
        await world.users.remove("anna")
    await world.user("bert", Role.ADMIN)
    assert await world.users.remove("anna")
    with pytest.raises(UserRefused, match="last active admin"):
        await world.users.remove("bert")


async def test_of_two_admins_who_remove_each_other_at_the_same_time_one_stays(world):
    await world.user("anna", Role.ADMIN)
    await world.user("bert", Role.ADMIN)
    done = await asyncio.gather(
        world.users.remove("anna"),
        world.users.change("bert", disabled=True),
        return_exceptions=True,
    )
    assert sum(isinstance(one, UserRefused) for one in done) == 1


async def test_a_user_who_is_removed_leaves_nothing(world):
    user = await world.user("bert")
    await world.sessions.open("bert", user.role, Proved.PASSWORD, HERE)
    await world.users.reset("bert")
    assert await world.users.remove("Bert")
    assert not await world.users.remove("bert")
    for table in ("users", "codes", "sessions", "passkeys", "recovery_codes"):
        assert await world.database.read(f"SELECT * FROM {table} WHERE name = 'bert'") == []


async def test_nothing_can_be_done_with_nobody(world):
    for act in (
        world.users.reset("nobody"),
        world.users.change("nobody", role=Role.ADMIN),
        world.users.set_password("nobody", GOOD),
        world.users.reset("no\nbody"),
    ):
        with pytest.raises(UserRefused, match="no user"):
            await act
    assert not await world.users.remove("nobody")
    assert await world.users.find("no\nbody") is None


async def test_another_password_is_not_the_name_of_the_box(world):
    await world.user("bert")
    with pytest.raises(UserRefused, match="made of the name"):
        await world.users.set_password("bert", "edge-bert-1")


async def test_only_hashes_are_kept(world, tmp_path):
    handed = await world.users.first_code()
    await world.users.redeem(handed.code, GOOD, name="anna")
    more = await world.users.add("bert", Role.VIEWER)
    plain = more.code.replace("-", "")
    rows = [
        await world.database.read(f"SELECT * FROM {table}")
        for table in ("users", "codes", "recovery_codes", "sessions")
    ]
    for secret in (GOOD, handed.code, more.code, plain):
        assert secret not in repr(rows)
        assert secret.encode().hex() not in repr(rows)


async def test_a_role_of_another_version_is_nobody(world):
    await world.user("bert")
    await world.database.write(lambda db: db.execute("UPDATE users SET role = 'emperor'"))
    assert await world.users.list() == ()
    assert await world.basic.identity("bert", GOOD, "") is None


CT1 = Scope(studies_from=frozenset({"CT1"}))


async def test_who_is_narrowed_is_so_in_sessions_and_by_password(world):
    await world.user("bert")
    opened = await world.login.with_password("bert", GOOD, HERE)
    changed = await world.users.change("bert", scope=CT1)
    assert changed.scope == CT1
    world.start()
    session = await world.sessions.verify(opened.secret)
    assert session.scope == session.identity.scope == CT1
    found = await world.basic.identity("bert", GOOD, HERE.address)
    assert found.scope == CT1
    assert (await world.users.change("bert", display_name="Bert")).scope == CT1
    assert (await world.users.change("bert", scope=ANYTHING)).scope == ANYTHING


async def test_an_admin_is_not_narrowed_and_who_is_narrowed_becomes_none(world):
    await world.user("anna", Role.ADMIN)
    await world.user("bert")
    with pytest.raises(UserRefused, match="can't be narrowed") as refused:
        await world.users.change("anna", scope=CT1)
    assert refused.value.hint == "give another role first: edge user role anna ROLE"
    await world.users.change("bert", scope=CT1)
    with pytest.raises(UserRefused, match="can't be narrowed") as refused:
        await world.users.change("bert", role=Role.ADMIN)
    assert refused.value.hint == "edge user narrow bert --not first"
    assert (await world.users.find("bert")).role is Role.VIEWER
    changed = await world.users.change("bert", role=Role.ADMIN, scope=ANYTHING)
    assert (changed.role, changed.scope) == (Role.ADMIN, ANYTHING)


async def test_nobody_is_narrowed_to_nothing(world):
    await world.user("bert", Role.PHYSICIAN)
    with pytest.raises(UserRefused, match="would open nothing") as refused:
        await world.users.change("bert", scope=Scope(acts=frozenset({Act.DELETE})))
    assert "edge user disable bert" in refused.value.hint
    assert (await world.users.find("bert")).scope == ANYTHING
    both = Scope(acts=frozenset({Act.DELETE, Act.READ}))
    assert (await world.users.change("bert", scope=both)).scope == both


async def test_a_scope_of_another_version_leaves_nothing(world):
    await world.user("bert")
    opened = await world.login.with_password("bert", GOOD, HERE)
    await world.database.write(lambda db: db.execute("UPDATE users SET scope = '{\"x\": 1}'"))
    world.start()
    assert await world.sessions.verify(opened.secret) is None
    assert await world.basic.identity("bert", GOOD, HERE.address) is None
    with pytest.raises(AccessDenied):
        await world.login.with_password("bert", GOOD, HERE)

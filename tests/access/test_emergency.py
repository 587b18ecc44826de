"""Breaking the glass: who may, by what, for how long, and what the record has of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edge.access.acts import Act, Service
from edge.access.audit.entry import Event, Outcome
from edge.access.audit.folder import AuditFolder
from edge.access.audit.recorder import Audit
from edge.access.audit.search import Asked, search
from edge.access.emergencies import Emergencies
from edge.access.emergency import BreakGlass
from edge.access.roles import Role
from edge.access.scope import ANYTHING, Scope
from edge.access.sessions import Proved
from edge.config import Access, Emergency
from edge.crypto.sealed import Algorithm
from edge.errors import AccessDenied, StorageFull, UserRefused
from edge.index.audit import AuditTable
from edge.index.database import Database
from tests.access.people import GOOD, HERE, OTHER, World

CT1 = Scope(studies_from=frozenset({"CT1"}), acts=frozenset({Act.READ}))
WHY = "Roe^Jane bleeds, and her old CT is needed"
HOUR = 3600.0


class Glass:
    """People, a record, and what breaks the glass, over one index."""

    def __init__(self, world, audit):
        self.world = world
        self.audit = audit
        self.start()

    def start(self):
        """As after a start of the service: nothing is remembered."""
        world = self.world
        world.start()
        self.seconds = 0.0
        self.breaking = BreakGlass(
            world.database,
            world.sessions,
            world.factors,
            self.audit,
            world.settings,
            clock=world.clock,
            monotonic=lambda: self.seconds,
        )
        self.emergencies = Emergencies(world.database, clock=world.clock)

    def passes(self, seconds):
        self.world.clock.now += seconds
        self.seconds += seconds

    async def log_in(self, name="bert"):
        """The secret of a session."""
        return (await self.world.login.with_password(name, GOOD, HERE)).secret

    async def session(self, secret):
        return await self.world.sessions.verify(secret)

    async def begin(self, secret, **said):
        reason = said.pop("reason", WHY)
        return await self.breaking.begin(await self.session(secret), reason, **said)

    async def told(self, event=None, **asked):
        """What the record has, the oldest first."""
        for entry in self.audit._tries.close():
            self.audit.put(entry)
        await self.audit._flush()
        found = await asyncio.to_thread(search, self.audit.folder, Asked(event=event, **asked), 99)
        return found[::-1]


@pytest.fixture
async def glass(tmp_path):
    """Bert, a physician who sees what CT1 sent, and nothing else."""
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        world = World(database)
        folder = AuditFolder(tmp_path / "audit", bytes(32), Algorithm.AES_256_GCM)
        async with Audit(folder, AuditTable(database), clock=world.clock) as audit:
            made = Glass(world, audit)
            await world.user("bert", Role.PHYSICIAN)
            await world.users.change("bert", scope=CT1)
            yield made


async def test_it_opens_reading_and_nothing_else(glass):
    secret = await glass.log_in()
    before = (await glass.session(secret)).identity
    begun = await glass.begin(secret)
    identity = (await glass.session(secret)).identity
    assert identity.emergency == begun.emergency_id
    assert identity.scope == before.scope == CT1
    assert identity.scope_for(Act.READ) == ANYTHING
    assert not before.may(Act.STORE)
    for act in Act:
        assert identity.may(act) is (act is Act.READ)
    identity.enter(Service.CHANGEFEED, Act.READ)


async def test_what_a_role_may_not_stays_so(glass):
    await glass.world.users.change("bert", scope=Scope(services=frozenset({Service.DICOMWEB})))
    secret = await glass.log_in()
    await glass.begin(secret)
    identity = (await glass.session(secret)).identity
    assert not identity.may(Act.ADMINISTER)
    assert not identity.may(Act.DELETE)
    assert identity.may(Act.STORE)
    identity.enter(Service.ADMIN, Act.READ)
    with pytest.raises(AccessDenied, match="for dicomweb only"):
        identity.enter(Service.ADMIN, Act.STORE)


async def test_it_is_of_one_session_alone(glass):
    secret, other = await glass.log_in(), await glass.log_in()
    await glass.begin(secret)
    assert not (await glass.session(other)).emergency
    assert not (await glass.world.basic.identity("bert", GOOD, HERE.address)).emergency


async def test_the_record_has_beginning_and_end_with_the_reason_once(glass, caplog):
    caplog.set_level(logging.DEBUG)
    secret = await glass.log_in()
    begun = await glass.begin(secret, address="192.168.1.30")
    [entry] = await glass.told(Event.OVERRIDE_STARTED)
    assert (entry.reason, entry.outcome, entry.target) == (WHY, Outcome.SUCCESS, begun.emergency_id)
    assert (entry.actor.name, entry.actor.role) == ("bert", "physician")
    assert (entry.actor.address, entry.actor.emergency) == ("192.168.1.30", begun.emergency_id)
    assert entry.detail == {"proved": "password, lately", "minutes": "60"}
    glass.passes(600)
    assert await glass.breaking.end(await glass.session(secret))
    [entry] = await glass.told(Event.OVERRIDE_STOPPED)
    assert (entry.reason, entry.target) == ("ended by hand", begun.emergency_id)
    assert entry.at == glass.world.clock.now
    assert not (await glass.session(secret)).emergency
    assert not await glass.breaking.end(await glass.session(secret))
    assert len(await glass.told(emergency=begun.emergency_id)) == 2
    assert "Jane" not in caplog.text
    assert begun.emergency_id in caplog.text


@pytest.mark.parametrize("reason", ["", "   \n ", "why not", "x" * 501, "line\x00feed of mine"])
async def test_without_a_reason_nothing_opens(glass, reason):
    secret = await glass.log_in()
    with pytest.raises(UserRefused, match="a reason has"):
        await glass.begin(secret, reason=reason)
    assert not (await glass.session(secret)).emergency
    [entry] = await glass.told(Event.OVERRIDE_STARTED)
    assert entry.outcome is Outcome.REFUSED


async def test_a_session_that_was_left_alone_opens_nothing_without_the_password(glass):
    secret = await glass.log_in()
    glass.passes(601)
    for said in ({}, {"password": OTHER}):
        with pytest.raises(AccessDenied, match="needs the password again"):
            await glass.begin(secret, **said)
    assert not (await glass.session(secret)).emergency
    await glass.begin(secret, password=GOOD)
    told = await glass.told(Event.OVERRIDE_STARTED)
    assert [entry.outcome for entry in told].count(Outcome.SUCCESS) == 1
    assert max(entry.times for entry in told if entry.outcome is Outcome.REFUSED) == 2
    [begun] = [entry for entry in told if not entry.outcome]
    assert begun.detail["proved"] == "password, again"
    assert (await glass.session(secret)).emergency


@pytest.mark.parametrize("role", [Role.VIEWER, Role.TECHNOLOGIST])
async def test_roles_that_are_not_named_have_none(glass, role):
    await glass.world.users.change("bert", role=role)
    secret = await glass.log_in()
    assert not glass.breaking.is_possible(await glass.session(secret))
    with pytest.raises(AccessDenied, match="no emergency access"):
        await glass.begin(secret)


async def test_roles_are_named_by_the_configuration(glass):
    for roles, is_possible in (((), False), (("viewer", "technologist"), True)):
        glass.world.settings = Access(emergency=Emergency(roles=roles))
        glass.start()
        await glass.world.users.change("bert", role=Role.VIEWER)
        secret = await glass.log_in()
        assert glass.breaking.is_possible(await glass.session(secret)) is is_possible


async def test_an_admin_gets_nothing_by_it(glass):
    await glass.world.user("anna", Role.ADMIN)
    secret, _ = await glass.world.sessions.open("anna", Role.ADMIN, Proved.PASSKEY, HERE)
    with pytest.raises(AccessDenied, match="no emergency access"):
        await glass.begin(secret)


async def test_who_may_read_everything_has_nothing_to_open(glass):
    await glass.world.users.change("bert", scope=Scope(networks=("192.168.1.0/24",)))
    secret = await glass.log_in()
    with pytest.raises(UserRefused, match="nothing to open"):
        await glass.begin(secret)


async def test_no_other_network_is_opened(glass):
    scope = Scope(networks=("10.0.0.0/8",), studies_from=CT1.studies_from)
    await glass.world.users.change("bert", scope=scope)
    secret = await glass.log_in()
    session = await glass.session(secret)
    assert glass.breaking.is_possible(session, "10.0.0.7")
    assert not glass.breaking.is_possible(session, HERE.address)
    with pytest.raises(UserRefused, match=r"from 10\.0\.0\.0/8 alone") as refused:
        await glass.begin(secret, address=HERE.address)
    assert "no other network" in refused.value.hint
    assert await glass.begin(secret, address="10.0.0.7")


async def test_a_second_one_of_a_session_is_refused(glass):
    secret = await glass.log_in()
    session = await glass.session(secret)
    await glass.begin(secret)
    with pytest.raises(UserRefused, match="open already"):
        await glass.begin(secret)
    with pytest.raises(AccessDenied, match="open already"):  # of two that came together
        await glass.breaking.begin(session, WHY)
    [failed] = await glass.told(Event.OVERRIDE_STOPPED)
    assert failed.outcome is Outcome.FAILED
    assert len(await glass.emergencies.list()) == 1


async def test_what_can_not_be_recorded_does_not_open(glass):
    secret = await glass.log_in()
    glass.audit.trouble = "the disk is full"
    with pytest.raises(StorageFull):
        await glass.begin(secret)
    assert not (await glass.session(secret)).emergency
    assert await glass.emergencies.list() == ()


async def test_it_ends_at_its_time_to_the_second(glass):
    secret = await glass.log_in()
    begun = await glass.begin(secret)
    for _ in range(3):
        glass.passes(HOUR / 4)
        assert (await glass.session(secret)).emergency
    glass.passes(HOUR / 4 - 1)
    assert (await glass.session(secret)).emergency
    glass.passes(1)
    assert not (await glass.session(secret)).emergency
    glass.passes(100)
    assert not await glass.breaking.look()
    [entry] = await glass.told(Event.OVERRIDE_STOPPED)
    assert (entry.reason, entry.at) == ("its time is over", begun.began + HOUR)
    assert not await glass.breaking.look()
    assert len(await glass.told(Event.OVERRIDE_STOPPED)) == 1


async def test_a_clock_that_is_set_back_makes_it_no_longer(glass):
    secret = await glass.log_in()
    await glass.begin(secret)
    for _ in range(4):
        glass.passes(HOUR / 4)
        assert await glass.session(secret)
        glass.world.clock.now -= HOUR / 4
    assert not await glass.breaking.look()
    assert not (await glass.session(secret)).emergency


async def test_it_ends_with_its_session_however_that_ends(glass):
    endings = (
        lambda session: glass.world.sessions.end(session.session_id, "bert"),
        lambda _: glass.world.sessions.end_all("bert"),
        lambda _: glass.world.users.change("bert", disabled=True),
    )
    for number, ending in enumerate(endings, 1):
        secret = await glass.log_in()
        await glass.begin(secret)
        assert await glass.breaking.look()
        await ending(await glass.session(secret))
        assert not await glass.breaking.look()
        ends = await glass.told(Event.OVERRIDE_STOPPED)
        assert len(ends) == number
        assert ends[-1].reason == "the session ended"


async def test_it_ends_when_the_session_is_idle(glass):
    secret = await glass.log_in()
    await glass.begin(secret)
    glass.passes(31 * 60)
    assert await glass.session(secret) is None
    assert not await glass.breaking.look()
    [entry] = await glass.told(Event.OVERRIDE_STOPPED)
    assert entry.reason == "the session ended"


async def test_another_password_is_another_session_and_ends_it(glass):
    secret = await glass.log_in()
    await glass.begin(secret)
    opened = await glass.world.login.change_password(await glass.session(secret), GOOD, OTHER)
    assert not opened.session.emergency
    assert not await glass.breaking.look()


async def test_a_restart_neither_ends_nor_prolongs_it(glass):
    secret = await glass.log_in()
    begun = await glass.begin(secret)
    glass.passes(HOUR / 4)
    glass.start()
    assert await glass.breaking.look()
    assert (await glass.session(secret)).emergency_until == begun.until
    glass.world.clock.now = begun.until + 7 * HOUR  # it is off for a while
    glass.start()
    assert not await glass.breaking.look()
    [entry] = await glass.told(Event.OVERRIDE_STOPPED)
    assert entry.at == begun.until


async def test_an_end_that_could_not_be_recorded_is_told_later_and_shuts_at_once(glass):
    secret = await glass.log_in()
    await glass.begin(secret)

    async def full(_):
        raise StorageFull("the disk is full")

    glass.audit.record, record = full, glass.audit.record
    with pytest.raises(StorageFull):
        await glass.breaking.end(await glass.session(secret))
    assert not (await glass.session(secret)).emergency
    glass.audit.record = record
    glass.start()
    await glass.breaking.look()
    [entry] = await glass.told(Event.OVERRIDE_STOPPED)
    assert entry.reason == "ended by hand"


async def test_the_part_ends_what_is_over_without_being_asked(glass):
    secret = await glass.log_in()
    await glass.begin(secret)
    glass.passes(HOUR)
    glass.audit.written.clear()
    running = asyncio.create_task(glass.breaking.run())
    async with asyncio.timeout(60):
        await glass.audit.written.wait()
    running.cancel()
    [entry] = await glass.told(Event.OVERRIDE_STOPPED)
    assert entry.reason == "its time is over"


async def test_it_is_an_alarm_until_another_admin_has_looked(glass, caplog):
    secret = await glass.log_in()
    begun = await glass.begin(secret)
    with pytest.raises(UserRefused, match="still open"):
        await glass.emergencies.looked(begun.emergency_id, "anna")
    await glass.breaking.end(await glass.session(secret))
    with pytest.raises(UserRefused, match="their own"):
        await glass.emergencies.looked(begun.emergency_id, "bert")
    with pytest.raises(UserRefused, match="no emergency access"):
        await glass.emergencies.looked("0123456789ab", "anna")
    seen = await glass.emergencies.looked(begun.emergency_id, "anna")
    assert (seen.seen, seen.seen_by) == (glass.world.clock.now, "anna")
    glass.passes(60)
    caplog.clear()
    assert (await glass.emergencies.looked(begun.emergency_id, "carla")).seen_by == "anna"
    assert "carla" not in caplog.text


async def test_nobody_fills_the_record_while_no_admin_looks(glass, monkeypatch):
    monkeypatch.setattr("edge.access.emergency._MOST_UNSEEN", 2)
    secret = await glass.log_in()
    for _ in range(2):
        begun = await glass.begin(secret)
        await glass.breaking.end(await glass.session(secret))
    with pytest.raises(UserRefused, match="2 times since an admin looked"):
        await glass.begin(secret)
    await glass.emergencies.looked(begun.emergency_id, "anna")
    await glass.begin(secret)


async def test_whom_a_provider_vouches_for_needs_nothing_of_it(glass):
    """The line is down: their session is enough within the grace, and the record says so."""
    world = glass.world
    issuer = "https://idp.example"
    world.settings = Access(oidc=world.settings.oidc.__class__(issuer=issuer, client_id="edge"))
    glass.start()
    await world.database.write(
        lambda db: db.execute(
            "INSERT INTO identities (issuer, subject, name, display_name, role, vouched, scope)"
            " VALUES (?, 'c1', 'oidc:carla', '', 'physician', ?, ?)",
            (issuer, world.clock.now, CT1.write()),
        )
    )
    secret, _ = await world.sessions.open(
        "oidc:carla", Role.PHYSICIAN, Proved.PROVIDER, HERE, issuer=issuer
    )
    glass.passes(20 * 60)
    begun = await glass.begin(secret)
    assert begun.proved == "session"
    assert (await glass.session(secret)).identity.scope_for(Act.READ) == ANYTHING
    await world.database.write(lambda db: db.execute("UPDATE identities SET vouched = 0"))
    glass.start()
    assert await glass.session(secret) is None
    assert not await glass.breaking.look()

"""Tokens: shown once, kept as a hash, worthless once revoked."""

import asyncio
import hashlib
import time
from dataclasses import replace

import pytest

from edge.access.acts import Act, Service
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import Scope
from edge.access.tokens import Tokens
from edge.errors import AccessDenied
from edge.index.tokens import TokenRow

DAY = 86400.0


class MemoryStore:
    """Rows of tokens in memory, and how often they were looked for."""

    def __init__(self):
        self.rows = {}
        self.digests = {}
        self.lookups = 0
        self.written = []
        self.looking = asyncio.Event()
        self.hold = None

    async def insert(self, row, digest):
        assert row.token_id not in self.rows
        self.rows[row.token_id] = row
        self.digests[digest] = row.token_id

    async def find(self, digest):
        self.lookups += 1
        self.looking.set()
        found = self.rows.get(self.digests.get(digest))
        if self.hold is not None:
            await self.hold.wait()
        return found

    async def all(self):
        return list(self.rows.values())

    async def used(self, uses):
        for token_id, day, address in uses:
            self.written.append((token_id, day, address))
            row = self.rows[token_id]
            self.rows[token_id] = replace(row, used_day=day, used_from=address)

    async def delete(self, token_id):
        return self.rows.pop(token_id, None) is not None


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def now():
    """The time of day, which stands still unless it is set."""
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture
def tokens(store, clock, now):
    return Tokens(store, clock=clock, now=now)


async def test_a_token_says_who_holds_it(tokens):
    secret = await tokens.create(Role.PHYSICIAN, "Reading room")
    identity = await tokens.verify(secret)
    assert identity is not None
    assert (identity.name, identity.role) == ("Reading room", Role.PHYSICIAN)
    assert [info.token_id for info in await tokens.list()] == [identity.token_id]


async def test_a_token_has_256_bits_and_a_prefix(tokens):
    secrets = {await tokens.create(Role.VIEWER, "x") for _ in range(20)}
    assert len(secrets) == 20
    assert all(secret.startswith("edge_") and len(secret) == 5 + 43 for secret in secrets)


async def test_only_a_hash_is_kept(tokens, store):
    secret = await tokens.create(Role.VIEWER, "x")
    (row,) = store.rows.values()
    assert list(store.digests) == [hashlib.sha256(secret.encode()).digest()]
    assert secret[5:] not in repr(row)
    assert secret[5:] not in repr(await tokens.list())


@pytest.mark.parametrize(
    "offered",
    ["", "edge_", "edge_" + "A" * 43, "edge_" + "A" * 42 + "\n", "Bearer x", "é" * 48, "A" * 10**6],
)
async def test_what_is_no_token_is_nobody(tokens, offered):
    await tokens.create(Role.ADMIN, "x")
    assert await tokens.verify(offered) is None


async def test_what_can_be_no_token_is_not_even_looked_up(tokens, store):
    await tokens.verify("edge_" + "A" * 42)
    await tokens.verify("A" * 48)
    assert store.lookups == 0


async def test_a_changed_token_is_nobody(tokens):
    secret = await tokens.create(Role.ADMIN, "x")
    assert await tokens.verify(secret[:-1] + ("A" if secret[-1] != "A" else "B")) is None
    assert await tokens.verify(secret.swapcase()) is None


async def test_a_revoked_token_is_nobody_at_once(tokens):
    secret = await tokens.create(Role.VIEWER, "x")
    identity = await tokens.verify(secret)
    assert await tokens.revoke(identity.token_id)
    assert await tokens.verify(secret) is None
    assert not await tokens.revoke(identity.token_id)


async def test_a_token_revoked_during_its_lookup_is_not_remembered(tokens, store):
    secret = await tokens.create(Role.VIEWER, "x")
    store.hold = asyncio.Event()
    lookup = asyncio.ensure_future(tokens.verify(secret))
    await store.looking.wait()
    (token_id,) = store.rows
    await tokens.revoke(token_id)
    store.hold.set()
    await lookup
    assert await tokens.verify(secret) is None


async def test_a_viewer_asking_often_costs_one_lookup(tokens, store, clock):
    secret = await tokens.create(Role.VIEWER, "x")
    for _ in range(100):
        assert await tokens.verify(secret)
    assert store.lookups == 1
    clock.now += 2.1
    assert await tokens.verify(secret)
    assert store.lookups == 2


async def test_a_token_revoked_by_another_process_dies_soon(tokens, store, clock):
    secret = await tokens.create(Role.VIEWER, "x")
    assert await tokens.verify(secret)
    store.rows.clear()
    clock.now += 2.1
    assert await tokens.verify(secret) is None


async def test_strangers_fill_no_memory(tokens):
    for number in range(50):
        await tokens.verify("edge_" + f"{number:043}")
    assert len(tokens._accepted) == 0


async def test_many_holders_fill_little_memory(tokens):
    for _ in range(1100):
        await tokens.verify(await tokens.create(Role.VIEWER, "x"))
    assert len(tokens._accepted) <= 1024


async def test_a_role_of_another_version_opens_nothing(tokens, store):
    secret = await tokens.create(Role.VIEWER, "x")
    (row,) = store.rows.values()
    store.rows[row.token_id] = replace(row, role="emperor")
    assert await tokens.verify(secret) is None
    assert await tokens.list() == ()


@pytest.mark.parametrize("name", ["", "x" * 65, "two\nlines", "bell\x07"])
async def test_a_name_that_could_forge_a_log_line_is_refused(tokens, name):
    with pytest.raises(ValueError, match="printable"):
        await tokens.create(Role.VIEWER, name)


async def test_tokens_are_listed_oldest_first(tokens, store):
    for number, created in enumerate((3.0, 1.0, 2.0)):
        row = TokenRow(f"id{number}", "viewer", f"n{number}", created)
        await store.insert(row, bytes([number]))
    assert [info.created for info in await tokens.list()] == [1.0, 2.0, 3.0]
    assert all(isinstance(info.role, Role) for info in await tokens.list())


async def test_an_identity_is_a_value(tokens):
    assert Identity("a", Role.VIEWER, "1") == Identity("a", Role.VIEWER, "1")


async def test_a_token_ends_when_it_was_said_and_not_two_seconds_later(tokens, store, now):
    secret = await tokens.create(Role.VIEWER, "x", days=1)
    now.now += DAY - 0.5
    assert await tokens.verify(secret)  # and it is remembered from here on
    now.now += 0.5
    assert await tokens.verify(secret) is None
    assert store.lookups == 1
    (info,) = await tokens.list()
    assert tokens.has_ended(info)


async def test_unless_it_is_said_a_token_ends_after_a_year(tokens, now):
    secret = await tokens.create(Role.VIEWER, "x")
    now.now += 364.9 * DAY
    assert await tokens.verify(secret)
    now.now += 0.2 * DAY
    assert await tokens.verify(secret) is None


async def test_a_token_without_end_is_made_expressly(tokens, now):
    secret = await tokens.create(Role.VIEWER, "x", days=None)
    now.now += 100 * 365 * DAY
    assert await tokens.verify(secret)


@pytest.mark.parametrize("days", [0.0, -1.0, 3651.0, float("nan"), float("inf")])
async def test_a_life_that_can_not_be_meant_is_refused(tokens, days):
    with pytest.raises(ValueError, match="days"):
        await tokens.create(Role.VIEWER, "x", days=days)


async def test_what_another_process_revoked_is_forgotten_when_that_is_told(tokens, store):
    secret = await tokens.create(Role.VIEWER, "x")
    assert await tokens.verify(secret)
    store.rows.clear()
    tokens.forget()
    assert await tokens.verify(secret) is None


async def test_a_token_is_worth_nothing_from_elsewhere_remembered_or_not(tokens):
    scope = Scope(networks=("192.168.7.0/24", "fd00::/8"))
    secret = await tokens.create(Role.VIEWER, "x", scope=scope)
    for address in ("10.0.0.1", "", "192.168.8.1", "::ffff:10.0.0.1", "2001:db8::1", "no address"):
        assert await tokens.verify(secret, address) is None
    for address in ("192.168.7.9", "::ffff:192.168.7.9", "fd00::1%eth0"):
        assert await tokens.verify(secret, address)
    assert await tokens.verify(secret, "10.0.0.1") is None


async def test_a_narrowed_token_enters_its_services_and_does_its_acts(tokens):
    scope = Scope(frozenset({Service.DICOMWEB}), frozenset({Act.STORE, Act.DELETE}))
    identity = await tokens.verify(await tokens.create(Role.SERVICE, "CT gateway", scope=scope))
    identity.enter(Service.DICOMWEB)
    identity.require(Act.STORE)
    for other in (Service.ADMIN, Service.CHANGEFEED, None):
        with pytest.raises(AccessDenied, match="for dicomweb only") as caught:
            identity.enter(other)
        assert caught.value.known
    with pytest.raises(AccessDenied, match="may not read"):
        identity.require(Act.READ)
    with pytest.raises(AccessDenied, match="is service and may not delete"):
        identity.require(Act.DELETE)  # a scope gives nothing that the role does not


async def test_what_an_entity_stores_comes_from_it(tokens):
    secret = await tokens.create(Role.SERVICE, "gateway", scope=Scope(ae_title="CT1"))
    assert (await tokens.verify(secret)).sender == "CT1"
    secret = await tokens.create(Role.SERVICE, "gateway")
    assert (await tokens.verify(secret)).sender == "gateway"


async def test_a_token_that_would_open_nothing_is_not_made(tokens):
    with pytest.raises(ValueError, match="open nothing"):
        await tokens.create(Role.VIEWER, "x", scope=Scope(acts=frozenset({Act.DELETE})))


@pytest.mark.parametrize("scope", ["", "[]", "{", '{"planets": ["mars"]}', '{"acts": ["fly"]}'])
async def test_a_scope_of_another_version_opens_nothing(tokens, store, scope):
    secret = await tokens.create(Role.ADMIN, "x")
    (row,) = store.rows.values()
    store.rows[row.token_id] = replace(row, scope=scope)
    assert await tokens.verify(secret) is None
    assert await tokens.list() == ()


WIDER = [
    (Role.ADMIN, Scope()),
    (Role.SERVICE, Scope()),
    (Role.ADMIN, Scope(acts=frozenset({Act.ADMINISTER, Act.DELETE}))),
    (Role.VIEWER, Scope(frozenset({Service.DICOMWEB}), frozenset({Act.READ}))),
    (Role.VIEWER, Scope(frozenset({Service.ADMIN}), networks=("192.168.0.0/16",))),
    (Role.VIEWER, Scope(frozenset({Service.ADMIN}), networks=("192.168.7.9", "10.0.0.1"))),
    (Role.VIEWER, Scope(frozenset({Service.ADMIN}))),
]


@pytest.mark.parametrize(("role", "scope"), WIDER)
async def test_who_was_narrowed_makes_no_token_that_is_wider(tokens, role, scope):
    narrow = Scope(
        frozenset({Service.ADMIN}),
        frozenset({Act.READ, Act.ADMINISTER}),
        networks=("192.168.7.0/24",),
    )
    maker = Identity("narrow", Role.ADMIN, proof=Proof.SESSION, scope=narrow)
    with pytest.raises(AccessDenied, match="may more than narrow"):
        await tokens.create(role, "x", scope=scope, days=1, maker=maker)
    scope = Scope(frozenset({Service.ADMIN}), networks=("192.168.7.128/25",))
    assert await tokens.create(Role.VIEWER, "x", scope=scope, days=1, maker=maker)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
async def test_a_token_makes_no_other(tokens, role):
    maker = await tokens.verify(await tokens.create(Role.ADMIN, "x", days=30))
    with pytest.raises(AccessDenied, match="no token makes another") as caught:
        await tokens.create(role, "y", days=1, maker=maker)
    assert caught.value.known
    assert len(await tokens.list()) == 1


async def test_no_secret_stands_in_what_is_written_of_a_new_token(tokens):
    made = await tokens.issue(Role.VIEWER, "x")
    assert made.secret not in repr(made)


async def test_when_a_token_was_used_is_shown_at_once_and_written_later(tokens, store, now, clock):
    secret = await tokens.create(Role.VIEWER, "x")
    for _ in range(100):
        await tokens.verify(secret, "192.168.7.9")
        clock.now += 1.0
    assert store.written == []
    today = time.strftime("%Y-%m-%d", time.localtime(now.now))
    (info,) = await tokens.list()
    assert (info.used_day, info.used_from) == (today, "192.168.7.9")
    await tokens.uses.flush()
    assert store.written == [(info.token_id, today, "192.168.7.9")]


async def test_who_offers_a_token_that_is_not_valid_is_not_noted(tokens, store, now):
    secret = await tokens.create(Role.VIEWER, "x", days=1, scope=Scope(networks=("10.0.0.1",)))
    await tokens.verify(secret, "10.0.0.2")
    now.now += 2 * DAY
    await tokens.verify(secret, "10.0.0.1")
    await tokens.uses.flush()
    assert store.written == []

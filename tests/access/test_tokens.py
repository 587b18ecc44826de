"""Tokens: shown once, kept as a hash, worthless once revoked."""

import asyncio
import hashlib
from dataclasses import dataclass

import pytest

from edge.access.roles import Identity, Role
from edge.access.tokens import Tokens


@dataclass(frozen=True)
class Row:
    token_id: str
    digest: bytes
    role: str
    name: str
    created: float


class MemoryStore:
    """Rows of tokens in memory, and how often they were looked for."""

    def __init__(self):
        self.rows = {}
        self.lookups = 0
        self.looking = asyncio.Event()
        self.hold = None

    async def insert(self, token_id, digest, role, name, created):
        assert token_id not in self.rows
        self.rows[token_id] = Row(token_id, digest, role, name, created)

    async def find(self, digest):
        self.lookups += 1
        self.looking.set()
        found = next((row for row in self.rows.values() if row.digest == digest), None)
        if self.hold is not None:
            await self.hold.wait()
        return found

    async def all(self):
        return list(self.rows.values())

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
def tokens(store, clock):
    return Tokens(store, clock=clock)


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
    assert row.digest == hashlib.sha256(secret.encode()).digest()
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
    store.rows[row.token_id] = Row(row.token_id, row.digest, "emperor", row.name, row.created)
    assert await tokens.verify(secret) is None
    assert await tokens.list() == ()


@pytest.mark.parametrize("name", ["", "x" * 65, "two\nlines", "bell\x07"])
async def test_a_name_that_could_forge_a_log_line_is_refused(tokens, name):
    with pytest.raises(ValueError, match="printable"):
        await tokens.create(Role.VIEWER, name)


async def test_tokens_are_listed_oldest_first(tokens, store):
    for number, created in enumerate((3.0, 1.0, 2.0)):
        await store.insert(f"id{number}", bytes([number]), "viewer", f"n{number}", created)
    assert [info.created for info in await tokens.list()] == [1.0, 2.0, 3.0]
    assert all(isinstance(info.role, Role) for info in await tokens.list())


async def test_an_identity_is_a_value(tokens):
    assert Identity("a", Role.VIEWER, "1") == Identity("a", Role.VIEWER, "1")

"""A provider, and the way in by it, over a real index."""

from __future__ import annotations

import pytest

from edge.access.oidc.channel import Channel
from edge.access.oidc.login import ProviderLogIn
from edge.access.oidc.provider import Provider
from edge.access.oidc.sealing import Seal
from edge.access.oidc.vouching import Vouching
from edge.config import Access
from edge.others import Oidc
from tests.access.oidc.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider
from tests.access.people import HERE, World

BACK = "https://edge.local:8443/login/oidc/back"
ROLES = {"grp-radiology": "physician", "grp-it": "admin", "grp-all": "viewer"}


class Way:
    """All parts of the log-in at a provider; times are those of ``clock``."""

    def __init__(self, fake, world, **settings):
        self.fake = fake
        oidc = Oidc(
            issuer=fake.issuer,
            **{
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "roles": ROLES,
                **settings,
            },
        )
        world.settings = Access(oidc=oidc)
        world.start()
        self.world, self.clock = world, world.clock
        fake.clock = world.clock
        self.seal = Seal(bytes(32))
        self.recorded = []
        self.start()

    def start(self, seconds=10.0):
        """As after a start of the service."""
        self.world.start()
        access = self.world.settings
        clocks = {"clock": self.clock, "monotonic": self.clock}
        self.provider = Provider(access.oidc, Channel(access.oidc, seconds=seconds), **clocks)
        means = self.world.database, self.world.sessions, self.provider, access, self.seal
        self.login = ProviderLogIn(*means, self.world.throttle, clock=self.clock)
        self.vouching = Vouching(*means, self.recorded.append, clock=self.clock)

    async def enter(self, subject="sub-anna", **changed):
        """Log in, from the beginning to the end."""
        begun = await self.login.begin(BACK)
        said = self.fake.log_in(begun.url, subject, **changed)
        return await self.login.end(said, begun.cookie, HERE)


@pytest.fixture
async def fake():
    async with FakeProvider() as provider:
        yield provider


@pytest.fixture
async def way(fake, database):
    return Way(fake, World(database))

"""People and what lets them in, over a real index, with a clock that is set and cheap hashes."""

from __future__ import annotations

from base64 import b32decode, b64encode

from edge.access import totp
from edge.access.basic import Basic
from edge.access.factors import Factors
from edge.access.gate import Gate, People
from edge.access.login import LogIn
from edge.access.passkeys import Passkeys
from edge.access.passwords import Cost, Passwords
from edge.access.proving import Proving
from edge.access.roles import Role
from edge.access.sessions import Proved, Sessions, Visitor, cookie_name
from edge.access.throttle import Throttle
from edge.access.tokens import Tokens
from edge.access.users import Users
from edge.config import Access
from edge.index.tokens import TokenTable

CHEAP = Cost(memory_kib=64, iterations=1)
GOOD = "seven quiet lamps"
OTHER = "under the green bridge"
HERE = Visitor("192.168.1.20", "a browser")
ELSEWHERE = Visitor("192.168.1.99", "another")
COOKIE = cookie_name(tls=True)


class Clock:
    """POSIX seconds that are set; monotonic ones, too."""

    def __init__(self, now=1_900_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


class CountedPasswords(Passwords):
    """How often a hash was made or compared."""

    def __init__(self, cost=CHEAP):
        super().__init__(cost)
        self.count = 0

    async def hash(self, password):
        self.count += 1
        return await super().hash(password)

    async def fits(self, password, kept):
        self.count += 1
        return await super().fits(password, kept)


class World:
    """All parts of the way in."""

    def __init__(self, database, settings=None, clock=None):
        self.database = database
        self.clock = clock or Clock()
        self.settings = settings or Access()
        self.passwords = CountedPasswords()
        self.throttle = Throttle(clock=self.clock)
        self.users = Users(database, self.passwords, box="edge", clock=self.clock)
        self.tokens = Tokens(TokenTable(database), remember_seconds=0)
        self.start()

    def start(self):
        """As after a start: nothing is remembered."""
        clocks = {"clock": self.clock, "monotonic": self.clock}
        self.sessions = Sessions(self.database, self.settings, **clocks)
        self.proving = Proving(self.database, self.passwords, self.throttle, **clocks)
        self.basic = Basic(self.database, self.proving, self.settings, monotonic=self.clock)
        parts = self.proving, self.throttle, self.settings
        self.factors = Factors(self.database, *parts, box="edge", clock=self.clock)
        self.login = LogIn(
            self.database, self.users, self.sessions, self.proving, self.factors, self.throttle
        )
        self.passkeys = Passkeys(
            self.database, self.factors, self.throttle, box="edge", clock=self.clock
        )
        people = People(self.basic, self.sessions, self.throttle, COOKIE)
        self.gate = Gate(self.tokens, required=True, people=people)

    async def user(self, name, role=Role.VIEWER, password=GOOD):
        """Somebody who has redeemed their invitation, from nowhere."""
        handed = await self.users.add(name, role)
        return await self.users.redeem(handed.code, password)

    async def with_app(self, name, role=Role.VIEWER, password=GOOD):
        """Somebody who has an app for codes, with its secret and the recovery codes."""
        await self.user(name, role, password)
        opened = await self.login.with_password(name, password, HERE)
        new = await self.factors.begin_totp(opened.session, "")
        secret = b32decode(new.secret)
        given = await self.factors.confirm_totp(opened.session, self.code(secret))
        await self.login.enrolled(opened.session, Proved.TOTP)
        self.clock.now += 60
        return secret, given

    def code(self, secret, later=0.0):
        """What an app shows."""
        return totp.code_of(secret, int((self.clock.now + later) // totp.SECONDS))

    def cookie(self, secret):
        return {"Cookie": f"{COOKIE}={secret}"}


def basic(name, password):
    said = b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {said}"}

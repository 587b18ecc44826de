"""An identity provider that answers whatever it likes, from a log-in to the question a while later.

Nobody comes in for whom it does not vouch in a right token, and no answer is more than refused: it
is asked through the product's own client, over a network that is none.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
from hypothesis import strategies as st

from edge.access.audit.entry import Entry
from edge.access.oidc.channel import Channel
from edge.access.oidc.login import Begun, ProviderLogIn
from edge.access.oidc.people import ProviderPeople
from edge.access.oidc.provider import Provider
from edge.access.oidc.sealing import Seal
from edge.access.oidc.vouching import Vouching
from edge.config import Access
from edge.errors import AccessDenied, IssuerError
from edge.index.database import Database
from edge.others import Oidc
from tests.access.oidc.provider import RSA_KEYS
from tests.access.people import HERE, World
from tests.fuzz import identities, trees
from tests.fuzz.identities import CLIENT, ISSUER, Turned, turns
from tests.fuzz.targets import Target

BACK = "https://box.local:8443/login/oidc/back"
TOKENS = {
    "access_token": "a token",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "another",
    "id_token": "TOKEN",
}
USER = {"sub": "4711", "groups": ["doctors"], "name": "Jane"}
_NONCE = b'"nonce": "n"'


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    kind: str
    body: Turned


@dataclass(frozen=True)
class Answers:
    """All that it answers."""

    metadata: Said
    keys: Said
    tokens: Said
    user: Said
    claims: Turned
    """Of the ID token, which is signed as it should be."""
    back: tuple[tuple[str, str], ...]
    """What the browser brings back otherwise."""
    client_auth: str


class _Net(httpx.AsyncBaseTransport):
    """Where the provider is all there is."""

    def __init__(self) -> None:
        self.said: Answers | None = None
        self.nonce = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        said = self.said
        assert said is not None
        path = request.url.path
        one = said.metadata
        if path.endswith("/jwks"):
            one = said.keys
        elif path.endswith("/token"):
            one = said.tokens
        elif path.endswith("/userinfo"):
            one = said.user
        body = identities.with_key(one.body.text())
        if b"TOKEN" in body:
            body = body.replace(b"TOKEN", self._token(said).encode("ascii"))
        headers = {"Content-Type": one.kind.encode("latin-1"), "Location": ISSUER}
        return httpx.Response(one.status, headers=headers, content=body)

    def _token(self, said: Answers) -> str:
        nonce = b'"nonce": ' + json.dumps(self.nonce).encode()
        body = said.claims.text().replace(_NONCE, nonce)
        header = {"kid": "k1", "alg": "RS256"}
        return jwt.api_jws.encode(body, RSA_KEYS[0], algorithm="RS256", headers=header)


class _Channel(Channel):
    """Over it."""

    def __init__(self, settings: Oidc, net: _Net) -> None:
        super().__init__(settings)
        self._net = net

    def _connect(self, url: httpx.URL) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._net)


@contextmanager
def _provider() -> Iterator[Callable[[Any], None]]:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        stack, net = AsyncExitStack(), _Net()
        path = Path(folder) / "index.db"
        database = runner.run(stack.enter_async_context(Database(path, bytes(32))))

        async def act(example: Answers) -> None:
            net.said = example
            world = World(database)
            world.clock.now = identities.NOW
            oidc = Oidc(
                issuer=ISSUER,
                client_id=CLIENT,
                client_secret="s3cret:\u00e4",
                client_auth=example.client_auth,  # type: ignore[arg-type]
                roles={"doctors": "physician", "it": "admin"},
                role_claim="groups",
                admin_max_age_minutes=60,
            )
            world.settings = Access(oidc=oidc)
            world.start()
            clocks = {"clock": world.clock, "monotonic": world.clock}
            provider = Provider(oidc, _Channel(oidc, net), **clocks)
            means = database, world.sessions, provider, world.settings, Seal(bytes(32))
            login = ProviderLogIn(*means, world.throttle, clock=world.clock)
            with suppress(IssuerError, AccessDenied):
                begun = await login.begin(BACK)
                asked = dict(parse_qsl(urlsplit(begun.url).query))
                net.nonce = asked.get("nonce", "")
                state = asked.get("state", "")
                back = {"code": "c", "state": state, "iss": ISSUER, **dict(example.back)}
                opened = await login.end(back, begun.cookie, HERE)
                if not isinstance(opened, Begun):
                    assert back["state"] == state
                    assert json.loads(example.claims.text())["iss"] == ISSUER
                    assert opened.session.name.isprintable()
            world.clock.now += oidc.recheck_minutes * 60.0
            entries = list[Entry]()
            await Vouching(*means, entries.append, clock=world.clock).look()
            for entry in entries:
                assert Entry.from_bytes(entry.to_bytes(), entry.number) == entry
            people = ProviderPeople(database)
            for known in await people.list():
                known.name.encode()
                await people.remove(known.name)

        try:
            yield lambda example: runner.run(act(example))
        finally:
            runner.run(stack.aclose())


# Examples

_BARE = {name: value for name, value in identities.CLAIMS.items() if name != "groups"}
"""Who it is stands at UserInfo."""


def _claims(right: Any) -> st.SearchStrategy[Turned]:
    return st.one_of(st.just(Turned(json.dumps(right), ())), turns(right))


def _answers(right: Any) -> st.SearchStrategy[Said]:
    plain = Said(200, "application/json", Turned(json.dumps(right), ()))
    return st.one_of(
        *[st.just(plain)] * 3,
        st.builds(
            Said,
            st.sampled_from((200, 200, 200, 200, 201, 204, 302, 400, 401, 404, 429, 500, 503)),
            st.sampled_from(
                (*["application/json"] * 3, "application/jwt", "text/html", "", "a;\xff")
            ),
            turns(right),
        ),
    )


def _examples() -> st.SearchStrategy[Answers]:
    back = st.dictionaries(
        st.sampled_from(("code", "state", "iss", "error", "error_description", "session_state")),
        st.sampled_from((*trees.TEXTS, ISSUER, "access_denied", "\ufffd")),
        max_size=2,
    ).map(lambda said: tuple(said.items()))
    return st.builds(
        Answers,
        _answers(identities.METADATA),
        _answers(identities.PUBLISHED),
        _answers(TOKENS),
        _answers(USER),
        st.one_of(*map(_claims, (identities.CLAIMS, _BARE))),
        st.one_of(*[st.just(())] * 4, back),
        st.sampled_from(("basic", "body", "none")),
    )


VOUCHING = (Target("provider", st.deferred(_examples), _provider, Answers),)

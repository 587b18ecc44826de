"""What others vouch for: identity providers by their tokens, devices by their passkeys, servers by
the keys that they give back. All of it is nearly right, and none of it may be believed but what is.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cbor2
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import strategies as st

from edge.access import webauthn
from edge.access.oidc.channel import Answer
from edge.access.oidc.id_token import checked, keys_in
from edge.access.oidc.meaning import check_admin, has_role_claim, names_of, role_of
from edge.access.oidc.provider import _metadata
from edge.access.webauthn import Site, WrongAnswer
from edge.config import Access
from edge.crypto import tang
from edge.errors import AccessDenied, IssuerError, KeyUnavailable, UserRefused
from edge.others import Oidc
from tests.access.authenticator import Authenticator, data, text
from tests.access.oidc.provider import RSA_KEYS
from tests.fuzz import trees
from tests.fuzz.mutation import Change, changes, mutated
from tests.fuzz.targets import reader

NOW = 1.8e9
ISSUER, CLIENT = "https://issuer.example", "edge"
OIDC = Oidc(
    issuer=ISSUER,
    client_id=CLIENT,
    roles={"doctors": "physician", "it": "admin"},
    role_claim="groups",
    admin_max_age_minutes=60,
)


@dataclass(frozen=True)
class Turned:
    """What a tree was made to say, and what became of its text."""

    tree: str
    some: tuple[Change, ...]

    def text(self) -> bytes:
        return mutated(self.tree.encode("utf-8", "surrogatepass"), self.some)


@dataclass(frozen=True)
class Vouched:
    """An answer of somebody who vouches."""

    who: str
    said: Turned
    other: Turned
    """Of a provider, its keys; of a device, which member of its answer is another."""
    is_signed: bool
    """Signatures are right."""


def _vouched(example: Vouched) -> None:
    {
        "token": _token,
        "metadata": _provider,
        "device": _device,
        "advertisement": _advertisement,
        "server": _server,
    }[example.who](example)


# An identity provider

CLAIMS = {
    "iss": ISSUER,
    "aud": CLIENT,
    "sub": "4711",
    "exp": NOW + 86400,
    "iat": NOW,
    "nonce": "n",
    "groups": ["doctors", "it"],
    "amr": ["mfa"],
    "auth_time": NOW - 5,
    "preferred_username": "Jane",
    "name": "Jane",
    "email": "jane@example.org",
}
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "jwks_uri": f"{ISSUER}/jwks",
    "scopes_supported": ["openid"],
    "authorization_response_iss_parameter_supported": True,
}


PUBLISHED = {"keys": [{"kty": "RSA", "kid": "k1", "use": "sig", "n": "MODULUS", "e": "AQAB"}]}


def with_key(text: bytes) -> bytes:
    """The key of this run in its place: each has another."""
    return text.replace(b"MODULUS", _modulus())


@functools.cache
def _modulus() -> bytes:
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEYS[0].public_key()))
    return str(key["n"]).encode()


def _token(example: Vouched) -> None:
    body = example.said.text()
    if example.is_signed:
        # Whatever it says, it is signed: an issuer may be careless, or worse.
        header = {"kid": "k1", "alg": "RS256"}
        token = jwt.api_jws.encode(body, RSA_KEYS[0], algorithm="RS256", headers=header)
    else:
        whole = jwt.encode(CLAIMS, RSA_KEYS[0], algorithm="RS256", headers={"kid": "k1"})
        token = mutated(whole.encode(), example.said.some).decode("latin-1")
    try:
        published = json.loads(with_key(example.other.text()))
    except (ValueError, RecursionError):
        published = {}
    keys = keys_in(published if isinstance(published, dict) else {})
    try:
        claims = checked(token, keys, issuer=ISSUER, client_id=CLIENT, clock=lambda: NOW, nonce="n")
    except IssuerError as error:
        _is_plain(str(error))
        return
    assert claims["iss"] == ISSUER
    assert not example.is_signed or json.loads(body)["sub"] == claims["sub"]
    has_role_claim(OIDC, claims)
    role_of(OIDC, claims)
    for name in names_of(OIDC, claims):
        _is_plain(name)
        name.encode()
    with suppress(AccessDenied):
        check_admin(Access(oidc=OIDC), claims, NOW)


def _provider(example: Vouched) -> None:
    answer = Answer(200, example.said.text(), "application/json")
    with suppress(IssuerError):
        found = _metadata(answer.document(), ISSUER)
        assert all(
            isinstance(one, str) for one in (found.token_endpoint, found.jwks_uri, *found.scopes)
        )


def _is_plain(words: str) -> None:
    assert words.isprintable(), words


# A device with a passkey

SITE, ORIGIN, CHALLENGE = Site("box.local:8443"), "https://box.local:8443", b"a long challenge"


@functools.cache
def _answers() -> tuple[dict[str, Any], dict[str, Any], bytes]:
    device = Authenticator()
    asked = webauthn.creation_options(
        SITE, CHALLENGE, box="edge", handle=b"h" * 16, name="a", display_name="", known=[]
    )
    made = device.make(asked, ORIGIN)
    key = webauthn.verify_new(made, SITE, CHALLENGE).public_key
    return made, device.answer(webauthn.request_options(SITE, CHALLENGE), ORIGIN), key


_MEMBERS = ("clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle")
_CBOR = (
    b"\xbf" * 500,
    b"\x9f" * 500,
    b"\xa1\x61f" + b"\x5b" + b"\xff" * 8,
    b"\x9b" + b"\xff" * 8,
    b"\xc1\xfb\x7f\xf0\0\0\0\0\0\0",
    b"\xd9\x01\x02\x81\x00",
    cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": b""}),
    cbor2.dumps({"fmt": "packed", "attStmt": {"alg": -7, "sig": b"x"}, "authData": bytes(37)}),
    cbor2.dumps({"fmt": 5, "attStmt": [], "authData": {}}),
)


def _device(example: Vouched) -> None:
    made, answered, key = _answers()
    for right in (made, answered):
        wrong = _with(right, example)
        is_other = wrong != right
        webauthn.credential_id_in(wrong)
        webauthn.challenge_in(wrong)
        webauthn.handle_in(wrong)
        try:
            if right is made:
                found = webauthn.verify_new(wrong, SITE, CHALLENGE)
                assert 0 < len(found.credential_id) < 1024
            else:
                webauthn.verify_answer(wrong, SITE, CHALLENGE, key)
                # Signed is what the browser and the device say.
                assert (
                    not is_other
                    or wrong["response"]
                    == {
                        **right["response"],
                        "userHandle": wrong["response"].get("userHandle"),
                    }
                    or _same_bytes(wrong, right)
                )
        except (WrongAnswer, UserRefused) as error:
            _is_plain(str(error))


def _same_bytes(wrong: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Base64 has several ways to write the same."""
    return all(
        data(wrong["response"][name]) == data(right["response"][name])
        for name in ("clientDataJSON", "authenticatorData", "signature")
    )


def _with(right: dict[str, Any], example: Vouched) -> dict[str, Any]:
    number = len(example.other.tree)
    members = [name for name in _MEMBERS if name in right["response"]]
    member = members[number % len(members)]
    if example.is_signed:
        raw = mutated(data(right["response"][member]), example.said.some)
        if number % 7 == 0:
            raw = _CBOR[number % len(_CBOR)]
        return {**right, "response": {**right["response"], member: text(raw)}}
    try:
        said = json.loads(example.said.text())
    except (ValueError, RecursionError):
        said = None
    return {**right, "response": said if number % 2 else {**right["response"], member: said}}


# A server that keeps a key


@functools.cache
def _tang() -> tuple[dict[str, Any], ec.EllipticCurvePrivateKey, str]:
    # The same in every run: an example that is kept names them.
    signing, other = (ec.derive_private_key(7**number, ec.SECP521R1()) for number in (150, 160))
    exchange = tang.Point.of(other.public_key()).to_jwk()
    verify = tang.Point.of(signing.public_key()).to_jwk()
    keys = [
        {**verify, "alg": "ES512", "key_ops": ["verify"]},
        {**exchange, "alg": "ECMR", "key_ops": ["deriveKey"]},
    ]
    return {"keys": keys}, signing, tang.thumbprint(verify)


def _signed(payload: bytes) -> dict[str, Any]:
    _, signing, _ = _tang()
    protected, body = text(b'{"alg":"ES512"}'), text(payload)
    numbers = decode_dss_signature(
        signing.sign(f"{protected}.{body}".encode(), ec.ECDSA(hashes.SHA512()))
    )
    signature = b"".join(number.to_bytes(66, "big") for number in numbers)
    return {"payload": body, "protected": protected, "signature": text(signature)}


def _advertisement(example: Vouched) -> None:
    _, _, trusted = _tang()
    if example.is_signed:
        advertised = json.dumps(_signed(example.said.text())).encode()
    else:
        advertised = example.other.text()
    with suppress(KeyUnavailable):
        assert tang.exchange_keys(advertised, trusted)


def _server(example: Vouched) -> None:
    binding, secret = _binding()
    question = tang.Question(binding)
    with suppress(KeyUnavailable):
        assert secret not in question.candidates(example.said.text())


@functools.cache
def _binding() -> tuple[tang.Binding, bytes]:
    return tang.bind(tang.Point.of(ec.generate_private_key(ec.SECP521R1()).public_key()))


# Examples

_ODD = (
    *trees.NUMBERS,
    *trees.TEXTS,
    None,
    True,
    [],
    {},
    ["it"],
    [["it"]],
    {"a": 1},
    10**400,
    "\ud800",
    "none",
    "HS256",
    "ES256",
    "RS512",
    "OKP",
    "EC",
    "AQAB",
    "A" * 600,
    "oidc:x",
    "jane\u202e",
    "https://[",
    "https://a\u2100b",
    "https://xn--a/",
    "https://x:99999/",
    "http://127.0.0.1:1/",
    "javascript:alert(1)",
    f"{ISSUER}\r\nX-Smuggled: 1",
    "\u00e4",
    NOW - 1e6,
    NOW + 1e6,
    [CLIENT, "other"],
)


def turns(right: Any) -> st.SearchStrategy[Turned]:
    odd = st.one_of(st.sampled_from(_ODD), st.text(max_size=5), st.floats(allow_nan=False))
    some = st.lists(st.tuples(st.integers(0, 60), odd), max_size=2)
    return st.builds(
        lambda several, changed, plain: Turned(
            json.dumps(_changed(right, several)), () if plain else tuple(changed)
        ),
        some,
        changes(),
        st.sampled_from((True, True, False)),
    )


def _changed(tree: Any, some: list[tuple[int, Any]]) -> Any:
    tree = json.loads(json.dumps(tree))
    for number, value in some:
        found = [path for path, _ in trees.places(tree)]
        if not found:
            return copy.deepcopy(value)
        *way, last = found[number % len(found)]
        above = tree
        for step in way:
            above = above[step]
        above[last] = copy.deepcopy(value)  # never itself
    return tree


def _examples() -> st.SearchStrategy[Vouched]:
    advertised, _, _ = _tang()
    point = advertised["keys"][1]
    signed = _signed(json.dumps(advertised).encode())
    anything = st.builds(
        lambda tree, some: Turned(json.dumps(tree), tuple(some)),
        st.one_of(st.sampled_from(_ODD), trees.datasets()),
        changes(),
    )
    kinds = {
        "token": (turns(CLAIMS), st.one_of(turns(PUBLISHED), st.just(_plain(PUBLISHED)))),
        "metadata": (turns(METADATA), st.just(_plain({}))),
        "device": (anything, st.integers(0, 200).map(lambda size: Turned("x" * size, ()))),
        "advertisement": (turns(advertised), turns(signed)),
        "server": (turns(point), st.just(_plain({}))),
    }
    return st.one_of(
        *(
            st.builds(Vouched, st.just(who), said, other, st.sampled_from((True, True, False)))
            for who, (said, other) in kinds.items()
        )
    )


def _plain(tree: Any) -> Turned:
    return Turned(json.dumps(tree), ())


IDENTITIES = (reader("identity", st.deferred(_examples), _vouched, Vouched, at_a_time=600),)

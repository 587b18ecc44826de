"""The exchange with a Tang server, by which it gives back a key that it never sees.

Tang is a small server of Debian's; it keeps one private key S, and answers everybody who can reach
it. That is what it proves: being in its network. The exchange is McCallum and Relyea's, over P-521
(capitals are private keys, small letters points):

    binding     c = C·g, for a random C        the key is made of K = C·s, and C is thrown away
    release     e = E·g, for a random E        we send x = c + e
                                               the server answers y = S·x
                                               K = y - E·s, for S·c + S·e = K + E·s

So neither the server nor who listens learns K, or who asks; and a server that is not the right one
gives another K, which opens nothing. What the server advertises is signed by keys of its own, one
of which the configuration names by its thumbprint (RFC 7638); it is believed only when something is
bound to it.

What multiplies by a secret here is the library. Addition of points is ours, of points that are
public or used once. Of E·s the library tells x alone, so there are two candidates for K; the box
that it opens says which. No I/O here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.errors import KeyUnavailable

__all__ = ["Binding", "Point", "Question", "bind", "exchange_keys", "thumbprint"]

_CURVE = ec.SECP521R1()
_P = 2**521 - 1
"""The field of the curve, and its coefficients a and b (SP 800-186 3.2.1.5)."""
_A = _P - 3
_B = int(
    "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd"
    "3bb1bf073573df883d2c34f1ef451fd46b503f00",
    16,
)
_COORDINATE = 66
"""Bytes."""
_SIGNATURE = 2 * _COORDINATE


@dataclass(frozen=True, slots=True)
class Point:
    """A point of P-521 that is none at infinity."""

    x: int
    y: int

    @classmethod
    def from_bytes(cls, data: bytes) -> Point:
        """In uncompressed form (SEC 1 2.3.3).

        Raises:
            ValueError: It is none of the curve.
        """
        return cls.of(ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, data))

    @classmethod
    def of(cls, key: ec.EllipticCurvePublicKey) -> Point:
        """A public key."""
        numbers = key.public_numbers()
        return cls(numbers.x, numbers.y)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Point:
        """As JOSE writes it (RFC 7518 6.2.1).

        Raises:
            ValueError: It is none of the curve.
        """
        if jwk.get("kty") != "EC" or jwk.get("crv") != "P-521":
            raise ValueError("it is no key of P-521")
        found = cls(*(int.from_bytes(_decoded(jwk.get(name)), "big") for name in ("x", "y")))
        found.key()
        return found

    def to_jwk(self) -> dict[str, str]:
        """The members that are needed of it."""
        x, y = (number.to_bytes(_COORDINATE, "big") for number in (self.x, self.y))
        return {"crv": "P-521", "kty": "EC", "x": _encoded(x), "y": _encoded(y)}

    def to_bytes(self) -> bytes:
        """In uncompressed form."""
        both = (number.to_bytes(_COORDINATE, "big") for number in (self.x, self.y))
        return b"\x04" + b"".join(both)

    def key(self) -> ec.EllipticCurvePublicKey:
        """As the library has it.

        Raises:
            ValueError: It is none of the curve.
        """
        return ec.EllipticCurvePublicNumbers(self.x, self.y, _CURVE).public_key()

    def plus(self, other: Point) -> Point:
        """The sum.

        Raises:
            ValueError: It is at infinity, or both are the same; neither happens by chance.
        """
        if self.x == other.x:
            raise ValueError("these points have no sum here")
        slope = (other.y - self.y) * pow(other.x - self.x, -1, _P) % _P
        x = (slope * slope - self.x - other.x) % _P
        return Point(x, (slope * (self.x - x) - self.y) % _P)

    @staticmethod
    def both_at(x: int) -> Iterator[Point]:
        """The two points with this x.

        Raises:
            ValueError: There are none.
        """
        square = (pow(x, 3, _P) + _A * x + _B) % _P
        y = pow(square, (_P + 1) // 4, _P)
        if y * y % _P != square:
            raise ValueError("no point of the curve is there")
        yield from (Point(x, y), Point(x, _P - y))


# What a server advertises -------------------------------------------------------------------------


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 of a key (RFC 7638), as ``tang-show-keys`` prints it."""
    needed = {name: jwk.get(name) for name in ("crv", "kty", "x", "y")}
    text = json.dumps(needed, sort_keys=True, separators=(",", ":"))
    return _encoded(hashlib.sha256(text.encode()).digest())


def exchange_keys(advertisement: bytes, trusted: str) -> list[Point]:
    """The keys that something can be bound to.

    Args:
        advertisement: What the server answers to ``GET /adv``: a JWS (RFC 7515 7.2).
        trusted: Thumbprint of a key that must have signed it.

    Raises:
        KeyUnavailable: It can't be believed.
    """
    try:
        said = json.loads(advertisement)
        payload = said["payload"]
        signatures = said.get("signatures", [said])
        keys = json.loads(_decoded(payload))["keys"]
        signing = [key for key in keys if "verify" in key.get("key_ops", ())]
        exchanging = [key for key in keys if "deriveKey" in key.get("key_ops", ())]
        known = {thumbprint(key): key for key in signing}
        if trusted not in known:
            raise KeyUnavailable(
                "it has another key than the thumbprint that is configured: "
                f"{', '.join(known) or 'none at all'}",
                hint="compare with what tang-show-keys says on the server itself, and correct "
                "keys.server[].thumbprint if that server has new keys",
            )
        if not all(_is_signed(payload, signatures, Point.from_jwk(key)) for key in signing):
            raise KeyUnavailable("its advertisement is not signed by all of its keys")
        found = [Point.from_jwk(key) for key in exchanging]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise KeyUnavailable("what it advertises can't be understood") from error
    if not found:
        raise KeyUnavailable("it advertises no key for an exchange over P-521")
    return found


def _is_signed(payload: str, signatures: Sequence[Mapping[str, Any]], by: Point) -> bool:
    """Whether one of the signatures is by this key (ES512, RFC 7518 3.4)."""
    for one in signatures:
        signature = _decoded(one["signature"])
        header = json.loads(_decoded(one["protected"]))
        if header.get("alg") != "ES512" or len(signature) != _SIGNATURE:
            continue
        halves = signature[:_COORDINATE], signature[_COORDINATE:]
        der = encode_dss_signature(*(int.from_bytes(half, "big") for half in halves))
        try:
            signed = f"{one['protected']}.{payload}".encode()
            by.key().verify(der, signed, ec.ECDSA(hashes.SHA512()))
        except InvalidSignature:
            continue
        return True
    return False


# Binding and release ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Binding:
    """What must be kept to ask a server for a key again; nothing of it is secret."""

    server: Point
    ours: Point

    @property
    def path(self) -> str:
        """Where the server is asked."""
        return f"/rec/{thumbprint(self.server.to_jwk())}"


def bind(server: Point) -> tuple[Binding, bytes]:
    """Bind a new key to a server; the key is 32 bytes."""
    secret = ec.generate_private_key(_CURVE)
    binding = Binding(server, Point.of(secret.public_key()))
    return binding, _key_of(secret.exchange(ec.ECDH(), server.key()), binding)


class Question:
    """One question to a server, which looks like any other.

    Args:
        binding: Of the key that is asked for.
    """

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._blind = ec.generate_private_key(_CURVE)
        self.asked = binding.ours.plus(Point.of(self._blind.public_key()))

    def body(self) -> bytes:
        """What is posted."""
        jwk = {"alg": "ECMR", "key_ops": ["deriveKey"], **self.asked.to_jwk()}
        return json.dumps(jwk, separators=(",", ":")).encode()

    def candidates(self, answer: bytes) -> list[bytes]:
        """Two keys; one is it, if the server is the one that it was bound to.

        Raises:
            KeyUnavailable: The answer is none.
        """
        try:
            given = Point.from_jwk(json.loads(answer))
            shared = self._blind.exchange(ec.ECDH(), self._binding.server.key())
            both = Point.both_at(int.from_bytes(shared, "big"))
            found = [given.plus(one).x.to_bytes(_COORDINATE, "big") for one in both]
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise KeyUnavailable("its answer can't be understood") from error
        return [_key_of(one, self._binding) for one in found]


def _key_of(shared: bytes, binding: Binding) -> bytes:
    salt = binding.ours.to_bytes() + binding.server.to_bytes()
    info = b"edge root secret 1 network"
    return HKDF(hashes.SHA256(), length=32, salt=salt, info=info).derive(shared)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("it is no text")  # noqa: TRY004 - what a stranger sent
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("it is not in Base64") from error

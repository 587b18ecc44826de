"""The keys of places that send things to each other on a disk that may be lost or stolen.

Every place, a box or a computer with a good line, has one courier key; it follows from its root
secret. The public half is two keys: things are sealed for the one (X25519), and its owner's
statements are believed by the other (Ed25519). Places know each other by configuration alone: who
takes a key from the very disk that it shall protect believes whoever made that disk. On paper it is
eighteen groups of eight characters (`edge.written`).

A bundle has a key of its own. The box derives that again at any time, so it keeps none; each
recipient gets it wrapped, by a key that follows from an ephemeral key pair:

    envelope    magic, version, bundle, mark of the bundle's key, number of recipients
                for each: ephemeral public key, wrapped key. Nothing in it says for whom.
    the rest    sealed objects (``sealed``), each under its name in the bundle
    statement   such an object: public key of who states it, signature, what is stated

A statement binds bundle and name, so that none can be put in the place of another. Who finds the
disk sees how much there is, and a number; neither whose it is nor for whom. No I/O here.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.sealed import HEADER_LENGTH, KEY_ID_LENGTH, Algorithm, Header, Opener, Sealer
from edge.errors import SealBroken, WrongKey
from edge.written import ALPHABET, WrittenError, read_courier_key, write_courier_key

__all__ = ["MAX_ENVELOPE", "BundleKey", "Place", "PlaceKeys", "Stranger", "new_bundle"]

_HALF = 32
_SIGNATURE = 64
_MAGIC, _VERSION = b"EDGECOUR", 1
_HEAD = struct.Struct(">8sBB6x8s16s")
_WRAPPED = _HALF + 16
_SLOT = _HALF + _WRAPPED
_MOST_RECIPIENTS = 64
MAX_ENVELOPE = _HEAD.size + _MOST_RECIPIENTS * _SLOT
"""Bytes."""
_NONCE = bytes(12)  # every wrapping has a key of its own
_NO_KEY = bytes(KEY_ID_LENGTH)


@dataclass(frozen=True, slots=True)
class Place:
    """The public half of a place's courier key."""

    sealing: bytes = field(repr=False)
    signing: bytes

    @classmethod
    def from_text(cls, text: str) -> Place:
        """One as ``edge courier key`` prints it.

        Raises:
            WrongKey: It is none; the message names the groups to look at.
        """
        try:
            both = read_courier_key(text)
        except WrittenError as error:
            raise WrongKey(str(error), hint=error.hint) from error
        return cls(both[:_HALF], both[_HALF:])

    def to_groups(self) -> list[str]:
        """The same, to be written down."""
        return write_courier_key(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Both keys."""
        return self.sealing + self.signing

    @property
    def digest(self) -> bytes:
        """32 bytes that name it."""
        return hashlib.sha256(b"edge courier place 1" + self.to_bytes()).digest()

    @property
    def fingerprint(self) -> str:
        """80 bits of its digest, to be compared by telephone."""
        number = int.from_bytes(self.digest[:10], "big")
        text = "".join(ALPHABET[number >> 5 * at & 31] for at in reversed(range(16)))
        return "-".join(text[at : at + 4] for at in range(0, 16, 4))


class PlaceKeys:
    """A place's own courier key.

    Args:
        derive: Of its root secret, see ``KeyRing.derive``.
    """

    def __init__(self, derive: Callable[[str], bytes]) -> None:
        self._derive = derive
        self._sealing = X25519PrivateKey.from_private_bytes(derive("courier: sealed for us"))
        self._signing = Ed25519PrivateKey.from_private_bytes(derive("courier: signed by us"))

    @cached_property
    def place(self) -> Place:
        """Its public half."""
        return Place(
            self._sealing.public_key().public_bytes_raw(),
            self._signing.public_key().public_bytes_raw(),
        )

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature."""
        return self._signing.sign(message)

    def own_bundle(self, bundle: str) -> BundleKey:
        """The key of a bundle that this place makes, or made."""
        return BundleKey(bundle, self._derive(f"courier: bundle {bundle}"))

    def made(self, bundle: str, envelope: bytes) -> BundleKey | None:
        """The key of a bundle, if this place made it."""
        key = self.own_bundle(bundle)
        mark = envelope[_HEAD.size - len(key.mark) : _HEAD.size]
        return key if hmac.compare_digest(mark, key.mark) else None

    def open_envelope(self, bundle: str, envelope: bytes) -> BundleKey:
        """The key of a bundle that was sealed for this place.

        Raises:
            WrongKey: It was sealed for others.
            SealBroken: The envelope was damaged, or is of another bundle.
        """
        head, slots = envelope[: _HEAD.size], envelope[_HEAD.size :]
        try:
            magic, version, count, number, mark = _HEAD.unpack(head)
        except struct.error as error:
            raise SealBroken("the envelope of a bundle is cut short") from error
        if magic == _MAGIC and version != _VERSION:
            raise SealBroken(
                f"the bundle has version {version}, newer than this program",
                hint="install the version that made it",
            )
        if magic != _MAGIC or number.hex() != bundle or len(slots) != count * _SLOT:
            raise SealBroken("the envelope of a bundle is damaged")
        for at in range(0, len(slots), _SLOT):
            key = self._unwrapped(bundle, head, slots[at : at + _SLOT])
            if key is not None and hmac.compare_digest(key.mark, mark):
                return key
        raise WrongKey(
            "it is sealed for another place",
            hint="courier.recipients of the box that made it must hold this place's key",
        )

    def _unwrapped(self, bundle: str, head: bytes, slot: bytes) -> BundleKey | None:
        ephemeral, wrapped = slot[:_HALF], slot[_HALF:]
        try:
            shared = self._sealing.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            wrapping = _wrapping(shared, ephemeral, self.place.sealing)
            return BundleKey(bundle, AESGCM(wrapping).decrypt(_NONCE, wrapped, head))
        except (InvalidTag, ValueError):
            return None


@dataclass(frozen=True)
class BundleKey:
    """The key of one bundle."""

    bundle: str
    """Sixteen hexadecimal digits."""
    secret: bytes = field(repr=False)

    @cached_property
    def mark(self) -> bytes:
        """16 bytes by which whoever has the key knows it again."""
        return hashlib.sha256(b"edge courier mark 1" + self.secret).digest()[:16]

    def envelope(self, recipients: Sequence[Place]) -> bytes:
        """The key, for these to open.

        Raises:
            WrongKey: A public key is none.
        """
        count = len(recipients)
        head = _HEAD.pack(_MAGIC, _VERSION, count, bytes.fromhex(self.bundle), self.mark)
        return head + b"".join(self._slot(head, one) for one in recipients)

    def _slot(self, head: bytes, recipient: Place) -> bytes:
        ephemeral = X25519PrivateKey.generate()
        public = ephemeral.public_key().public_bytes_raw()
        try:
            shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient.sealing))
        except ValueError as error:
            raise WrongKey("a courier key can't be sealed for: it is no key") from error
        wrapping = _wrapping(shared, public, recipient.sealing)
        return public + AESGCM(wrapping).encrypt(_NONCE, self.secret, head)

    def sealer(self, name: str, algorithm: Algorithm) -> tuple[bytes, Sealer]:
        """The header of an object of the bundle, and what seals it."""
        header = Header.new(algorithm, _NO_KEY)
        return header.to_bytes(), Sealer(header, self.secret, self._bound(name))

    def opener(
        self, name: str, header: bytes, length: int, read_at: Callable[[int, int], bytes]
    ) -> Opener:
        """Opens an object of the bundle.

        Raises:
            SealBroken: It has not the form of one.
        """
        return Opener(Header.from_bytes(header), self.secret, self._bound(name), length, read_at)

    def state(self, name: str, content: bytes, keys: PlaceKeys) -> bytes:
        """A statement of a place, sealed."""
        signed = keys.place.to_bytes() + keys.sign(self._to_sign(name, content))
        header, sealer = self.sealer(name, Algorithm.AES_256_GCM)
        return b"".join([header, *sealer.seal(signed + content), sealer.finish()])

    def stated(self, name: str, sealed: bytes, believed: Iterable[Place]) -> tuple[Place, bytes]:
        """Who stated something, and what.

        Raises:
            SealBroken: It was changed or cut short, or is no statement of this name.
            Stranger: It is whole, and stated by nobody of those that are believed.
        """

        def read_at(offset: int, length: int) -> bytes:
            return sealed[offset : offset + length]

        opener = self.opener(name, sealed[:HEADER_LENGTH], len(sealed), read_at)
        plain = opener.read(0, opener.length)
        if len(plain) < 2 * _HALF + _SIGNATURE:
            raise SealBroken("a statement in a bundle is too short")
        place = Place(plain[:_HALF], plain[_HALF : 2 * _HALF])
        signature, content = plain[2 * _HALF :][:_SIGNATURE], plain[2 * _HALF + _SIGNATURE :]
        try:
            Ed25519PublicKey.from_public_bytes(place.signing).verify(
                signature, self._to_sign(name, content)
            )
        except (InvalidSignature, ValueError) as error:
            raise SealBroken("the signature of a statement in a bundle is wrong") from error
        if place not in set(believed):
            raise Stranger(place)
        return place, content

    def _bound(self, name: str) -> bytes:
        return f"edge courier 1 {self.bundle} {name}".encode()

    def _to_sign(self, name: str, content: bytes) -> bytes:
        return self._bound(name) + b"\0" + content


class Stranger(WrongKey):
    """A statement is whole, and its author is none of those that the configuration names."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"it is signed by {place.fingerprint}, which is not known here")
        self.place = place


def new_bundle() -> str:
    """The number of a new bundle."""
    return os.urandom(8).hex()


def _wrapping(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    info = b"edge courier 1 bundle key"
    return HKDF(SHA256(), length=32, salt=ephemeral + recipient, info=info).derive(shared)

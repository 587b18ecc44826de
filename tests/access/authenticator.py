"""An authenticator of the tests' own: makes passkeys and answers for them, as devices do.

What it makes are real signatures by P-256 over real structures of WebAuthn Level 3 (6.1, 6.5); what
a browser adds is here, too. Everything about it can be made wrong.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 1, 4, 64


def text(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def data(text):
    return urlsafe_b64decode(text + "===")


class Authenticator:
    """A device with one passkey.

    Args:
        counts: Whether it counts its signatures.
    """

    def __init__(self, *, counts=True):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = secrets.token_bytes(16)
        self.count = 0
        self.counts = counts
        self.handle = b""
        self.rp_id = ""

    def make(self, options, origin, **wrong):
        """The answer to ``navigator.credentials.create``."""
        self.rp_id = options["rp"]["id"]
        self.handle = data(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = {
            1: 2,
            3: -7,
            -1: 1,
            -2: numbers.x.to_bytes(32, "big"),
            -3: numbers.y.to_bytes(32, "big"),
        }
        credential = (
            bytes(16)
            + len(self.credential_id).to_bytes(2, "big")
            + self.credential_id
            + cbor2.dumps(cose)
        )
        flags = wrong.pop("flags", PRESENT | VERIFIED) | ATTESTED
        client = self._client("webauthn.create", options["challenge"], origin, wrong)
        attested = {
            "fmt": wrong.pop("fmt", "none"),
            "attStmt": wrong.pop("statement", {}),
            "authData": self._data(flags, wrong) + credential,
        }
        return self._credential(
            {
                "clientDataJSON": text(client),
                "attestationObject": text(wrong.pop("attestation", None) or cbor2.dumps(attested)),
            },
            wrong,
        )

    def answer(self, options, origin, **wrong):
        """The answer to ``navigator.credentials.get``."""
        client = self._client("webauthn.get", options["challenge"], origin, wrong)
        said = self._data(wrong.pop("flags", PRESENT | VERIFIED), wrong)
        key = wrong.pop("signer", self.key)
        signature = key.sign(said + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(
            {
                "clientDataJSON": text(client),
                "authenticatorData": text(said),
                "signature": text(wrong.pop("signature", signature)),
                "userHandle": text(wrong.pop("handle", self.handle)),
            },
            wrong,
        )

    def _client(self, kind, challenge, origin, wrong):
        said = {"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}
        return json.dumps(said | wrong.pop("client", {})).encode()

    def _data(self, flags, wrong):
        self.count += self.counts
        count = wrong.pop("count", self.count if self.counts else 0)
        rp_id = wrong.pop("rp_id", self.rp_id)
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")

    def _credential(self, response, wrong):
        credential_id = wrong.pop("credential_id", self.credential_id)
        response = response | wrong.pop("response", {})
        assert not wrong, f"nothing is known of {wrong}"
        return {
            "id": text(credential_id),
            "rawId": text(credential_id),
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }

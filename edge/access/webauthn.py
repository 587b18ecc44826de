"""The words of WebAuthn Level 3, between a browser and this box: what is asked, what is answered.

Owns the two ceremonies and what about an answer must hold; keeps nothing. The library verifies
signatures and structures; what it leaves to others is checked here: a frame of another origin is no
page of ours, and statements of attestation are not asked for, so that none but the plainest is
even read. Whatever a stranger sends that no library foresaw is a wrong answer, too.

Verifying blocks, and imports what few starts need: call it in a thread.
"""

# ruff: noqa: PLC0415 - the library is large, and stays away until a passkey is used

from __future__ import annotations

import ipaddress
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from edge.errors import UserRefused

__all__ = [
    "NewKey",
    "Site",
    "WrongAnswer",
    "challenge_in",
    "creation_options",
    "credential_id_in",
    "handle_in",
    "request_options",
    "verify_answer",
    "verify_new",
]

_ALGORITHMS = (-8, -7, -257)
"""Of COSE: EdDSA, ES256 and RS256, the best first."""
_TIMEOUT_MS = 300_000
_FORMATS = frozenset({"none", "packed"})
_LONGEST_ID = 1023
"""Bytes of a credential ID (WebAuthn 4)."""


class WrongAnswer(Exception):
    """An authenticator's answer does not hold; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Site:
    """The box, as a browser calls it."""

    host: str
    """Of the request: name, and port if that is not the usual one."""

    @property
    def rp_id(self) -> str:
        """The name that a passkey is for (WebAuthn 5.1.3).

        Raises:
            UserRefused: It is an address, and no browser makes one for that.
        """
        try:
            name = urlsplit(f"//{self.host}").hostname or ""
        except ValueError:
            name = ""
        if name and not _is_address(name):
            return name.rstrip(".")
        raise UserRefused(
            "a passkey is for a name, and this box is called by an address",
            hint="open it by one of its names: those are in its certificate",
        )

    @property
    def origins(self) -> list[str]:
        """Those of its pages. Without TLS, browsers know passkeys on ``localhost`` alone."""
        host = self.host.lower()
        return [f"https://{host}"] + [f"http://{host}"] * (self.rp_id == "localhost")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A passkey that was made."""

    credential_id: bytes
    public_key: bytes
    """As COSE."""
    sign_count: int


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


# What is asked ------------------------------------------------------------------------------------


def request_options(site: Site, challenge: bytes) -> dict[str, Any]:
    """For ``navigator.credentials.get``: whichever passkey the browser has for this name."""
    return {
        "challenge": _text(challenge),
        "timeout": _TIMEOUT_MS,
        "rpId": site.rp_id,
        "allowCredentials": [],
        "userVerification": "required",
    }


def creation_options(
    site: Site,
    challenge: bytes,
    *,
    box: str,
    handle: bytes,
    name: str,
    display_name: str,
    known: Sequence[bytes],
) -> dict[str, Any]:
    """For ``navigator.credentials.create``.

    Args:
        site: Where.
        challenge: That its answer must meet.
        box: What people call the box.
        handle: Of the user; random.
        name: Of the user.
        display_name: Likewise.
        known: Passkeys that they have: none is made twice on one device.
    """
    return {
        "rp": {"id": site.rp_id, "name": box},
        "user": {"id": _text(handle), "name": name, "displayName": display_name or name},
        "challenge": _text(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": number} for number in _ALGORITHMS],
        "timeout": _TIMEOUT_MS,
        "excludeCredentials": [{"type": "public-key", "id": _text(one)} for one in known],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


# What is answered ---------------------------------------------------------------------------------


def credential_id_in(credential: Mapping[str, Any]) -> bytes:
    """Which passkey answers; empty if it does not say."""
    return _bytes(credential.get("id"))


def challenge_in(credential: Mapping[str, Any]) -> bytes:
    """Which challenge is answered; empty if it can't be read."""
    try:
        said = json.loads(_bytes(_response(credential).get("clientDataJSON")))
    except (ValueError, RecursionError):
        return b""
    if not isinstance(said, dict) or said.get("crossOrigin"):
        return b""  # a frame in a page of somebody else's
    return _bytes(said.get("challenge"))


def handle_in(credential: Mapping[str, Any]) -> bytes:
    """Whose passkey it is, as the authenticator has it; empty if it does not say."""
    return _bytes(_response(credential).get("userHandle"))


def verify_new(credential: Mapping[str, Any], site: Site, challenge: bytes) -> NewKey:
    """Look at the answer of an authenticator that made a passkey. Blocks.

    Raises:
        WrongAnswer: It does not hold.
    """
    rp_id, origins = site.rp_id, site.origins
    _check_format(_bytes(_response(credential).get("attestationObject")))
    try:
        from webauthn import verify_registration_response

        made = verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origins,
            require_user_verification=True,
        )
    except Exception as error:
        raise WrongAnswer(_words(error)) from error
    if len(made.credential_id) > _LONGEST_ID:
        raise WrongAnswer("its ID is too long")
    return NewKey(made.credential_id, made.credential_public_key, made.sign_count)


def verify_answer(
    credential: Mapping[str, Any], site: Site, challenge: bytes, public_key: bytes
) -> int:
    """Look at the answer of an authenticator that was asked; its count of signatures. Blocks.

    Raises:
        WrongAnswer: It does not hold.
    """
    rp_id, origins = site.rp_id, site.origins
    try:
        from webauthn import verify_authentication_response

        return verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origins,
            credential_public_key=public_key,
            credential_current_sign_count=0,  # whoever has the last one compares it
            require_user_verification=True,
        ).new_sign_count
    except Exception as error:
        raise WrongAnswer(_words(error)) from error


def _check_format(attested: bytes) -> None:
    try:
        from webauthn.helpers import parse_attestation_object

        known = parse_attestation_object(attested).fmt in _FORMATS
    except Exception as error:
        raise WrongAnswer(_words(error)) from error
    if not known:
        raise WrongAnswer("a statement of attestation that was not asked for")


def _words(error: Exception) -> str:
    """For the log: part of it may be a stranger's."""
    text = "".join(char if char.isprintable() else "?" for char in str(error)[:200])
    return f"{type(error).__name__}: {text}"


def _response(credential: Mapping[str, Any]) -> Mapping[str, Any]:
    found = credential.get("response")
    return found if isinstance(found, dict) else {}


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: object) -> bytes:
    """Base64url as browsers write it; empty if it is none."""
    try:
        return urlsafe_b64decode(f"{text}===") if isinstance(text, str) else b""
    except ValueError:
        return b""

"""Whom the service trusts beside the system's authorities: the clinic's own; as root.

Owns ``ca.pem`` in what is kept, and the bundle of both that the service's unit names. Promises that
the bundle is there after every start, be there authorities of the clinic or not. Calls block.
"""

from __future__ import annotations

import contextlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.crypto.durable import write_file
from edge.errors import MachineRefused
from edge.machine.networks import write_open
from edge.machine.places import Places

__all__ = ["authorities_in", "begin_to_trust", "trust"]

_MOST = 64
"""Authorities."""


def authorities_in(pem: str) -> list[x509.Certificate]:
    """The certificates of a text.

    Raises:
        MachineRefused: It has none, or others than those of authorities.
    """
    try:
        found = x509.load_pem_x509_certificates(pem.encode("ascii"))
    except (ValueError, UnicodeEncodeError) as error:
        raise MachineRefused(
            "the authority's file has no certificate in PEM",
            hint="it begins with -----BEGIN CERTIFICATE-----; others are turned into it by openssl",
        ) from error
    if len(found) > _MOST:
        raise MachineRefused(f"the authority's file has more than {_MOST} certificates")
    for one in found:
        is_authority = False
        with contextlib.suppress(x509.ExtensionNotFound, ValueError):
            is_authority = one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        if not is_authority:
            raise MachineRefused(
                f"{one.subject.rfc4514_string()} is no authority's certificate",
                hint="ask for that of the authority, which signed the server's",
            )
    return found


def trust(places: Places, pem: str) -> None:
    """Trust these authorities of the clinic from now on, and no others of it; empty: none.

    Raises:
        MachineRefused: They are none.
    """
    # What is written is made of what was understood: nothing else of the text gets there.
    plain = b"".join(one.public_bytes(Encoding.PEM) for one in authorities_in(pem)) if pem else b""
    places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(places.ca_kept, plain)
    begin_to_trust(places)


def begin_to_trust(places: Places) -> None:
    """Write the bundle."""
    system = kept = b""
    with contextlib.suppress(OSError):
        system = places.system_ca.read_bytes()
    with contextlib.suppress(OSError):
        kept = places.ca_kept.read_bytes()
    if system and not system.endswith(b"\n"):
        system += b"\n"
    write_open(places.ca_bundle, system + kept)

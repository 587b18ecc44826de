"""Whom the service trusts beside the system's authorities: the clinic's own; as root.

Owns ``ca.pem`` in what is kept, the bundle of both that the service's unit names, and a copy of the
clinic's that everybody may read. Promises that the bundle is there after every start, be there
authorities of the clinic or not. Calls block.
"""

from __future__ import annotations

import contextlib

from edge.authorities import Authority, AuthorityError, as_pem, authorities_in, certificates_in
from edge.crypto.durable import write_file
from edge.errors import MachineRefused
from edge.machine.networks import write_open
from edge.machine.places import Places

__all__ = ["begin_to_trust", "only_authorities", "trust", "trusted"]


def only_authorities(pem: str) -> str:
    """The certificates of a text, and nothing else of it.

    Raises:
        MachineRefused: It has none, or others than those of authorities.
    """
    try:
        return f"{as_pem(certificates_in(pem))}\n"
    except AuthorityError as error:
        raise MachineRefused(f"the authority's file {error}", hint=error.hint) from error


def trust(places: Places, pem: str) -> None:
    """Trust these authorities of the clinic from now on, and no others of it; empty: none.

    Raises:
        MachineRefused: They are none.
    """
    # What is written is made of what was understood: nothing else of the text gets there.
    plain = only_authorities(pem).encode() if pem else b""
    places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(places.ca_kept, plain)
    begin_to_trust(places)


def begin_to_trust(places: Places) -> None:
    """Write the bundle, and what is told of it."""
    system = kept = b""
    with contextlib.suppress(OSError):
        system = places.system_ca.read_bytes()
    with contextlib.suppress(OSError):
        kept = places.ca_kept.read_bytes()
    if system and not system.endswith(b"\n"):
        system += b"\n"
    write_open(places.ca_bundle, system + kept)
    write_open(places.ca_told, kept)


def trusted(places: Places) -> tuple[Authority, ...]:
    """The clinic's own authorities that every way out believes; for everybody."""
    try:
        pem = places.ca_told.read_text("ascii")
        return tuple(authorities_in(pem)) if pem else ()
    except (OSError, UnicodeDecodeError, AuthorityError):
        return ()

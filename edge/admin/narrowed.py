"""How programs say, and read, what is left of somebody's role: the scope of a person.

Decides nothing: what a scope means is `edge.access.scope`'s, and whom it holds for the doors'.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.access.acts import Act, Service
from edge.access.scope import Scope
from edge.errors import UserRefused

__all__ = ["Narrowed", "narrowed", "scope_of"]


class Narrowed(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is left of a role; where nothing is named, all of it."""

    services: list[Service] = []
    """These alone can be used."""
    acts: list[Act] = []
    """These alone can be done, as far as the role may."""
    studies_from: Annotated[list[str], msgspec.Meta(max_length=64)] = []
    """Only studies are seen of which one of these sent something: AE titles, names of tokens."""
    networks: Annotated[list[str], msgspec.Meta(max_length=16)] = []
    """It is worth nothing from elsewhere: addresses and networks."""


def narrowed(scope: Scope | None) -> Narrowed:
    """A scope, as programs read it; of one that can't be understood, nothing is left."""
    if scope is None:
        return Narrowed(networks=["0.0.0.0/32"])
    return Narrowed(
        services=sorted(scope.services),
        acts=sorted(scope.acts),
        studies_from=sorted(scope.studies_from),
        networks=list(scope.networks),
    )


def scope_of(wish: Narrowed) -> Scope:
    """What a program said.

    Raises:
        UserRefused: It is no scope.
    """
    try:
        return Scope(
            services=frozenset(wish.services),
            acts=frozenset(wish.acts),
            studies_from=frozenset(one.strip() for one in wish.studies_from),
            networks=tuple(wish.networks),
        )
    except ValueError as error:
        raise UserRefused(f"nobody can be narrowed so: {error}", hint="nothing changed") from error

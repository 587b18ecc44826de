"""What a handler does, said beside the handler, for the capability description (PS3.18 H).

Owns the words; who reads them is ``capabilities``. A handler without them can't be mounted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from edge.dicomweb.negotiation import Offer

__all__ = ["Parameter", "Transaction", "of_handler", "transaction"]

H = TypeVar("H", bound=Callable[..., object])
_MARK: Final = "_transaction"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query string that a transaction understands."""

    name: str
    type: str = "xs:string"
    """Of XML Schema."""
    options: tuple[str, ...] = ()
    """All values that it may have; empty if they can't be listed."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One method of a resource."""

    name: str
    """As PS3.18 calls the transaction."""
    section: str
    """Where PS3.18 defines it."""
    produces: tuple[str, ...] = ()
    """Media types of the answer, the default first."""
    consumes: tuple[str, ...] = ()
    """Media types of the request's body."""
    parameters: tuple[Parameter, ...] = ()


def transaction(
    name: str,
    section: str,
    *,
    produces: Sequence[Offer | str] = (),
    consumes: Sequence[Offer | str] = (),
    parameters: Sequence[Parameter] = (),
) -> Callable[[H], H]:
    """Say what a handler does; its own offers, so that they can't differ from what is described."""
    said = Transaction(
        name,
        section,
        tuple(map(str, produces)),
        tuple(map(str, consumes)),
        tuple(parameters),
    )

    def mark(handler: H) -> H:
        setattr(handler, _MARK, said)
        return handler

    return mark


def of_handler(handler: Callable[..., object]) -> Transaction:
    """What a handler said that it does.

    Raises:
        LookupError: It said nothing.
    """
    said: Transaction | None = getattr(handler, _MARK, None)
    if said is None:
        raise LookupError(f"{handler} does not say which transaction it is")
    return said

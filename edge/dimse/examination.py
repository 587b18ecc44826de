"""What ``edge peer doctor`` says: of one peer, or of all who called and whom we called.

Looks at the book of associations, and calls nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from edge.cache.associations import FINE, Associations, Diagnosis, Direction, PeerState, Trouble
from edge.cache.peers import PeerBook
from edge.config import Dimse
from edge.dimse.doctor import never_called
from edge.dimse.doctor_statuses import DESTINATION
from edge.dimse.peers import Cause
from edge.others import Peer

__all__ = ["examine"]

_TURNED_AWAY: Final = f"rejected: {Cause.UNKNOWN}"
"""The kind of what is noted of a stranger."""


async def examine(
    book: PeerBook, associations: Associations, settings: Dimse, name: str = ""
) -> Diagnosis:
    """Say what is known.

    Args:
        book: Peers, as of their last refresh.
        associations: What went wrong, and when all was well.
        settings: ``[dimse]``.
        name: A peer's name, an AE title, or an address; empty: all of them.
    """
    name = name.strip()
    peers = [peer for peer in book.in_force if not name or _is_meant(peer, name)]
    titles = {peer.ae_title.strip() for peer in peers} | {name}
    hosts = {peer.host for peer in peers} | {name}
    others = {peer.ae_title.strip() for peer in book.in_force} - titles
    rows = await associations.all()
    meant = [row for row in rows if not name or _is_about(row, titles, hosts, others)]
    known = {peer.ae_title.strip() for peer in book.in_force}
    troubles = [_as_of_now(row, known) for row in meant if row.kind != FINE]
    return Diagnosis(
        peers=tuple(_state(peer, rows, settings) for peer in peers),
        troubles=tuple(replace(row, fine_since=_fine_since(row, rows)) for row in troubles),
        is_known=bool(peers or meant or not name),
    )


def _is_meant(peer: Peer, name: str) -> bool:
    return name in (peer.name.strip(), peer.ae_title.strip(), peer.host)


def _is_about(
    row: Trouble, titles: Collection[str], hosts: Collection[str], others: Collection[str]
) -> bool:
    """Also what came from its address under no title, or one that is no other peer's.

    And what named it as a destination, with whatever letters.
    """
    if row.ae_title and row.ae_title in titles:
        return True
    if row.kind == DESTINATION and row.about.casefold() in map(str.casefold, titles):
        return bool(row.about)
    if row.ae_title in others:
        return False
    host = row.host if row.direction is Direction.IN else row.host.rpartition(":")[0]
    return bool(host) and host in hosts


def _state(peer: Peer, rows: Sequence[Trouble], settings: Dimse) -> PeerState:
    title = peer.ae_title.strip()
    its = [row for row in rows if row.ae_title == title]
    fine: dict[Direction, float] = {}
    for row in its:
        if row.kind == FINE:
            fine[row.direction] = max(row.last_seen, fine.get(row.direction, 0.0))
    has_called = any(row.direction is Direction.IN and row.is_known for row in its)
    return PeerState(
        title,
        peer.name,
        peer.host,
        fine.get(Direction.IN),
        fine.get(Direction.OUT),
        None if has_called else never_called(peer, settings),
    )


def _as_of_now(row: Trouble, known: Collection[str]) -> Trouble:
    """With who it is now: it may have been let in, or forgotten, since."""
    if not row.ae_title:
        return row
    is_known = row.ae_title in known
    if is_known and row.kind == _TURNED_AWAY:
        # What would have to be done for it was done.
        return replace(row, is_known=True, what=f"{row.what}; it was let in since", changes=())
    return replace(row, is_known=is_known)


def _fine_since(row: Trouble, rows: Sequence[Trouble]) -> float | None:
    """When all went well again after it, the same way and the same AE title."""
    return max(
        (
            other.last_seen
            for other in rows
            if other.kind == FINE
            and (other.direction, other.ae_title) == (row.direction, row.ae_title)
            and other.last_seen > row.last_seen
        ),
        default=None,
    )

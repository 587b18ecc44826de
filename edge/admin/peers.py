"""DICOM peers over the admin API: who may call, who called and may not, and the way back to them.

All of it is for who may ``administer``: whoever approves a peer lets a device in. One that may ask
for images is let in by people alone: it would outlive a token that was stolen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Final

import msgspec
from aiohttp import web

from edge.access.roles import Act, Identity, Proof, needs
from edge.admin.asking import body, only, wanted
from edge.admin.entrance import as_json
from edge.admin.openapi import operation
from edge.cache.peers import Approved, PeerBook, Reached, Stranger
from edge.errors import AccessDenied
from edge.others import Peer, Right

__all__ = ["KnownPeer", "known_peers", "peer_routes"]

_Title = Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=only(r"[ -\[\]-~]+"))]
_Name = Annotated[str, msgspec.Meta(max_length=64, pattern=only(r"[^\x00-\x1f\x7f]*"))]


_READS: Final = ("query", "retrieve", "worklist")
"""Rights to read of patients."""


class KnownPeer(msgspec.Struct, forbid_unknown_fields=True):
    """A peer of the configuration, or one that was approved."""

    ae_title: str
    name: str
    host: str
    port: int
    may: list[str]
    tls: bool
    certificate: str
    max_associations: int
    source: str
    """``configuration``, or who approved it."""
    approved: float | None = None
    """POSIX seconds; null if the configuration has it."""
    in_force: bool = True
    """False if the configuration has one of its AE title, which wins."""


class PeerList(msgspec.Struct, forbid_unknown_fields=True):
    """Those that may call, and those that called and may not."""

    peers: list[KnownPeer]
    strangers: list[Stranger]


class Approval(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to approve, and for what."""

    ae_title: _Title
    may: list[Right] = msgspec.field(default_factory=lambda: ["store"])
    host: Annotated[str, msgspec.Meta(max_length=253)] | None = None
    """Left out: where it called from; empty: any."""
    port: Annotated[float, msgspec.Meta(ge=1, le=65535, multiple_of=1)] = 104
    """A whole number, which JSON may write as 104.0 (this and ``max_associations``)."""
    name: _Name = ""
    tls: bool = False
    certificate: Annotated[str, msgspec.Meta(max_length=400)] = ""
    max_associations: Annotated[float, msgspec.Meta(ge=0, le=100_000, multiple_of=1)] = 0


class Forgetting(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to forget."""

    ae_title: Annotated[str, msgspec.Meta(max_length=16)] = ""


class Forgotten(msgspec.Struct, forbid_unknown_fields=True):
    """Whether there was one."""

    forgotten: bool
    configured: bool
    """The configuration names it, and so lets it in nevertheless."""


class Named(msgspec.Struct):
    """A peer, by its name or AE title."""

    ae: str


def known_peers(book: PeerBook) -> list[KnownPeer]:
    """Those of the configuration first."""
    return [
        *(_known(peer, "configuration") for peer in book.configured),
        *(
            _approved(one, in_force=not book.is_configured(one.peer.ae_title))
            for one in book.approved
        ),
    ]


def _check_may_approve(asking: Identity, wish: Approval) -> None:
    """Do nothing if who asks may let a device do all that.

    Raises:
        AccessDenied: It is a token, and the device would go on reading once that is revoked.
    """
    gets = [right for right in wish.may if right in _READS]
    if gets and asking.proof is Proof.TOKEN:
        raise AccessDenied(
            f"no token gives a peer the right to {' and '.join(gets)}:"
            " it would go on reading of patients once that is revoked",
            hint="log in as a person, or use edge peer approve on the machine",
            known=True,
        )


def _approved(one: Approved, *, in_force: bool) -> KnownPeer:
    return _known(one.peer, one.who, one.approved, in_force=in_force)


def _known(
    peer: Peer, source: str, approved: float | None = None, *, in_force: bool = True
) -> KnownPeer:
    return KnownPeer(
        peer.ae_title.strip(),
        peer.name,
        peer.host,
        peer.port,
        list(peer.may),
        peer.tls,
        peer.certificate,
        peer.max_associations,
        source,
        approved,
        in_force,
    )


def peer_routes(
    book: PeerBook,
    identity: Callable[[web.Request], Identity],
    echo: Callable[[str], Awaitable[Reached]],
) -> Sequence[web.RouteDef]:
    """``/peers``.

    Args:
        book: Approved peers, and strangers.
        identity: Who asks.
        echo: Calls the peer of that name or AE title.
    """

    @operation("DICOM peers that may call, and strangers that called.", answer=PeerList)
    @needs(Act.ADMINISTER)
    async def listed(_: web.Request) -> web.Response:
        return as_json(PeerList(known_peers(book), book.strangers.all()))

    @operation("Approve a DICOM peer; it may call at once.", answer=KnownPeer, body=Approval)
    @needs(Act.ADMINISTER)
    async def approve(request: web.Request) -> web.Response:
        wish = await body(request, Approval)
        _check_may_approve(identity(request), wish)
        peer = Peer(
            wish.ae_title,
            "",
            int(wish.port),
            tuple(wish.may),
            wish.name,
            wish.tls,
            wish.certificate,
            int(wish.max_associations),
        )
        done = await book.approve(peer, identity(request).name, host=wish.host)
        return as_json(_approved(done, in_force=True))

    @operation("Forget an approved DICOM peer, or a stranger.", answer=Forgotten, query=Forgetting)
    @needs(Act.ADMINISTER)
    async def forget(request: web.Request) -> web.Response:
        asked = wanted(request, Forgetting)
        gone = await book.forget(asked.ae_title, identity(request).name)
        return as_json(Forgotten(bool(gone), gone.configured))

    @operation("Call a DICOM peer with C-ECHO.", answer=Reached, path=Named)
    @needs(Act.ADMINISTER)
    async def call(request: web.Request) -> web.Response:
        return web.json_response(asdict(await echo(request.match_info["ae"])))

    return [
        web.get("/peers", listed),
        web.post("/peers", approve),
        web.delete("/peers", forget),
        web.post("/peers/{ae}/echo", call),
    ]

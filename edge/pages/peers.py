"""Devices and other systems: who may call, who called and may not, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edge.access.roles import Act
from edge.addresses import host_and_port, is_everywhere, is_loopback
from edge.cache.network import Look, look
from edge.pages.page import Group, Page, Visit
from edge.pages.words import noted

__all__ = ["PAGE"]

_RIGHTS: Final = {
    "store": noted("send images"),
    "query": noted("search"),
    "retrieve": noted("fetch images"),
    "commit": noted("have the box vouch for images"),
    "worklist": noted("ask for the worklist"),
}


async def fill(visit: Visit) -> Mapping[str, Any]:
    """What devices have to be told of the box, and how it takes those that it does not know."""
    dimse, words = visit.means.config.dimse, visit.words
    looks = await asyncio.to_thread(look)
    listens = [one for one in (dimse.listen, dimse.tls_listen) if one.strip()]
    return {
        "address": _address(listens, looks),
        "is_loopback": bool(listens) and all(map(is_loopback, listens)),
        "ae_title": dimse.ae_title,
        "ports": [one.rpartition(":")[2] for one in listens],
        "unknown": dimse.unknown_peers,
        "rights": {name: words.gettext(text) for name, text in _RIGHTS.items()},
    }


def _address(listens: Sequence[str], looks: Sequence[Look]) -> str:
    """Where the box listens; if that is everywhere, the machine's own address, if it is known."""
    named = {host for one in listens if not is_everywhere(host := host_and_port(one)[0])}
    if named:
        return ", ".join(sorted(named))
    return next((one.found for one in looks if one.what == "address" and one.is_fine), "")


PAGE: Final = Page("/peers", "peers", noted("Devices"), Act.ADMINISTER, Group.LINE, fill=fill)

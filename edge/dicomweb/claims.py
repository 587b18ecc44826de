"""What a request to the image services is an act of, for the audit.

Owns the table between the transactions of PS3.18 and the events of PS3.15 A.5.3. A transaction that
is not in it counts as an access: nothing gets around the record by being new.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web

from edge.access.audit.claim import Claim
from edge.access.audit.entry import Event
from edge.dicomweb.transactions import of_handler

__all__ = ["claim_of_feed", "claim_of_images", "claim_of_uri"]

_SIZE: Final = re.compile(r"(\d{1,4}),(\d{1,4})", re.ASCII)
_SMALL: Final = 200
"""Pixels of an edge: what a thumbnail has of which no size is asked for."""
_WHOLE: Final = frozenset({"Retrieve Instance", "Retrieve Instances"})
"""Transactions that give instances as they are, for another system to keep."""


def claim_of_images(request: web.Request) -> Claim | None:
    """Of ``/dicom-web``."""
    name = _transaction_of(request)
    study, sop = request.match_info.get("study", ""), request.match_info.get("instance", "")
    if request.method == hdrs.METH_OPTIONS or not (name or study):
        return None  # what the service can do is no secret
    if name == "Search" and not study:
        return Claim(Event.QUERIED, "QIDO-RS", query=request.rel_url.raw_query_string)
    if name == "Store Instances":
        return Claim(Event.RECEIVED, "STOW-RS", study)
    if name == "Delete":
        what = (
            "study" if "series" not in request.match_info else "series" if not sop else "instance"
        )
        return Claim(
            Event.DELETED,
            f"the {what}",
            study,
            sop,
            target="" if what == "study" else request.path.rpartition("/studies/")[2],
            detail=dict(request.query),
            is_durable=True,
            begins=Event.DELETING,
        )
    if name in _WHOLE:
        return Claim(Event.SENT, "WADO-RS", study, sop, begins=Event.SENDING)
    return _look(request, study, sop)


def _look(request: web.Request, study: str, sop: str) -> Claim:
    """At images, or at a list of them."""
    if _is_of_list(request):
        # The Standard has no word of its own for it: its message is that of an access.
        return Claim(Event.SHOWN, "WADO-RS", study, detail={"picture": "small, as in a list"})
    return Claim(Event.ACCESSED, "WADO-RS", study, sop)


def _is_of_list(request: web.Request) -> bool:
    """Whether it is one small picture for a whole study, in which little more is to be seen."""
    resource = request.match_info.route.resource
    if resource is None or not resource.canonical.endswith("/studies/{study}/thumbnail"):
        return False
    size = request.query.get("viewport")
    wanted = None if size is None else _SIZE.fullmatch(size)
    return size is None or (wanted is not None and max(map(int, wanted.groups())) <= _SMALL)


def claim_of_uri(request: web.Request) -> Claim | None:
    """Of ``/wado``."""
    query = request.query
    study, sop = query.get("studyUID", "")[:64], query.get("objectUID", "")[:64]
    if query.get("contentType") == "application/dicom":
        return Claim(Event.SENT, "WADO-URI", study, sop, begins=Event.SENDING)
    return Claim(Event.ACCESSED, "WADO-URI", study, sop)


def claim_of_feed(request: web.Request) -> Claim | None:
    """Of ``/changefeed``: it names what came, with its metadata, of every patient."""
    if request.method == hdrs.METH_OPTIONS:
        return None
    return Claim(Event.QUERIED, "change feed")


def _transaction_of(request: web.Request) -> str:
    try:
        return of_handler(request.match_info.handler).name
    except LookupError:
        return ""

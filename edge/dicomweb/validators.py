"""Validators: by what a client knows whether its copy is still good (RFC 9110 8.8, 13).

Owns entity tags, Last-Modified, and the conditions that are made with them. Promises that a strong
tag is only given to bytes that are the same every time, and that a copy is never called good whose
instances are not known byte by byte. A date is given only of what is made of one instance, once its
second is over, and holds for that second alone: clocks are set back, and a study that lost an
instance is no younger for it. Opens nothing: the index knows the digests.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from edge import __version__
from edge.dicomweb.responses import Refused

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry

__all__ = [
    "NO_VALIDATORS",
    "Validators",
    "is_range_good",
    "refuse_conditions",
    "unchanged",
    "validators_of",
]

_CACHING: Final = "no-store"
"""Images of patients: a program may keep them, and ask whether they still are; a browser not."""
_SETTLED: Final = 2.0
"""Seconds after which nothing else can come in the second that a date names."""


@dataclass(frozen=True, slots=True)
class Validators:
    """Of one representation of a resource."""

    tag: str = ""
    """Entity tag, as it stands in the header; empty if there is none."""
    modified: int = 0
    """When its instance came, in whole POSIX seconds; 0 if it has no date."""

    def headers(self) -> dict[str, str]:
        """As they stand on the answer."""
        found: dict[str, str] = {hdrs.CACHE_CONTROL: _CACHING, hdrs.VARY: hdrs.ACCEPT}
        if self.tag:
            found[hdrs.ETAG] = self.tag
        if self.modified:
            found[hdrs.LAST_MODIFIED] = formatdate(self.modified, usegmt=True)
        return found


NO_VALIDATORS: Final = Validators()
"""Nothing is known of its bytes."""


def validators_of(
    entries: Iterable[InstanceEntry], *form: object, exact: bool = False, edited: bool = False
) -> Validators:
    """Of what is made of these instances.

    Args:
        entries: All that it is made of.
        form: What else the bytes depend on; an entity tag is bound to it.
        exact: The bytes are those that are stored, or always the same for other reasons.
        edited: They say of patient and study what the archive says.
    """
    digest, dates = hashlib.sha256(repr((__version__, form)).encode()), []
    is_as_received = True
    for entry in entries:
        if not entry.version:
            return NO_VALIDATORS
        digest.update(f"\0{entry.ref.sop_uid}\0{entry.version}".encode())
        dates.append(entry.received)
        if edited and entry.edition:
            digest.update(f"\0{entry.edition}".encode())
            is_as_received = False
    tag = f'"{digest.hexdigest()[:32]}"'
    is_dated = is_as_received and len(dates) == 1 and dates[0] < time.time() - _SETTLED
    return Validators(tag if exact else f"W/{tag}", int(dates[0]) if is_dated else 0)


def unchanged(request: web.Request, validators: Validators) -> web.Response | None:
    """The answer 304, if what the client has is still good; None if it must be sent.

    Raises:
        Refused: 412, the client wants it only as it was, and it is not (RFC 9110 13.1.1).
    """
    wanted = _tags(request, hdrs.IF_MATCH)
    if wanted and not any(tag == "*" or _is_same(tag, validators) for tag in wanted):
        raise Refused(412, "it is not what If-Match names", hint="ask for it without If-Match")
    known = {tag.removeprefix("W/") for tag in _tags(request, hdrs.IF_NONE_MATCH)}
    # RFC 9110 13.2.2: a tag goes before a date, and is compared weakly here (13.1.2).
    if known:
        is_good = bool(validators.tag) and bool(known & {"*", validators.tag.removeprefix("W/")})
    else:
        is_good = _is_of(request.headers.get(hdrs.IF_MODIFIED_SINCE, ""), validators)
    return web.Response(status=304, headers=validators.headers()) if is_good else None


def _is_of(date: str, validators: Validators) -> bool:
    """Whether it is the very date of what there is."""
    try:
        return 0 < validators.modified == parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return False


def refuse_conditions(request: web.Request) -> None:
    """Of what has no one representation, only ``If-Match: *`` is known to hold.

    Raises:
        Refused: 412, there is a condition, and nobody shall believe that it was looked at.
    """
    for name in (hdrs.IF_MATCH, hdrs.IF_NONE_MATCH, hdrs.IF_UNMODIFIED_SINCE):
        if _tags(request, name) - ({"*"} if name == hdrs.IF_MATCH else set()):
            raise Refused(
                412,
                f"{name} can't be checked here: a tag is of one form of a resource",
                hint=f"nothing was done; ask without {name}, or with If-Match: *",
            )


def _tags(request: web.Request, name: str) -> set[str]:
    """The members of a header, in whichever lines they stand."""
    members = ",".join(request.headers.getall(name, [])).split(",")
    return {member.strip() for member in members} - {""}


def is_range_good(request: web.Request, validators: Validators) -> bool:
    """Whether a part may be sent: the rest of it is what the client has (RFC 9110 13.1.5)."""
    condition = request.headers.get("If-Range")
    return condition is None or _is_same(condition, validators)


def _is_same(tag: str, validators: Validators) -> bool:
    """Strong comparison: a weak tag is never the same, its bytes may be others."""
    return tag == validators.tag and not tag.startswith("W/")

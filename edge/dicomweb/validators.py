"""Validators: by what a client knows whether its copy is still good (RFC 9110 8.8, 13).

Owns entity tags, Last-Modified, and the conditions that are made with them. Promises that a strong
tag is only given to bytes that are the same every time, and that a copy is never called good whose
instances are not known byte by byte. Opens nothing: the index knows the digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from edge import __version__

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry

__all__ = ["NO_VALIDATORS", "Validators", "is_range_good", "unchanged", "validators_of"]

_CACHING: Final = "private, no-cache"
"""Images of patients: kept by one reader only, who asks each time whether they still are."""


@dataclass(frozen=True, slots=True)
class Validators:
    """Of one representation of a resource."""

    tag: str = ""
    """Entity tag, as it stands in the header; empty if there is none."""
    modified: float = 0.0
    """When the youngest of its instances came, in POSIX seconds; 0 if that is not known."""

    def headers(self) -> dict[str, str]:
        """As they stand on the answer."""
        found: dict[str, str] = {hdrs.CACHE_CONTROL: _CACHING, hdrs.VARY: hdrs.ACCEPT}
        if self.tag:
            found[hdrs.ETAG] = self.tag
        if self.modified:
            found[hdrs.LAST_MODIFIED] = formatdate(int(self.modified), usegmt=True)
        return found


NO_VALIDATORS: Final = Validators()
"""Nothing is known of its bytes."""


def validators_of(
    entries: Iterable[InstanceEntry], *form: object, exact: bool = False
) -> Validators:
    """Of what is made of these instances.

    Args:
        entries: All that it is made of.
        form: What else the bytes depend on; an entity tag is bound to it.
        exact: The bytes are those that are stored, or always the same for other reasons.
    """
    digest, modified = hashlib.sha256(repr((__version__, form)).encode()), 0.0
    for entry in entries:
        if not entry.version:
            return NO_VALIDATORS
        digest.update(f"\0{entry.ref.sop_uid}\0{entry.version}".encode())
        modified = max(modified, entry.received)
    tag = f'"{digest.hexdigest()[:32]}"'
    return Validators(tag if exact else f"W/{tag}", modified)


def unchanged(request: web.Request, validators: Validators) -> web.Response | None:
    """The answer 304, if what the client has is still good; None if it must be sent."""
    if _is_good(request.headers, validators):
        return web.Response(status=304, headers=validators.headers())
    return None


def _is_good(headers: Mapping[str, str], validators: Validators) -> bool:
    # RFC 9110 13.2.2: a tag goes before a date, and is compared weakly here (13.1.2).
    if (tags := headers.get(hdrs.IF_NONE_MATCH)) is not None:
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return bool(validators.tag) and ("*" in known or _opaque(validators) in known)
    since = headers.get(hdrs.IF_MODIFIED_SINCE)
    return since is not None and _is_since(since, validators)


def _opaque(validators: Validators) -> str:
    return validators.tag.removeprefix("W/")


def _is_since(text: str, validators: Validators) -> bool:
    """Whether nothing came after that date, to the second that dates have."""
    try:
        date = parsedate_to_datetime(text)
        return bool(validators.modified) and int(validators.modified) <= date.timestamp()
    except (ValueError, TypeError, OverflowError):
        return False


def is_range_good(request: web.Request, validators: Validators) -> bool:
    """Whether a part may be sent: the rest of it is what the client has (RFC 9110 13.1.5)."""
    condition = request.headers.get("If-Range")
    if condition is None:
        return True
    return condition == validators.tag and not condition.startswith("W/")

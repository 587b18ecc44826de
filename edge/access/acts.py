"""What can be done to the box, and through which service of it: the words of roles and scopes.

Owns no table: which role may what stands in `roles`, and how a token is narrowed in `scope`.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Act", "Service"]


class Act(StrEnum):
    """What can be done to the box, coarse enough to be explained to a clinic."""

    READ = "read"
    """Search studies and open them."""
    STORE = "store"
    """Bring instances in."""
    DELETE = "delete"
    """Delete instances, here and in the archive."""
    DECIDE = "decide"
    """Decide what box and archive can't between them: dead letters and conflicts."""
    ADMINISTER = "administer"
    """See and change how the box itself works: tokens, peers, archives."""


class Service(StrEnum):
    """A door of the HTTP port, as tokens are made for it."""

    DICOMWEB = "dicomweb"
    """``/dicom-web`` and ``/wado``: images, in and out."""
    CHANGEFEED = "changefeed"
    """``/changefeed``: what changed, in order."""
    ADMIN = "admin"
    """``/api/v1``: the box itself, its worklist, its trash."""

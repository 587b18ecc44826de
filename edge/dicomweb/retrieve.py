"""WADO-RS: what all of its resources share (PS3.18 10.4).

Owns the way from a resource to its instances, and what is said of one that is not there. Each kind
of resource has a module of its own: ``instances``, ``metadata``, ``frames``, ``bulkdata``,
``rendered``. None opens an object itself: everything comes through ``open_instance``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import InstanceNotFound

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry
    from edge.cache.retrieval import Retrieval
    from edge.dicomweb.resources import Target

__all__ = ["entries_of", "entry_of", "unknown"]


async def entries_of(retrieval: Retrieval, target: Target) -> list[InstanceEntry]:
    """The instances of a study, a series, or one of them, in their natural order.

    Raises:
        InstanceNotFound: There are none.
        CloudError: It is not known here, and the archive can't be asked now.
    """
    entries = await retrieval.instances(*target.uids)
    if not entries:
        raise unknown(target)
    return entries


async def entry_of(retrieval: Retrieval, target: Target) -> InstanceEntry:
    """The instance that a resource is, or is part of.

    Raises:
        InstanceNotFound: It is not there.
        CloudError: It is not known here, and the archive can't be asked now.
    """
    [entry] = await entries_of(retrieval, target)
    return entry


def unknown(target: Target) -> InstanceNotFound:
    """The error that says so."""
    return InstanceNotFound(
        f"{target} is not known here", hint="search for it: /studies, /series or /instances"
    )

"""The few numbers that every screen shows, each one question to the index."""

from __future__ import annotations

from dataclasses import dataclass

from edge.index.database import Database

__all__ = ["Summary", "summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of studies and instances, and bytes."""

    studies: int
    studies_only_here: int
    """Studies with an instance that no archive vouches for."""
    instances: int
    instances_online: int
    custody: dict[str, int]
    """Instances by who vouches for them."""
    backlog_bytes: int
    """Of instances that are still to be sent."""
    sealed_bytes: int
    """On disk, quarantine included."""
    quarantined: int
    lost: int
    """Instances that were here, are gone, and no archive is known to have."""


async def summary(database: Database) -> Summary:
    """All of it, as of the last commit."""
    ((studies, only_here, instances, online),) = await database.read(
        "SELECT count(*), coalesce(sum(edge_only_count > 0), 0),"
        " coalesce(sum(instance_count), 0), coalesce(sum(online_count), 0) FROM studies"
    )
    custody = await database.read(
        "SELECT custody, count(*), coalesce(sum(content_bytes), 0) FROM instances GROUP BY custody"
    )
    ((sealed, quarantined, lost),) = await database.read(
        "SELECT (SELECT sealed_bytes FROM totals), (SELECT count(*) FROM quarantine),"
        " (SELECT count(*) FROM instances WHERE availability = 'UNAVAILABLE')"
    )
    return Summary(
        studies=studies,
        studies_only_here=only_here,
        instances=instances,
        instances_online=online,
        custody={name: count for name, count, _ in custody},
        backlog_bytes=sum(size for name, _, size in custody if name in {"EDGE_ONLY", "SENT"}),
        sealed_bytes=sealed,
        quarantined=quarantined,
        lost=lost,
    )

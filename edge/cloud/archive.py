"""The archive, as the rest of the edge sees it: one Protocol and the values that cross it.

Owns the words for what an archive answers. Promises that every answer is per instance, and that
"we don't know" is an answer of its own, never taken for yes or no. Never does I/O; ``dicomweb.py``
and the fakes of the tests implement it, and one contract suite runs against all of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from edge.dicom.instance import InstanceRef

__all__ = [
    "Advice",
    "Archive",
    "Dataset",
    "Outgoing",
    "StoreOutcome",
    "StoreResult",
    "first_value",
]

Dataset = dict[str, Any]
"""A data set in the DICOM JSON model (PS3.18 F.2): tag as ``"0020000D"`` to ``{"vr", "Value"}``."""


def first_value(dataset: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute, None if it is absent, empty or ill-formed."""
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An instance on its way to the archive."""

    ref: InstanceRef
    size: int
    """Bytes of the Part 10 stream that ``open`` gives, exactly."""
    open: Callable[[], AsyncGenerator[bytes]]
    """Starts the stream; called once, when its turn comes."""


class StoreOutcome(StrEnum):
    """What became of one instance."""

    STORED = "STORED"
    """The archive listed it as stored, perhaps with a warning."""
    FAILED = "FAILED"
    """The archive said no; ``StoreResult.advice`` says what to do."""
    UNKNOWN = "UNKNOWN"
    """No word about it: it may be there or not. Ask before sending it again."""


class Advice(StrEnum):
    """What to do about an instance that the archive did not take."""

    NONE = "NONE"
    RETRY = "RETRY"
    """Send it again a limited number of times, later each time."""
    WAIT = "WAIT"
    """The archive is busy with this very object: send it again, later."""
    FULL = "FULL"
    """The archive has no room: send nothing for a good while."""
    COMPARE = "COMPARE"
    """The archive has this UID: compare its bytes with ours."""
    QUARANTINE = "QUARANTINE"
    """It will be refused again: a dead letter, for a person."""


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What the archive answered about one instance (PS3.18 10.5.3)."""

    ref: InstanceRef
    outcome: StoreOutcome
    advice: Advice = Advice.NONE
    reason: int | None = None
    """Failure Reason (0008,1197) or Warning Reason (0008,1196)."""
    status: int | None = None
    """HTTP status of the answer; None if none came."""
    text: str = ""
    """The archive's own words, shortened. May name a patient: for the index, never for a log."""


class Archive(Protocol):
    """Where studies go and come from.

    Every method may raise ``CloudUnreachable`` (no usable answer: try later),
    ``CloudUnauthorised`` (our credentials) or ``CloudRefused`` (the answer is no). Searches and
    retrievals can be repeated at will.
    """

    @property
    def name(self) -> str:
        """Of the archive, as configured: what messages and the ledger call it."""
        ...

    async def answers(self) -> bool:
        """Whether anything at all takes a connection at its address; nothing is asked there."""
        ...

    async def store_instances(self, instances: Sequence[Outgoing]) -> list[StoreResult]:
        """Send instances in one request (STOW-RS, PS3.18 10.5); the answer is in their order.

        After any error, each instance of the request may or may not be there.

        Raises:
            InstanceUnreadable: The stream of one of them failed, or gave another number of bytes.
        """
        ...

    async def search_studies(
        self, params: Mapping[str, str] | None = None, *, limit: int, offset: int = 0
    ) -> list[Dataset]:
        """One page of studies that match (QIDO-RS, PS3.18 10.6), with their counts if it can.

        An archive may give fewer than *limit* although there are more.
        """
        ...

    async def search_series(self, study_uid: str) -> list[Dataset]:
        """All series of a study; none if it is not there."""
        ...

    async def search_instances(
        self, study_uid: str, series_uid: str, sop_uid: str | None = None
    ) -> list[Dataset]:
        """All instances of a series, or the one with *sop_uid*; none if they are not there."""
        ...

    def retrieve_instance(self, ref: InstanceRef) -> AsyncGenerator[bytes]:
        """The Part 10 stream of an instance as the archive keeps it (WADO-RS, PS3.18 10.4).

        Ends early only by raising. Close it (``contextlib.aclosing``) if it is not read to its end.

        Raises:
            InstanceNotFound: The archive does not have it.
        """
        ...

    def retrieve_study(
        self, study_uid: str, series_uid: str | None = None
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The Part 10 streams of a study or series, one after the other, in any order.

        What is not read of one is skipped when the next is asked for.

        Raises:
            InstanceNotFound: The archive has none of it.
        """
        ...

    async def retrieve_metadata(
        self, study_uid: str, series_uid: str | None = None
    ) -> list[Dataset]:
        """The metadata of every instance of a study or series (PS3.18 10.4.1.1.2).

        Raises:
            InstanceNotFound: The archive has none of it.
        """
        ...

    async def delete_instance(self, ref: InstanceRef) -> None:
        """Have the archive delete an instance, which PS3.18 leaves to each of them.

        Raises:
            InstanceNotFound: It does not have it.
            CloudRefused: Also with 405 or 501 when it deletes nothing at all.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

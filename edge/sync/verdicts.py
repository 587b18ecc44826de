"""What becomes of an instance by what the archive answered about it.

REFUSED is for good where the archive's reason is (a dead letter, for a person). A refusal for no
lasting reason is called REFUSED, too, once it was repeated, and is still tried again, ever more
rarely: an archive may be ill for days and then be well. The archive's words may name a patient:
they go into the index, not into the log. No I/O.
"""

from __future__ import annotations

import logging

from edge.cache.ledger import Owed, Settlement
from edge.cloud.archive import Advice, StoreOutcome, StoreResult
from edge.cloud.retry import Backoff
from edge.dicom.instance import Custody
from edge.errors import (
    DecisionRefused,
    EdgeError,
    InvalidInstance,
    PixelError,
    PixelWorkersBusy,
)
from edge.sync.batches import Suspects
from edge.sync.fullness import Fullness

__all__ = ["Verdicts"]

log = logging.getLogger(__name__)

_REFUSED_FROM = 5
"""Refusals for no lasting reason after which an instance is called refused."""
_LONGEST_REFUSED = 12 * 3600.0
"""Seconds between two offers of an instance that is refused again and again."""


class Verdicts:
    """Those of one archive.

    Args:
        archive: Its name, for the log.
        suspects: Count refusals.
        fullness: Says when an archive that has no room is tried again.
        shortest: Seconds before the first further offer of what was refused.
        backoff: Of what the archive is busy with.
    """

    def __init__(
        self,
        archive: str,
        suspects: Suspects,
        fullness: Fullness,
        shortest: float,
        backoff: Backoff,
    ) -> None:
        self._archive = archive
        self._suspects = suspects
        self._fullness = fullness
        self._backoff = backoff
        self._refusal_backoff = Backoff(shortest, _LONGEST_REFUSED)

    def of(self, one: Owed, result: StoreResult, now: float) -> Settlement:
        """What an answer means that names the instance.

        Args:
            one: The instance.
            result: Of it; not UNKNOWN.
            now: POSIX seconds.
        """
        words = _words(result)
        if result.outcome is StoreOutcome.STORED or result.advice is Advice.COMPARE:
            return Settlement(one.instance_id, Custody.ACKNOWLEDGED, words)
        match result.advice:
            case Advice.WAIT:
                again = now + self._backoff.delay(one.tries + 1)
                return Settlement(one.instance_id, Custody.EDGE_ONLY, words, again)
            case Advice.FULL if not self._fullness.is_of(one.instance_id):
                return Settlement(one.instance_id, Custody.EDGE_ONLY, words, self._fullness.until)
            case Advice.QUARANTINE:
                self._log_refusal(one, result)
                self._suspects.cleared([one.instance_id])
                return Settlement(one.instance_id, Custody.REFUSED, words)
        # Perhaps it was stored all the same: it is asked about before it is sent again.
        refusals = self._suspects.refused(one.instance_id)
        again = now + self._refusal_backoff.delay(refusals)
        if refusals < _REFUSED_FROM:
            return Settlement(one.instance_id, Custody.SENT, words, again)
        if refusals == _REFUSED_FROM:
            self._log_refusal(one, result)
        words = f"{words} (refused {refusals} times)"
        return Settlement(one.instance_id, Custody.REFUSED, words, again)

    def without_copy(self, one: Owed, error: EdgeError, now: float) -> Settlement:
        """The copy that was to be sent can't be made: a dead letter, unless that may pass."""
        words = f"its copy can't be made: {error}"
        impossible = isinstance(error, DecisionRefused | PixelError | InvalidInstance)
        if impossible and not isinstance(error, PixelWorkersBusy):
            return Settlement(one.instance_id, Custody.REFUSED, words)
        again = now + self._backoff.delay(one.tries + 1)
        return Settlement(one.instance_id, Custody.EDGE_ONLY, words, again)

    def _log_refusal(self, one: Owed, result: StoreResult) -> None:
        log.warning(
            "archive %s will not take instance %s (HTTP %s, failure reason %s)",
            self._archive,
            one.ref.sop_uid,
            result.status,
            "none" if result.reason is None else f"{result.reason:04X}",
        )


def _words(result: StoreResult) -> str:
    """The archive's answer about an instance, for the index; empty if there is nothing to say."""
    head = ""
    if result.reason is not None:
        head = f"reason {result.reason:04X} ({result.reason})"
    elif result.outcome is not StoreOutcome.STORED and result.status is not None:
        head = f"HTTP {result.status}"
    return ": ".join(filter(None, (head, result.text)))

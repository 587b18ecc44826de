"""What a STOW-RS answer says about each instance that was sent (PS3.18 10.5.3, Annex I).

Owns the table of failure reasons and what to do about each. Promises one result per instance, from
*its own* item of the answer: whatever the status says, success is a UID in Referenced SOP Sequence,
and a UID that is nowhere is UNKNOWN. Never does I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from edge.cloud.archive import Advice, Dataset, StoreOutcome, StoreResult, first_value
from edge.dicom.instance import InstanceRef

__all__ = ["advice_for", "results_of", "shortened"]

REFERENCED_SOP_SEQUENCE = "00081199"
FAILED_SOP_SEQUENCE = "00081198"
OTHER_FAILURES_SEQUENCE = "0008119A"
REFERENCED_SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"
WARNING_REASON = "00081196"
ERROR_COMMENT = "00000902"
_SEQUENCES = (REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE, OTHER_FAILURES_SEQUENCE)

_MAX_TEXT = 500
_MAX_NESTING = 8

# Vendors' own numbers; the Standard's ranges are in advice_for.
_VENDOR_ADVICE = {
    # Azure Health Data Services; its 43264 and 43265, validation and wrong study, are A900, A901
    45070: Advice.COMPARE,  # the instance exists
    45071: Advice.WAIT,  # another request stores it at this moment
    # dcm4chee: tombstone, patient conflicts (a person decides), deletion under way
    0xA771: Advice.QUARANTINE,
    0xA778: Advice.QUARANTINE,
    0xA779: Advice.QUARANTINE,
    0xA77A: Advice.WAIT,
    # Google, and PS3.7 C: Processing failure; the words tell the one kind from the other
    0x0110: Advice.RETRY,
    0x0111: Advice.COMPARE,  # PS3.7 C.4: duplicate SOP instance
    0x0122: Advice.QUARANTINE,  # PS3.7 C.4: SOP class not supported
    0x0124: Advice.QUARANTINE,  # PS3.7 C.4: not authorised
}


def advice_for(reason: int | None, text: str = "") -> Advice:
    """What to do about a Failure Reason (PS3.18 10.5.3.1.2, PS3.4 B.2.3)."""
    if reason is None:
        return Advice.RETRY
    if reason == 0x0110 and "already exists" in text.lower():
        return Advice.COMPARE
    if known := _VENDOR_ADVICE.get(reason):
        return known
    if 0xA700 <= reason <= 0xA7FF:
        return Advice.FULL
    if 0xA900 <= reason <= 0xA9FF or 0xC000 <= reason <= 0xCFFF:
        # C122, the transfer syntax, is among them: transcoding a copy is a person's decision yet.
        return Advice.QUARANTINE
    return Advice.RETRY


def results_of(
    refs: Sequence[InstanceRef], answer: Dataset | None, *, status: int, text: str = ""
) -> list[StoreResult]:
    """One result per instance, in order.

    Args:
        refs: What was sent.
        answer: The data set in the answer's body; None if it held none.
        status: The HTTP status. It decides only about what the data set does not name.
        text: Words of an answer without a data set.
    """
    found: dict[str, StoreResult] = {}
    sent = {ref.sop_uid: ref for ref in refs}
    # Stored last: what is in two sequences at once is stored.
    for tag in (OTHER_FAILURES_SEQUENCE, FAILED_SOP_SEQUENCE):
        for item in _items(answer, tag):
            if ref := sent.get(_sop_uid(item)):
                found[ref.sop_uid] = _failed(ref, item, status)
    for item in _items(answer, REFERENCED_SOP_SEQUENCE):
        if ref := sent.get(_sop_uid(item)):
            found[ref.sop_uid] = _stored(ref, item, status)
    words = _words_beside(answer) or text
    silent = StoreOutcome.UNKNOWN
    advice = Advice.NONE
    if len(sent) == 1 and 400 <= status < 500:
        # It was alone, so the refusal can only be meant for it.
        silent = StoreOutcome.FAILED
        advice = Advice.QUARANTINE if status == 413 else Advice.RETRY
    if len(sent) == 1 and status == 413:
        # Too long, whichever reason stands in the item: some say A700.
        found = {uid: replace(it, advice=Advice.QUARANTINE) for uid, it in found.items()}
    return [
        found.get(ref.sop_uid)
        or StoreResult(ref, silent, advice, status=status, text=shortened(words))
        for ref in refs
    ]


def _stored(ref: InstanceRef, item: Dataset, status: int) -> StoreResult:
    # PS3.18 Table I.2-2: B000, B006, B007 and others warn, and mean stored all the same.
    reason = _number(item, WARNING_REASON)
    return StoreResult(ref, StoreOutcome.STORED, reason=reason, status=status, text=_words_in(item))


def _failed(ref: InstanceRef, item: Dataset, status: int) -> StoreResult:
    reason, text = _number(item, FAILURE_REASON), _words_in(item)
    return StoreResult(
        ref,
        StoreOutcome.FAILED,
        advice_for(reason, text),
        reason=reason,
        status=status,
        text=text,
    )


def _items(dataset: Dataset | None, tag: str) -> Iterator[Dataset]:
    element = (dataset or {}).get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    for item in values if isinstance(values, list) else ():
        if isinstance(item, dict):
            yield item


def _sop_uid(item: Dataset) -> str:
    value = first_value(item, REFERENCED_SOP_INSTANCE_UID)
    return value.strip("\0 ") if isinstance(value, str) else ""


def _number(item: Dataset, tag: str) -> int | None:
    value = first_value(item, tag)
    try:
        return int(value) if value is not None else None
    except (TypeError, ValueError):
        return None


def _words_beside(answer: Dataset | None) -> str:
    """Error comments that stand beside the sequences, or in items that name no instance."""
    if answer is None:
        return ""
    loose = {tag: it for tag, it in answer.items() if tag not in _SEQUENCES}
    nameless = [it for tag in _SEQUENCES for it in _items(answer, tag) if not _sop_uid(it)]
    return "; ".join(filter(None, map(_words_in, [loose, *nameless])))


def _words_in(dataset: Dataset) -> str:
    """The archive's own words: Error Comment (0000,0902) and private text, at any depth."""
    return shortened("; ".join(dict.fromkeys(_words(dataset, _MAX_NESTING))))


def _words(dataset: Dataset, depth: int) -> Iterator[str]:
    for tag, element in dataset.items():
        values: Any = element.get("Value") if isinstance(element, dict) else None
        for value in values if isinstance(values, list) else ():
            if isinstance(value, dict):
                if depth:
                    yield from _words(value, depth - 1)
            elif isinstance(value, str) and (tag == ERROR_COMMENT or _is_private(tag)):
                yield value


def _is_private(tag: str) -> bool:
    # PS3.5 7.8.1: odd groups; elements up to 00FF only reserve blocks.
    return len(tag) == 8 and tag[3] in "13579BDFbdf" and not tag[4:].startswith("00")


def shortened(text: str) -> str:
    """An archive's words, fit for one line of a table."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _MAX_TEXT]).split())
    return line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 1]}…"

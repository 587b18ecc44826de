"""Writes entries for other programs: a line of JSON for each, a table, or audit messages.

Promises that a table is harmless where spreadsheets open it: no cell begins a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from edge.access.audit.entry import Entry, moment
from edge.access.audit.messages import Messages

__all__ = ["COLUMNS", "as_csv", "as_dicom", "as_json"]

COLUMNS: Final = (
    "number",
    "at",
    "until",
    "event",
    "outcome",
    "what",
    "actor",
    "kind",
    "role",
    "proof",
    "token",
    "address",
    "ae_title",
    "patient_id",
    "patient_name",
    "study_uid",
    "accession_number",
    "times",
    "instances",
    "query",
    "target",
    "reason",
    "detail",
    "emergency",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def as_json(entries: Iterable[Entry]) -> Iterator[str]:
    """A line of JSON for each entry; what is not known is left out."""
    for entry in entries:
        yield msgspec.json.encode(entry).decode() + "\n"


def as_dicom(entries: Iterable[Entry], messages: Messages) -> Iterator[str]:
    """Audit messages (PS3.15 A.5), one to a line, in a root that is none of the Standard's."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<AuditMessages>\n'
    for entry in entries:
        yield messages.xml(entry) + "\n"
    yield "</AuditMessages>\n"


def as_csv(entries: Iterable[Entry]) -> Iterator[str]:
    """A table (RFC 4180) with a line of headings."""
    yield _line(COLUMNS)
    for entry in entries:
        actor, about = entry.actor, entry.about
        known = {
            **msgspec.structs.asdict(about),
            "number": entry.number,
            "at": moment(entry.at),
            "until": moment(entry.until) if entry.until else "",
            "event": str(entry.event),
            "outcome": entry.outcome.name.lower(),
            "what": entry.what,
            "actor": actor.name,
            "kind": str(actor.kind),
            "role": actor.role,
            "proof": actor.proof,
            "token": actor.token,
            "address": actor.address,
            "ae_title": actor.ae_title,
            "times": entry.times,
            "instances": entry.instances,
            "query": entry.query,
            "target": entry.target,
            "reason": entry.reason,
            "detail": "; ".join(f"{name}={text}" for name, text in entry.detail.items()),
            "emergency": actor.emergency,
        }
        yield _line([_harmless(known[name]) for name in COLUMNS])


def _harmless(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()

"""Instance Availability Notifications: what one says (PS3.4 R, Table R.3.2-1). No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from edge.dicom.procedure import MPPS

__all__ = ["AVAILABILITY_NOTIFICATION", "Available", "notification"]

AVAILABILITY_NOTIFICATION: Final = "1.2.840.10008.5.1.4.33"


@dataclass(frozen=True, slots=True)
class Available:
    """An instance, and how soon it can be had."""

    series_uid: str
    sop_class_uid: str
    sop_uid: str
    availability: str
    """Instance Availability (0008,0056)."""


def notification(
    study_uid: str, steps: Iterable[str], instances: Iterable[Available], ae_title: str
) -> dict[str, Any]:
    """The attributes of an N-CREATE, and no others: optional ones are forbidden (PS3.4 R.3.2.1.2).

    Args:
        study_uid: The study.
        steps: SOP Instance UIDs of the performed procedure steps that made it.
        instances: Of the study; at least one.
        ae_title: From which they can be retrieved.
    """
    series: dict[str, list[dict[str, Any]]] = {}
    for one in instances:
        series.setdefault(one.series_uid, []).append(
            {
                "00080054": _element("AE", ae_title),
                "00080056": _element("CS", one.availability),
                "00081150": _element("UI", one.sop_class_uid),
                "00081155": _element("UI", one.sop_uid),
            }
        )
    return {
        "00081111": _sequence(
            {
                "00081150": _element("UI", MPPS),
                "00081155": _element("UI", step),
                "00404019": _sequence(),
            }
            for step in steps
        ),
        "00081115": _sequence(
            {"00081199": _sequence(items), "0020000E": _element("UI", series_uid)}
            for series_uid, items in series.items()
        ),
        "0020000D": _element("UI", study_uid),
    }


def _element(vr: str, value: str) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def _sequence(items: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    values = list(items)
    return {"vr": "SQ", "Value": values} if values else {"vr": "SQ"}

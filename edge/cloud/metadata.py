"""An archive's metadata, made ours: its bulk values are asked of the edge, by their path."""

from __future__ import annotations

from typing import Any

from edge.cloud.archive import Dataset
from edge.cloud.listing import uid_of

__all__ = ["localised"]


def localised(dataset: Dataset) -> tuple[str, dict[str, Any]] | None:
    """The SOP Instance UID, and the data set with each BulkDataURI replaced by the value's path.

    None if the data set names no instance.
    """
    if (sop_uid := uid_of(dataset, "00080018")) is None:
        return None
    elements: dict[str, Any] = {}
    pending: list[tuple[Dataset, str, dict[str, Any]]] = [(dataset, "", elements)]
    while pending:
        source, path, target = pending.pop()
        for tag, element in source.items():
            if "BulkDataURI" in element:
                target[tag] = {"vr": element.get("vr", "UN"), "BulkDataURI": path + tag}
            elif element.get("vr") == "SQ" and "Value" in element:
                items: list[dict[str, Any]] = []
                for index, item in enumerate(element["Value"]):
                    items.append({})
                    pending.append((item or {}, f"{path}{tag}/{index}/", items[-1]))
                target[tag] = {"vr": "SQ", "Value": items}
            else:
                target[tag] = element
    return sop_uid, elements

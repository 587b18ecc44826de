"""Where scheduled procedure steps come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.checking.whole import Kinds, Whole
from edge.others import WorklistSource
from edge.peering import fault_of

__all__ = ["check_worklist"]

_KINDS: Kinds = {
    "dicom": (
        ("ae_title", "host"),
        ("port", "calling", "stations", "days_ahead", "tls", "certificate"),
    ),
    "folder": (("path",), ()),
}
"""Of each kind, what it needs, and what it may have beside it."""
_MOST_DAYS = 365


def check_worklist(whole: Whole) -> None:
    """Every source."""
    if whole.config.worklist.keep_days > _MOST_DAYS:
        raise whole.error(("worklist", "keep_days"), f"must be {_MOST_DAYS} at the most")
    names = {"api"}
    for number, source in enumerate(whole.config.worklist.source):
        keys = ("worklist", "source", str(number))
        if not source.name or source.name in names:
            raise whole.error((*keys, "name"), 'must be a name of its own, and not "api"')
        names.add(source.name)
        _check_worklist_source(whole, keys, source)


def _check_worklist_source(whole: Whole, keys: Sequence[str], source: WorklistSource) -> None:
    whole.check_kind(keys, source, "kind", _KINDS, also=("name", "interval_seconds"))
    if source.interval_seconds == 0:
        raise whole.error((*keys, "interval_seconds"), "must be more than 0")
    drop = whole.config.dropfolder.path
    if source.kind == "folder" and drop != Path():
        path, drop = source.path.resolve(), drop.resolve()
        if path.is_relative_to(drop):
            raise whole.error(
                (*keys, "path"),
                f"= {path} is in dropfolder.path = {drop}",
                "what is dropped is taken away: name a folder of its own",
            )
    if source.kind == "dicom":
        _check_upstream(whole, keys, source)


def _check_upstream(whole: Whole, keys: Sequence[str], source: WorklistSource) -> None:
    """Another worklist SCP."""
    has_authority = whole.config.dimse.tls_ca != Path()
    if fault := fault_of(source.peer, has_authority=has_authority):
        raise whole.error((*keys, fault.key), fault.what, fault.hint)
    if source.certificate and not source.tls:
        raise whole.error((*keys, "certificate"), "is not used without tls = true")
    if source.calling:
        whole.check_ae_title((*keys, "calling"), source.calling)
    for place, station in enumerate(source.stations):
        whole.check_ae_title((*keys, "stations", str(place)), station)
    if source.days_ahead > _MOST_DAYS:
        raise whole.error((*keys, "days_ahead"), f"must be {_MOST_DAYS} at the most")

"""What an archive lists of a study: values that travel from a search's answer into the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["NONSENSE", "RemoteInstance", "RemoteSeries", "RemoteStudy"]

NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What values provoke that are nothing like what the Standard says."""


@dataclass(frozen=True, slots=True)
class RemoteInstance:
    """An instance in the archive's listing; its attributes are DICOM JSON."""

    sop_uid: str
    sop_class_uid: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoteSeries:
    """A series in the archive's listing."""

    series_uid: str
    attributes: Mapping[str, Any]
    instances: tuple[RemoteInstance, ...]


@dataclass(frozen=True, slots=True)
class RemoteStudy:
    """A study in the archive's listing, whole."""

    study_uid: str
    fingerprint: str
    """Changes whenever the archive's answer about the study does."""
    attributes: Mapping[str, Any]
    series: tuple[RemoteSeries, ...]
    archive: str = ""
    """Who says so."""
    contradicted: frozenset[str] = frozenset()
    """Tags of attributes of which it says something else in the same breath."""

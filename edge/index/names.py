"""A patient's name, as screens and the audit show it: out of attributes, in Python and in SQL.

Promises that both find the same: the first component group that there is, as DICOM writes it.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["NAME_OF_STUDY", "name_in"]

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def name_in(attributes: str) -> str:
    """The patient's name in a data set; empty if it has none that can be read."""
    try:
        found = msgspec.json.decode(attributes)["00100010"]["Value"][0]
        return str(next((found[group] for group in _GROUPS if found.get(group)), ""))
    except (KeyError, IndexError, TypeError, AttributeError, msgspec.DecodeError):
        return ""


_EACH = ", ".join(
    f"nullif(attributes ->> '$.\"00100010\".Value[0].{group}', '')" for group in _GROUPS
)
NAME_OF_STUDY: Final = (
    f"coalesce((SELECT coalesce({_EACH}) FROM study_attributes WHERE study_id = s.id), '')"
)
"""That of a study ``s``, which may be none: then it is empty."""

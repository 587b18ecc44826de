"""The trash: what the archive deleted on purpose, kept for some days, shown to nobody.

Only what was VERIFIED goes there, and only what still is leaves it for good; anything else is no
one's to throw away, and stays or comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.dicom.instance import InstanceRef

__all__ = ["Trash", "Trashed"]


@dataclass(frozen=True, slots=True)
class Trashed:
    """What became of instances that the archive deleted."""

    trashed: int = 0
    """They are in the trash now."""
    kept: int = 0
    """They stay as they are: the archive was not verified to have had just these bytes."""
    forgotten: int = 0
    """Only the archive had them; they are not known here any more."""


class Trash:
    """Puts there, and takes back."""

    async def put(self, refs: Sequence[InstanceRef], *, archive: str, reason: str) -> Trashed:
        """The archive deleted these on purpose.

        What is not known here counts nowhere, and neither does what is in the trash already.

        Args:
            refs: The instances.
            archive: Which archive; only what the primary one deletes is thrown away here, too.
            reason: How it was learned; no patient data.

        Raises:
            StorageFull: There is not even room to write down what goes.
        """
        raise NotImplementedError

    async def take_back(self, sop_uids: Iterable[str], *, listed: bool = False) -> int:
        """Show instances again that are in the trash; how many were.

        Args:
            sop_uids: SOP Instance UIDs.
            listed: The archive lists them again: it is asked before they are sent to it. Otherwise
                it is owed them.
        """
        raise NotImplementedError

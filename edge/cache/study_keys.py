"""The keys of studies: lent to whoever seals, and destroyed when nothing is sealed with them.

Owns which key a new object is sealed with, and the one way in which a key ends while the box runs.
What is erased here can't be opened any more then, wherever copies of its sealed objects are: in a
disk that was taken out, in blocks that a file system has not used again, in an image of the disk.

Promises that no key is destroyed under something that is sealed with it. Three things see to that:
a key is lent until what was sealed is committed or given up; it is one transaction that finds that
no object is left, after all commits that were asked for before it; and no key is lent meanwhile.
An image that comes for a study whose key goes, gets another key: a study may have several.

Crash order: the objects are unlinked -> no row names the key any more, as one transaction -> the
key is destroyed in both copies of the ring. A crash between them leaves a key that nothing names:
the next start destroys it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Collection

from edge.crypto.keys import KeyRing, StudyKey
from edge.errors import SealBroken
from edge.index import lookup, residence
from edge.index.database import Database

__all__ = ["StudyKeys"]

log = logging.getLogger(__name__)


class StudyKeys:
    """Finds the key of a study, or makes one; remembers the last few."""

    def __init__(self, keys: KeyRing, database: Database, *, remembered: int = 256) -> None:
        self._keys = keys
        self._database = database
        self._recent: OrderedDict[str, StudyKey] = OrderedDict()
        self._remembered = remembered
        self._lent = Counter[bytes]()
        self.spares = False
        """Objects could not be read: keys that none seems to be sealed with may be theirs."""
        self._lock = asyncio.Lock()

    async def lend(self, study_uid: str | None) -> StudyKey:
        """The key to seal a new object of the study with; one of its own if that is unknown.

        It is not destroyed before it is given back, once for each time that it was lent.
        """
        async with self._lock:
            key = await self._find(study_uid)
            self._lent[key.key_id] += 1
        return key

    def give_back(self, key: StudyKey) -> None:
        """What was sealed with it is committed, or will never be."""
        self._lent[key.key_id] -= 1
        if not self._lent[key.key_id]:
            del self._lent[key.key_id]

    async def destroy_unused(self, key_ids: Collection[bytes]) -> int:
        """Destroy those of these keys that no object is sealed with; how many that were.

        Pictures do not count: whoever wants to keep them does not name their keys.
        """
        async with self._lock:
            free = {key_id for key_id in key_ids if not self._lent[key_id]}
            if not free:
                return 0
            unused = await self._database.write(lambda db: residence.release_keys(db, free))
            for study_uid, key in list(self._recent.items()):
                if key.key_id in unused:
                    del self._recent[study_uid]
            try:
                await asyncio.to_thread(self._keys.destroy, unused)
            except OSError as error:
                log.error(
                    "keys of what was erased can't be destroyed before the next start: %s", error
                )
                return 0
        return len(unused)

    async def _find(self, study_uid: str | None) -> StudyKey:
        if study_uid is None:
            return await asyncio.to_thread(self._keys.new_study_key)
        key = self._recent.get(study_uid)
        if key is None:
            key = self._recent[study_uid] = await self._known(study_uid)
        self._recent.move_to_end(study_uid)
        if len(self._recent) > self._remembered:
            self._recent.popitem(last=False)
        return key

    async def _known(self, study_uid: str) -> StudyKey:
        key_id = await lookup.key_of_study(self._database, study_uid)
        if key_id is not None:
            try:
                return await asyncio.to_thread(self._keys.study_key, key_id)
            except SealBroken as error:
                # What was sealed with it does not open; what comes now shall.
                log.error("a study gets another key: %s", error)
        return await asyncio.to_thread(self._keys.new_study_key)

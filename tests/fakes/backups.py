"""Small backups, for whoever brings them to an archive.

``FakeBackups`` answers like ``edge.cache.backup.Backups``; journeys run on the real one.
"""

from __future__ import annotations

from edge.cache.backup import LastBackup
from edge.crypto.escrow import Kept
from edge.crypto.recovery import RecoveryKey
from edge.errors import EdgeError

KEY = RecoveryKey(bytes(range(32)))
DAY = 86400.0
START = 1_800_000_000.0


class FakeBackups:
    """Makes small ones."""

    def __init__(self):
        self.recovery = Kept(KEY.recipient, 0.0)
        self.now = START
        self.made = 0
        self.given: dict[str, LastBackup] = {}
        self.current = "state"
        self.error: EdgeError | None = None

    async def kept(self):
        return self.recovery

    async def state(self):
        return self.current

    async def make(self):
        if self.error:
            raise self.error
        self.made += 1
        return KEY.recipient.seal(b"%d" % self.made), self.now

    async def last(self, archive):
        return self.given.get(archive)

    async def remember(self, archive, made, state):
        self.given[archive] = LastBackup(made, archive, state)

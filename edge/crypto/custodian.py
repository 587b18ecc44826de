"""Who opens the box, and who shuts it: the root secret, got by any of its ways, and put away again.

What it owns is the file ``locked`` in ``data_dir``. As long as that is there, no provider is asked
by itself, and what must be destroyed for the box to stay shut is destroyed at every start again.

Attack model: a box that somebody locked stays shut, over restarts too, until it is opened by

    file, systemd-creds   the recovery key: what was in the box is destroyed, though not before the
                          root secret was sealed for that key once more. Was there no recovery key,
                          and the box locked all the same, the secret stays where it is, and who
                          administers the machine opens it.
    passphrase            the passphrase, which nobody can read anywhere; or the recovery key.
    network               an act of who administers the machine, with the server there; or the
                          recovery key.

Who deletes ``locked`` by hand administers the machine; of the first two that helps nobody.

Crash order of locking: the secret sealed for the recovery key -> ``locked`` durable -> what opens
the box destroyed -> the kernel's copy forgotten. Cut short after the second step, the next start
goes on with the third. So it does if something can't be destroyed, as on a medium that can't be
written: the box is locked all the same, ``left`` says what is left, and each start tries again. If
the disk is full, room is made for ``locked``. Calls block.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from edge.crypto.durable import sync_folder, write_file
from edge.crypto.escrow import FILE, Escrow, root_secret_in
from edge.crypto.keys import KeyRing
from edge.crypto.passphrases import require_strength
from edge.crypto.providers.base import Given, Keeper
from edge.crypto.providers.passphrase import PassphraseKeyProvider
from edge.crypto.recovery import RecoveryKey
from edge.errors import DecisionRefused, KeyLocked, Needs, SecretError

__all__ = ["MARKER", "Custodian", "Locked"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

MARKER = "locked"
_RING = "keys.db"


class Locked(msgspec.Struct, frozen=True):
    """What is written down of a locking."""

    by: str
    """Who did it, as it may stand in a log."""
    at: float
    """POSIX seconds."""
    destroys: bool
    """What opened the box by itself is destroyed."""
    is_recorded: bool = False
    """The audit heard of it, for a service did it that was open."""


@dataclass
class Custodian:
    """Of one box.

    Args:
        folder: ``data_dir``.
        keeper: Its provider.
        make_room: Gives away what is set aside for a full disk; whether there was anything.
    """

    folder: Path
    keeper: Keeper
    make_room: Callable[[], bool] = lambda: False
    left: str = ""
    """What the last locking could not destroy, and why; empty if it is all gone."""

    @property
    def marker(self) -> Path:
        """Its file."""
        return self.folder / MARKER

    def locked(self) -> Locked | None:
        """Whether somebody locked it, and who."""
        try:
            data = self.marker.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SecretError(f"{self.marker} can't be read: {error.strerror}") from error
        try:
            return msgspec.json.decode(data, type=Locked)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Damaged, it still says that the box is locked; what it does not say destroys nothing.
            return Locked("somebody", 0.0, destroys=False)

    # Opening --------------------------------------------------------------------------------------

    def open(self, *, first_start: bool) -> bytes:
        """The root secret, if it can be had with nobody there.

        Raises:
            KeyLocked: It can't, and nothing is wrong.
            SecretError: As the provider says.
        """
        if (locked := self.locked()) is None:
            return self.keeper.root_secret(first_start=first_start)
        needs, hint = Needs.ADMIN, "edge key unlock, on this machine"
        if locked.destroys:
            needs, hint = Needs.RECOVERY_KEY, "edge key unlock --recovery, on this machine"
        elif isinstance(self.keeper, PassphraseKeyProvider):
            needs, hint = Needs.PASSPHRASE, "edge key unlock, on this machine; or its web page"
        raise KeyLocked(f"{locked.by.rstrip(',')} locked it", needs=needs, hint=hint)

    def finish_locking(self) -> None:
        """Go on with a locking that was cut short, and mend; for who owns the folder."""
        if (locked := self.locked()) is not None:
            self._shut(locked)
        else:
            self.keeper.mend()

    def open_by_passphrase(self, passphrase: bytearray, *, first_start: bool) -> bytes:
        """The root secret, by what somebody typed; at the first start this chooses it.

        Raises:
            WrongKey: It is another passphrase.
            SecretError: It is too weak to be chosen, or the provider knows none.
        """
        if not isinstance(self.keeper, PassphraseKeyProvider):
            raise SecretError(
                "this box is not opened by a passphrase",
                hint="edge key unlock, or edge key unlock --recovery",
            )
        with self.keeper.saying(passphrase):
            return self._opened(self.keeper.root_secret(first_start=first_start))

    def open_by_recovery_key(self, key: RecoveryKey, passphrase: bytearray | None = None) -> bytes:
        """The root secret, by the recovery key; the provider gets it back.

        Args:
            key: The recovery key.
            passphrase: A new one, where the provider needs one.

        Raises:
            WrongKey: It is not this box's recovery key.
            KeyLocked: A new passphrase is needed.
            KeyUnavailable: The provider can't take it back now.
            SecretError: No recovery key was ever made, or something is damaged.
        """
        root = root_secret_in(self.folder / FILE, key)
        KeyRing(self.folder / _RING, Given(root), may_create=False, owned=False).close()
        if isinstance(self.keeper, PassphraseKeyProvider):
            if passphrase is None:
                raise KeyLocked(
                    "the recovery key is right; the box needs a new passphrase",
                    needs=Needs.NEW_PASSPHRASE,
                    hint="type it, or name a file that has it with --file",
                )
            require_strength(passphrase)
            with self.keeper.saying(passphrase):
                self.keeper.put_back(root)
        else:
            self.keeper.put_back(root)
        return self._opened(root)

    def open_by_act(self, *, first_start: bool) -> bytes:
        """The root secret, because who administers the machine wants it opened now.

        Raises:
            KeyLocked: That is not enough.
            SecretError: As the provider says.
        """
        locked = self.locked()
        if locked is not None and locked.destroys:
            return self.open(first_start=False)  # which says what it needs
        return self._opened(self.keeper.root_secret(first_start=first_start))

    def _opened(self, root: bytes) -> bytes:
        """Only what opens the ring ends a locking."""
        if self.locked() is not None:
            if any(self.folder.glob(f"{_RING}*")):
                KeyRing(self.folder / _RING, Given(root), may_create=False, owned=False).close()
            self.marker.unlink(missing_ok=True)
            sync_folder(self.folder)
        return root

    # Shutting -------------------------------------------------------------------------------------

    def lock(
        self,
        by: str,
        at: float,
        escrow: Escrow | None,
        *,
        force: bool = False,
        is_recorded: bool = False,
    ) -> Locked:
        """Lock the box; from now on no start opens it by itself.

        Args:
            by: Who does it.
            at: POSIX seconds.
            escrow: Of this box; None if its root secret is not at hand, as in a box that is locked.
            force: Even if there is no recovery key.
            is_recorded: The audit hears of it from whoever calls this.

        Returns:
            What is written down of it; ``left`` says what could not be destroyed.

        Raises:
            DecisionRefused: Nothing could open it any more; nothing was changed.
            SecretError: It can't be written down, even in the room that was set aside.
        """
        if (before := self.locked()) is not None:
            self._shut(before)
            return before
        destroys = False
        if self.keeper.is_destroyed_by_locking:
            destroys = escrow is not None and self._in_room(lambda: self._sealed_again(escrow))
            if not destroys and not force:
                raise DecisionRefused(
                    "the box can't be locked: there is no recovery key that would open it again",
                    hint="make one with edge key recovery, and keep it elsewhere; or force it "
                    "(edge key lock --force), and what opens the box stays in it",
                )
        locked = Locked(by, at, destroys, is_recorded)
        self._in_room(lambda: self._mark(locked))
        self._shut(locked)
        return locked

    def _in_room(self, step: Callable[[], _T]) -> _T:
        """Do a step of locking, if need be in the room that is set aside for a full disk."""
        try:
            try:
                return step()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self.make_room():
                    raise
                log.warning("the disk is full: what was set aside for that is used for locking")
                return step()
        except OSError as error:
            raise SecretError(
                f"the box can't be locked: {error.strerror}",
                hint="it is as it was; see to its disk, and lock it again",
            ) from error

    def _mark(self, locked: Locked) -> None:
        try:
            write_file(self.marker, msgspec.json.encode(locked))
        except OSError:
            if not self.marker.exists():
                raise
            log.exception("that the box is locked may not outlive a power cut")

    def _shut(self, locked: Locked) -> None:
        """Whatever fails here, the box is locked; and each start comes here again."""
        left = list[str]()
        destroy = [self.keeper.destroy] if locked.destroys else []
        for step in (*destroy, self.keeper.forget):
            try:
                step()
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                left.append(where + (error.strerror or str(error)))
        self.left = "; ".join(left)
        if left:
            log.error(
                "locked, but not everything that opens the box could be destroyed: %s;"
                " the next start tries again",
                self.left,
            )

    @staticmethod
    def _sealed_again(escrow: Escrow) -> bool:
        """What is about to be destroyed is the same that the recovery key opens."""
        try:
            kept = escrow.read()
        except SecretError:
            return False
        if kept is None:
            return False
        escrow.keep(kept.recipient, kept.made)
        return True

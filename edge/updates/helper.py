"""Root's part: carries out what the service ordered, and believes nothing of it.

The order names a bundle that lies in a folder of the service's user. Root proves its signature with
the keys of the system that runs, takes no version that is not newer, and writes no slot but the
other one. Crash order of an installation, each step of which can be done again:

    nothing but the running version starts -> a ``trial.json`` of a try that was cut goes -> the
    slot's names are taken away -> root, verity, each read again -> names and UUIDs ->
    ``trial.json`` -> what starts it (the commit) -> the order goes

An order that is given up leaves, as far as the disk lets it, nothing but the running version that
starts, and then no trial of its own.

As long as there is no trial, whoever gave the order may take it back: it is looked for with every
piece that is written, and once more as the trial is set, while nobody else decides (`Folder`).

A crash before the commit leaves a machine that starts what it started; as long as the order is
there it is carried out at the next start, up to three times, and nothing is judged. The machine is
started anew once the service says that nothing is under way, and not before; a Pi whose power is
cut until then is told again to start what is on trial, by an order of whoever judges (`trial`).

Whatever can't be written into the history, as on a full disk, what was ordered ends all the same.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.errors import UpdateRefused
from edge.updates.bundle import Bundle, open_bundle
from edge.updates.history import Cause, Deed
from edge.updates.journal import Folder, Order, Trial
from edge.updates.loaders import Loader, NotNow, Pi, Uefi, esp
from edge.updates.machine import Place
from edge.updates.manifest import Name
from edge.updates.partitions import EMPTY, ROOT, VERITY, Disk, Partition, disk_of, ids_of
from edge.updates.versions import check_version

__all__ = ["Helper", "loader_of", "restart_machine"]

log = logging.getLogger(__name__)

_TRIES: Final = 3
"""So often an order is begun that power cuts interrupt."""
_IN_SLOT: Final[tuple[Name, ...]] = ("root", "verity")
_LOOK: Final = 5.0
"""Seconds between two questions whether the machine may be started anew."""


class _TakenBack(Exception):
    """The order does not hold any more."""


class _StoppedEachTime(UpdateRefused):
    """Power cuts, or something in the update itself."""


class _Damaged(UpdateRefused):
    """What lies here is not what came, and was proven then: it goes, and may come again."""


class Helper:
    """It.

    Args:
        folder: Has the order.
        place: The machine.
        keys: Reads those that are believed; asked for only to install something.
        disk: Finds the disk, by the version that runs.
        loader: Finds what the machine starts from.
        may_restart: Whether nothing is under way; whoever says so lets nothing begin any more.
        restart: Starts the machine anew, with these words behind ``systemctl reboot``.
        sleep: Waits.
    """

    def __init__(
        self,
        folder: Folder,
        place: Place,
        keys: Callable[[], Sequence[Ed25519PublicKey]],
        *,
        disk: Callable[[str], Disk] = disk_of,
        loader: Callable[[], Loader],
        may_restart: Callable[[], bool],
        restart: Callable[[Sequence[str]], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._place = place
        self._keys = keys
        self._disk = disk
        self._loader = loader
        self._may_restart = may_restart
        self._restart = restart
        self._sleep = sleep

    def run(self) -> str:
        """Carry out the order, if there is one; what was done, in a word.

        Raises:
            UpdateRefused: It can't be; it is in the history, and is not tried again.
        """
        order = self._folder.order()
        if order is None:
            # What can't be read is no order, and would have the unit be started for ever.
            self._folder.drop_order()
            return "nothing"
        try:
            check_version(order.version)
            match order.act:
                case "install":
                    return self._install(order)
                case "try":
                    return self._try(order)
                case "keep":
                    return self._keep(order)
                case "return":
                    return self._return(order)
        except (UpdateRefused, OSError) as error:
            deed = Deed.NOT_WRITTEN if order.act == "install" else Deed.BAD
            try:
                self._note(deed, order.version, why=str(error), by=order.by, cause=_cause(error))
            finally:  # a disk that is full must not have it tried for ever
                if order.act == "install":
                    self._give_up(order, is_damaged=isinstance(error, _Damaged))
                self._folder.drop_order(order)
                self._folder.write_begun(order.version, 0)
            raise

    def _install(self, order: Order) -> str:
        if self._place.version == order.version:  # a crash came behind the commit
            self._folder.drop_order(order)
            return "nothing"
        self._refuse_often(order)
        path = self._folder.bundle(order.version)
        if order.file != path.name:
            raise UpdateRefused("the order names another file than the version's own")
        if not path.exists():
            raise UpdateRefused(f"{path.name} can't be read: it is not here any more")
        try:
            self.write(path, order, holds=lambda: self._folder.order() == order)
        except _TakenBack:
            log.info("version %s is not wanted any more", order.version)
            self._folder.write_begun(order.version, 0)
            return "nothing"
        self._folder.drop_order(order)
        self.start_anew()
        return "written"

    def _give_up(self, order: Order, *, is_damaged: bool) -> None:
        """Leave nothing of it that is in the way of the next one, as a try before may have."""
        with contextlib.suppress(UpdateRefused, OSError):
            if is_damaged:
                self._folder.bundle(order.version).unlink(missing_ok=True)
            trial, running = self._folder.trial(), self._place.version
            if trial is not None and trial.version == order.version != running:
                self._loader().forget_others(running)  # or what may start is judged
                self._folder.drop_trial()

    def write(
        self,
        path: Path,
        order: Order,
        *,
        may_go_back: bool = False,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        """Write a bundle into the other slot, and have it started on trial.

        Args:
            path: Of the bundle.
            order: It.
            may_go_back: Whether it may be an older version.
            holds: Whether the order does, still.

        Raises:
            UpdateRefused: It can't be; what runs stays what is started.
        """
        with open_bundle(path, self._keys()) as bundle:
            manifest, running = bundle.manifest, self._place.version
            if manifest.version != order.version:
                raise UpdateRefused(f"{path.name} is version {manifest.version}")
            manifest.check_for(self._place.kind, running, may_go_back=may_go_back)
            try:
                bundle.prove()
            except UpdateRefused as error:
                raise _Damaged(str(error), hint=error.hint) from error
            _refuse_unwanted(holds)  # up to here nothing was changed
            disk, loader = self._disk(running), self._loader()
            slot = disk.other_slot(running)
            log.info("writing version %s into %s", manifest.version, slot.root.node)
            loader.forget_others(running)
            self._folder.drop_trial()  # of a try that was cut: it does not start
            disk.name(slot.verity, EMPTY)
            disk.name(slot.root, EMPTY)
            told = _Told(self._folder, bundle)
            self._fill(disk, bundle, slot.root, "root", holds, told)
            self._fill(disk, bundle, slot.verity, "verity", holds, told)
            root_id, verity_id = ids_of(manifest.root_hash)
            disk.name(slot.root, ROOT + manifest.version, root_id)
            disk.name(slot.verity, VERITY + manifest.version, verity_id)
            trial = Trial(
                version=manifest.version,
                before=running,
                boot_id=self._place.boot_id,
                reached=order.reached,
                ailing=order.ailing,
                by=order.by,
                at=time.time(),
            )
            try:
                with self._folder.deciding():
                    _refuse_unwanted(holds)
                    self._folder.write_trial(trial)
                loader.put(disk, bundle, running)
            except _TakenBack:
                disk.name(slot.root, EMPTY)
                raise
            except (UpdateRefused, OSError):
                # Nothing is on trial that does not start, and nothing starts that is not on trial:
                # if that can't be had, the trial stays, and judges what may start.
                loader.forget_others(running)
                self._folder.drop_trial()
                raise
        # It is written, whatever the disk takes of that.
        self._note(Deed.WRITTEN, manifest.version, before=running, by=order.by)
        with contextlib.suppress(OSError):
            self._folder.write_begun(manifest.version, 0)
            self._folder.drop_share()

    @staticmethod
    def _fill(
        disk: Disk,
        bundle: Bundle,
        partition: Partition,
        name: Name,
        holds: Callable[[], bool],
        told: _Told,
    ) -> None:
        part = bundle.manifest.part(name)

        def pieces() -> Iterator[bytes]:
            for piece in bundle.content(part):
                _refuse_unwanted(holds)
                yield piece
                told.more(len(piece))

        disk.write(partition, pieces(), part.sha256)

    def _refuse_often(self, order: Order) -> None:
        """Count the beginnings of an order: something in it may stop the machine each time."""
        count = self._folder.begun(order.version)
        if count >= _TRIES:
            raise _StoppedEachTime(
                f"the machine stopped each of the {count} times that version {order.version} was"
                " written"
            )
        self._folder.write_begun(order.version, count + 1)

    def start_anew(self) -> None:
        """Start the machine anew at the next quiet moment, however long that takes."""
        while not self._may_restart():
            self._sleep(_LOOK)
        loader = self._loader()
        if (trial := self._folder.trial()) is not None and trial.version != self._place.version:
            told = {"tries": trial.tries + 1, "boot_id": self._place.boot_id}
            self._count(msgspec.structs.replace(trial, **told))
        log.info("the machine starts anew")
        self._restart(loader.restart)

    def _count(self, told: Trial) -> None:
        """Keep how often the machine was told; if that can't be, it starts anew all the same."""
        try:
            try:
                self._folder.write_trial(told)
            except OSError:
                self._folder.keep_only()  # they are written, or on trial: what is here is room
                self._folder.write_trial(told)
        except OSError as error:
            log.error("how often version %s was tried can't be kept: %s", told.version, error)

    def _try(self, order: Order) -> str:
        """Start what is on trial, and was not started, or stopped before it could be asked."""
        trial = self._folder.trial()
        if trial is None or trial.version != order.version or self._place.version == order.version:
            self._folder.drop_order(order)
            return "nothing"
        try:
            self._loader().refuse_untried(order.version)
        except UpdateRefused:
            self._folder.drop_trial()
            raise
        self._folder.drop_order(order)
        self.start_anew()
        return "started"

    def _keep(self, order: Order) -> str:
        """Have the machine start from what has proven itself; only then its trial is over."""
        if self._place.version != order.version:  # the power was cut before: it is tried again
            self._folder.drop_order(order)
            return "nothing"
        self._loader().keep(order.version)
        trial = self._folder.trial()
        if trial is not None and trial.version == order.version:
            self._folder.drop_trial()
        self._folder.drop_order(order)
        return "kept"

    def go_back(self) -> str:
        """Leave a version whose gate ended without a verdict; what was done, in a word."""
        trial = self._folder.trial()
        if trial is None and self._place.is_counted:
            trial = self._unknown_trial()
        if trial is None or self._place.version != trial.version:
            return "nothing"
        try:
            loader = self._loader()
        except UpdateRefused as error:
            # Then it can't be kept, either; and whoever starts the machine counts its starts.
            log.error("the machine starts anew: %s", error)
        else:
            try:
                loader.leave(trial.version, trial.before)
            except UpdateRefused as error:
                log.error("version %s stays: %s", trial.version, error)
                return "nothing"
            order = self._folder.order()
            if (order is None or order.act != "return") and not self._is_bad(trial.version):
                why = "whether it works could not be told"
                self._note(Deed.BAD, trial.version, before=trial.before, why=why, by=trial.by)
        self._restart(())
        return "went back"

    def _unknown_trial(self) -> Trial | None:
        """Of what runs, where nothing says so but who started it; None: there is nothing else."""
        try:
            before = self._loader().other_than(self._place.version)
        except UpdateRefused as error:
            log.error("the version from before can't be found: %s", error)
            return None
        if not before:
            return None
        return Trial(version=self._place.version, before=before, boot_id="")

    def _is_bad(self, version: str) -> bool:
        """Whether the history says why: of a trial that was lost, whoever judges orders nothing."""
        said = [entry.deed for entry in self._folder.history() if entry.version == version]
        return said[-1:] == [Deed.BAD]

    def _note(self, deed: Deed, version: str, **more: Any) -> None:
        """Have it in the history, if the disk takes it."""
        try:
            self._folder.note(deed, version, **more)
        except OSError as error:
            log.error("that version %s is %s can't be kept: %s", version, deed, error)

    def _return(self, order: Order) -> str:
        """Go back from a version that has not proven itself."""
        trial = self._folder.trial()
        if trial is None or trial.version != order.version or self._place.version != order.version:
            self._folder.drop_order(order)
            return "nothing"
        self._loader().leave(trial.version, trial.before)
        self._folder.drop_order(order)
        self._restart(())
        return "went back"


class _Told:
    """People are told at each hundredth how much is in the slot, if the disk takes that."""

    def __init__(self, folder: Folder, bundle: Bundle) -> None:
        self._folder, self._version = folder, bundle.manifest.version
        self._all = sum(bundle.manifest.part(name).bytes for name in _IN_SLOT)
        self._done, self._hundredth = 0, -1
        self.more(0)

    def more(self, count: int) -> None:
        """So many bytes are in it, too."""
        self._done += count
        hundredth = min(99, self._done * 100 // max(1, self._all))  # it is read again, too
        if hundredth > self._hundredth:
            self._hundredth = hundredth
            with contextlib.suppress(OSError):
                self._folder.write_share(self._version, hundredth / 100)


def _refuse_unwanted(holds: Callable[[], bool]) -> None:
    if not holds():
        raise _TakenBack


def _cause(error: Exception) -> Cause:
    if isinstance(error, _StoppedEachTime):
        return Cause.POWER
    if isinstance(error, _Damaged):
        return Cause.LINE
    return Cause.MOMENT if isinstance(error, NotNow) else Cause.ITSELF


def loader_of(place: Place) -> Loader:
    """Of this machine.

    Raises:
        UpdateRefused: It is not mounted.
    """
    return Pi(esp()) if place.kind == "rpi" else Uefi(esp())


def restart_machine(words: Sequence[str]) -> None:
    """Have systemd stop everything in order, and start anew."""
    subprocess.run(["systemctl", "reboot", *words], check=True)  # noqa: S603, S607

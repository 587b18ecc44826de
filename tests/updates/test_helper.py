"""Root's part: an order is carried out as a whole, or the machine starts what it started."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.errors import UpdateRefused
from edge.updates import loaders
from edge.updates.bundle import Bundle
from edge.updates.helper import Helper
from edge.updates.history import Cause, Deed, has_failed
from edge.updates.journal import Folder, Order, Trial
from edge.updates.loaders import Pi, Uefi
from edge.updates.ordering import Ordering
from edge.updates.partitions import EMPTY, Disk, ids_of
from edge.updates.trial import NotProven, Verdict, judge
from tests.updates.makers import MIB, content_of, make_disk, make_pi_disk, place_of

pytestmark = pytest.mark.skipif(not shutil.which("sfdisk"), reason="needs sfdisk")


class Machine:
    """A disk with two slots, what starts it, and root's helper on it."""

    def __init__(self, tmp_path, folder, keys, version="1.0"):
        self.folder, self.keys = folder, keys
        self.disk = Disk(make_disk(tmp_path / "disk", version))
        esp = tmp_path / "esp"
        (esp / "EFI" / "Linux").mkdir(parents=True)
        (esp / "EFI" / "Linux" / f"edge_{version}.efi").write_bytes(b"it starts")
        self.loader = Uefi(esp)
        self.place = place_of(tmp_path / "machine", version)
        self.restarts, self.busy, self.slept = [], 0, 0

    def may_restart(self):
        self.busy -= 1
        return self.busy < 0

    def sleep(self, _):
        self.slept += 1

    def helper(self, disk=None, loader=None):
        return Helper(
            self.folder,
            self.place,
            lambda: self.keys,
            disk=lambda _: disk or self.disk,
            loader=lambda: loader or self.loader,
            may_restart=self.may_restart,
            restart=lambda words: self.restarts.append(tuple(words)),
            sleep=self.sleep,
        )

    def order(self, path, version="1.1", **more):
        self.folder.make()
        shutil.copy(path, self.folder.bundle(version))
        name = self.folder.bundle(version).name
        self.folder.write_order(Order(act="install", version=version, file=name, **more))

    def labels(self):
        return [part.label for part in self.disk.partitions()]

    def deeds(self):
        return [(entry.deed, entry.version) for entry in self.folder.history()]

    @property
    def starts(self):
        """What would be started, the newest that has tries first."""
        return sorted(self.loader.entries(), reverse=True)


@pytest.fixture
def machine(tmp_path, folder, keys):
    return Machine(tmp_path, folder, keys)


def test_an_order_is_carried_out(machine, maker):
    machine.order(maker.bundle(xz=True), reached=("cloud",), ailing=("dropfolder",), by="anna")
    machine.busy = 2
    assert machine.helper().run() == "written"
    assert machine.labels()[1:5] == [
        "edge-root-1.0",
        "edge-verity-1.0",
        "edge-root-1.1",
        "edge-verity-1.1",
    ]
    data = machine.disk.path.read_bytes()
    for part, name in zip(machine.disk.partitions()[3:5], ("root", "verity"), strict=True):
        expected = content_of("1.1", name, 300_000)
        assert data[part.begin : part.begin + len(expected)] == expected
    trial = machine.folder.trial()
    assert (trial.version, trial.before, trial.boot_id) == ("1.1", "1.0", "first")
    assert (trial.reached, trial.ailing, trial.by) == (("cloud",), ("dropfolder",), "anna")
    assert machine.folder.order() is None
    assert machine.deeds() == [(Deed.WRITTEN, "1.1")]
    assert machine.starts == ["1.1", "1.0"]
    assert (machine.restarts, machine.slept) == ([()], 2)
    assert not (machine.folder.path / "begun").exists()


def test_how_much_is_written_is_told_until_it_is_over(machine, maker, monkeypatch):
    told = []
    write = Folder.write_share

    def keep(folder, version, share):
        write(folder, version, share)
        told.append((version, folder.written_share(version)))

    monkeypatch.setattr(Folder, "write_share", keep)
    machine.order(maker.bundle())
    assert machine.folder.written_share("1.1") is None
    assert machine.helper().run() == "written"
    assert told[0] == ("1.1", 0.0)
    assert told[-1] == ("1.1", 0.99)
    assert told == sorted(set(told)), "it grows, and nothing is told twice"
    assert machine.folder.written_share("1.1") is None


def test_a_disk_that_does_not_take_how_much_is_written_takes_the_update(
    machine, maker, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Folder, "write_share", full)
    machine.order(maker.bundle())
    assert machine.helper().run() == "written"


def test_partitions_get_the_ids_that_belong_to_the_root_hash(machine, maker):
    machine.order(maker.bundle())
    machine.helper().run()
    said = machine.disk.path.read_bytes().hex()
    root_id, verity_id = (one.replace("-", "") for one in ids_of("0123456789abcdef" * 4))
    for one in (root_id, verity_id):  # GPT has the first three fields the other way round
        fields = bytes.fromhex(one)
        mixed = fields[3::-1] + fields[5:3:-1] + fields[7:5:-1] + fields[8:]
        assert mixed.hex() in said


def test_without_an_order_nothing_is_done(machine):
    assert machine.helper().run() == "nothing"
    assert machine.restarts == []


def test_an_order_that_can_t_be_read_goes(machine):
    machine.folder.make()
    (machine.folder.path / "order.json").write_text("{")
    assert machine.helper().run() == "nothing"
    assert not (machine.folder.path / "order.json").exists()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("stranger", "signed by nobody"),
        ("older", "is older than the one that runs"),
        ("damaged", "is damaged"),
        ("other file", "another file"),
        ("outside", "another file"),
        ("other version", "is version 1.1"),
        ("missing", "can't be read"),
        ("bad version", "not a version"),
    ],
)
def test_the_service_is_not_believed(machine, maker, how, why):
    path = maker.bundle(keys=[Ed25519PrivateKey.generate()] if how == "stranger" else None)
    if how == "older":
        machine.place = place_of(machine.place.os_release.parent, "1.2")
    machine.order(path, version="1.2" if how == "other version" else "1.1")
    bundle = machine.folder.bundle("1.1")
    if how == "damaged":
        with bundle.open("r+b") as file:
            file.seek(-5, 2)
            file.write(b"x")
    if how == "missing":
        bundle.unlink()
    named = {"other file": "1.0.edgeupdate", "outside": "../../1.1.edgeupdate"}.get(how)
    if named:
        machine.folder.write_order(Order(act="install", version="1.1", file=named))
    if how == "bad version":
        machine.folder.write_order(Order(act="install", version="../1", file="x"))
    before = machine.disk.path.read_bytes()
    with pytest.raises(UpdateRefused, match=why):
        machine.helper().run()
    assert machine.disk.path.read_bytes() == before
    assert machine.starts == ["1.0"]
    assert machine.folder.order() is None
    assert machine.deeds()[-1][0] is Deed.NOT_WRITTEN
    assert machine.restarts == []


class Power(Exception):
    """It is cut."""


class CutDisk:
    """A disk of a machine that stops at one of its acts."""

    def __init__(self, disk, at):
        self.disk, self.left, self.path = disk, at, disk.path

    def _act(self):
        self.left -= 1
        if self.left < 0:
            raise Power

    def other_slot(self, running):
        return self.disk.other_slot(running)

    def name(self, *words):
        self._act()
        self.disk.name(*words)

    def write(self, partition, pieces, sha256):
        self._act()
        first = next(iter(pieces))
        if self.left == 0:  # it stops in the middle
            with self.path.open("r+b") as file:
                file.seek(partition.begin)
                file.write(first[:1000])
            raise Power
        self.disk.write(partition, [first, *pieces], sha256)


class CutLoader(Uefi):
    def __init__(self, loader, *, before):
        super().__init__(loader._folder.parent.parent)
        self.before = before

    def put(self, disk, bundle, running):
        if self.before:
            raise Power
        super().put(disk, bundle, running)
        raise Power


@pytest.mark.parametrize("step", range(8))
def test_power_that_is_cut_at_any_step_leaves_a_machine_that_starts(machine, maker, step):
    machine.order(maker.bundle())
    disk = CutDisk(machine.disk, step) if step < 6 else machine.disk
    loader = CutLoader(machine.loader, before=step == 6) if step >= 6 else None
    with pytest.raises(Power):
        machine.helper(disk, loader).run()
    running = machine.disk.other_slot("1.0")  # the one that runs has its name still
    assert "1.0" in machine.starts
    if "1.1" in machine.starts:
        assert running.root.label == "edge-root-1.1"
    assert machine.folder.order() is not None
    # The next start carries it out.
    assert machine.helper().run() == "written"
    assert machine.starts == ["1.1", "1.0"]
    assert machine.labels()[3:5] == ["edge-root-1.1", "edge-verity-1.1"]
    assert machine.folder.trial().version == "1.1"


def test_a_crash_behind_the_commit_is_no_failure_of_the_version(machine, maker):
    machine.order(maker.bundle())
    with pytest.raises(Power):
        machine.helper(loader=CutLoader(machine.loader, before=False)).run()
    machine.place = place_of(machine.place.os_release.parent, "1.1", boot="second")
    assert machine.helper().run() == "nothing"
    assert machine.folder.order() is None
    assert machine.folder.trial().version == "1.1"
    assert machine.folder.history() == []


class FullLoader(Uefi):
    """Of a partition that takes no more, from one of the steps on."""

    def __init__(self, loader, monkeypatch, at):
        super().__init__(loader._folder.parent.parent)
        self.monkeypatch, self.at = monkeypatch, at

    def put(self, disk, bundle, running):
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with self.monkeypatch.context() as patched:
            if self.at == "write":
                patched.setattr(loaders.os, "write", full)
            elif self.at == "rename":
                patched.setattr(loaders.Path, "replace", full)
            else:
                patched.setattr(loaders, "sync_folder", full)
            super().put(disk, bundle, running)


@pytest.mark.parametrize("at", ["write", "rename", "sync"])
def test_what_could_not_be_put_leaves_nothing_behind(machine, maker, monkeypatch, at):
    machine.order(maker.bundle())
    with pytest.raises((UpdateRefused, OSError), match="No space left"):
        machine.helper(loader=FullLoader(machine.loader, monkeypatch, at)).run()
    assert machine.folder.trial() is None
    assert machine.folder.order() is None
    assert machine.starts == ["1.0"]
    assert [path.name for path in machine.loader._folder.iterdir()] == ["edge_1.0.efi"]
    assert machine.deeds() == [(Deed.NOT_WRITTEN, "1.1")]


def test_what_power_that_was_cut_left_goes_with_the_next_update(machine, maker):
    (machine.loader._folder / "edge_1.05.new").write_bytes(b"half of it")
    machine.order(maker.bundle())
    machine.helper().run()
    assert sorted(path.name for path in machine.loader._folder.iterdir()) == [
        "edge_1.0.efi",
        "edge_1.1+3.efi",
    ]


@pytest.mark.parametrize("size", [300_000, 3 * MIB], ids=["written", "not written"])
def test_a_history_that_takes_no_more_stops_nothing(machine, maker, monkeypatch, size):
    machine.order(maker.bundle(size=size))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(machine.folder, "note", full)
    if size < MIB:
        assert machine.helper().run() == "written"
        assert machine.starts == ["1.1", "1.0"]
        assert machine.folder.trial().version == "1.1"
    else:
        with pytest.raises(UpdateRefused, match="the update needs more"):
            machine.helper().run()
    assert machine.folder.order() is None


class WatchedDisk(Disk):
    """Something is done as the last slot was written."""

    def __init__(self, disk, act):
        super().__init__(disk.path)
        self.act = act

    def name(self, partition, label, identity=""):
        super().name(partition, label, identity)
        if label.startswith("edge-verity-"):
            self.act()


def test_an_order_that_is_taken_back_while_root_writes_is_not_carried_out(machine, maker):
    machine.order(maker.bundle())
    disk = WatchedDisk(machine.disk, machine.folder.drop_order)
    assert machine.helper(disk).run() == "nothing"
    assert (machine.folder.order(), machine.folder.trial()) == (None, None)
    assert (machine.starts, machine.restarts) == (["1.0"], [])
    assert machine.labels()[3] == EMPTY
    assert machine.deeds() == []  # it is no failure of the version
    assert not (machine.folder.path / "begun").exists()


def test_root_stops_in_the_middle_of_what_nobody_wants_any_more(machine, maker, monkeypatch):
    machine.order(maker.bundle(size=3 * MIB // 2))
    pwrite, written = os.pwrite, []

    def cancelled(descriptor, data, at):
        machine.folder.drop_order()
        written.append(len(data))
        return pwrite(descriptor, data, at)

    monkeypatch.setattr("edge.updates.partitions.os.pwrite", cancelled)
    assert machine.helper().run() == "nothing"
    assert written == [MIB]
    assert machine.labels()[3:5] == [EMPTY, EMPTY]
    assert machine.starts == ["1.0"]


def test_an_order_that_is_taken_back_while_it_is_proven_changes_nothing(
    machine, maker, monkeypatch
):
    (machine.loader._folder / "edge_0.9.efi").write_bytes(b"it starts, too")
    machine.order(maker.bundle())
    before, prove = machine.disk.path.read_bytes(), Bundle.prove

    def cancelled(bundle):
        prove(bundle)
        machine.folder.drop_order()

    monkeypatch.setattr(Bundle, "prove", cancelled)
    assert machine.helper().run() == "nothing"
    assert machine.starts == ["1.0", "0.9"]
    assert machine.disk.path.read_bytes() == before


def test_of_another_order_nothing_is_lost(machine, maker):
    machine.order(maker.bundle())
    machine.order(maker.bundle("1.2"), "1.2")
    second = machine.folder.order()
    machine.order(maker.bundle())
    disk = WatchedDisk(machine.disk, lambda: machine.folder.write_order(second))
    assert machine.helper(disk).run() == "nothing"
    assert machine.folder.order() == second
    assert machine.helper().run() == "written"  # the unit is begun again as long as there is one
    assert machine.starts == ["1.2", "1.0"]


def test_what_is_on_trial_is_not_taken_back_any_more(machine, maker, monkeypatch):
    machine.order(maker.bundle())
    ordering, put, refused = Ordering(machine.folder, None, None, None, 0), Uefi.put, []

    def late(*words):
        with pytest.raises(UpdateRefused, match="is written already"):
            ordering.take_back("1.1", "anna")
        refused.append(True)
        put(*words)

    monkeypatch.setattr(Uefi, "put", late)
    assert machine.helper().run() == "written"
    assert refused
    assert machine.deeds() == [(Deed.WRITTEN, "1.1")]


def test_a_disk_that_is_full_holds_up_no_start(machine, maker, monkeypatch):
    machine.order(maker.bundle())
    write_trial, full = machine.folder.write_trial, [False, True, True]

    def until_full(trial):
        if full.pop(0) and machine.folder.bundle("1.1").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_trial(trial)

    monkeypatch.setattr(machine.folder, "write_trial", until_full)
    assert machine.helper().run() == "written"
    assert machine.restarts == [()]
    assert machine.folder.trial().tries == 1
    assert machine.deeds() == [(Deed.WRITTEN, "1.1")]


def test_an_order_that_stops_the_machine_each_time_is_given_up(machine, maker):
    machine.order(maker.bundle())
    for _ in range(3):
        with pytest.raises(Power):
            machine.helper(CutDisk(machine.disk, 2)).run()
    with pytest.raises(UpdateRefused, match="stopped each of the 3 times"):
        machine.helper().run()
    [entry] = machine.folder.history()
    assert (entry.deed, entry.cause) == (Deed.NOT_WRITTEN, Cause.POWER)
    assert machine.starts == ["1.0"]
    assert machine.labels()[3] == EMPTY


@pytest.mark.parametrize("is_pi", [False, True])
def test_what_is_given_up_in_the_end_is_on_trial_no_more(request, maker, is_pi):
    """The last cut came between the trial and what starts it."""
    machine = request.getfixturevalue("card" if is_pi else "machine")
    machine.order(maker.bundle(machine="rpi" if is_pi else "x86-64"))

    def put(*_):
        raise Power

    for _ in range(3):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(machine.loader), "put", put)
            with pytest.raises(Power):
                machine.helper().run()
    assert machine.folder.trial() is not None
    with pytest.raises(UpdateRefused, match="stopped each of the 3 times"):
        machine.helper().run()
    # Or nothing else could be installed until somebody starts the machine anew.
    assert machine.folder.trial() is None


def test_what_failed_after_a_cut_is_on_trial_no_more(machine, maker):
    machine.order(maker.bundle())
    with pytest.raises(Power):
        machine.helper(loader=CutLoader(machine.loader, before=True)).run()
    path = machine.folder.bundle("1.1")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UpdateRefused, match="should have"):
        machine.helper().run()
    assert machine.folder.trial() is None
    assert machine.deeds() == [(Deed.NOT_WRITTEN, "1.1")]


def test_what_came_damaged_off_the_disk_is_fetched_anew(machine, maker):
    """A cell of the disk is weak; the version has no fault, and somebody may have it again."""
    machine.order(maker.bundle())
    path = machine.folder.bundle("1.1")
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(UpdateRefused, match="is damaged"):
        machine.helper().run()
    assert not path.exists()
    [entry] = machine.folder.history()
    assert (entry.deed, entry.cause) == (Deed.NOT_WRITTEN, Cause.LINE)
    assert machine.starts == ["1.0"]


def test_a_disk_that_is_too_small_keeps_what_runs(machine, maker):
    machine.order(maker.bundle(size=3 * MIB))
    with pytest.raises(UpdateRefused, match="the update needs more"):
        machine.helper().run()
    assert machine.starts == ["1.0"]
    assert machine.folder.trial() is None


def test_a_version_that_has_not_proven_itself_is_gone_back_from(machine, maker):
    machine.order(maker.bundle())
    machine.helper().run()
    machine.place = place_of(machine.place.os_release.parent, "1.1", boot="second")
    machine.folder.write_order(Order(act="return", version="1.1", why="it does not work"))
    assert machine.helper().run() == "went back"
    assert machine.starts == ["1.0"]
    assert machine.restarts == [(), ()]
    assert machine.folder.order() is None


def test_nobody_goes_back_from_what_is_not_on_trial(machine):
    machine.folder.write_order(Order(act="return", version="1.0"))
    assert machine.helper().run() == "nothing"
    machine.folder.write_trial(Trial(version="1.1", before="1.0", boot_id="first"))
    machine.folder.write_order(Order(act="return", version="1.1"))
    assert machine.helper().run() == "nothing"
    assert machine.starts == ["1.0"]
    assert machine.restarts == []


def test_the_slot_of_before_is_written_by_the_next_update(machine, maker):
    machine.order(maker.bundle())
    machine.helper().run()
    machine.place = place_of(machine.place.os_release.parent, "1.1", boot="second")
    machine.order(maker.bundle("1.2"), "1.2")
    with pytest.raises(UpdateRefused, match="on trial itself"):  # and goes back to that slot
        machine.helper().run()
    assert machine.labels()[1:3] == ["edge-root-1.0", "edge-verity-1.0"]
    assert machine.starts == ["1.1", "1.0"]
    assert has_failed(machine.folder.history(), "1.2") is None
    machine.folder.drop_trial()
    [path] = machine.loader.entries()["1.1"]
    path.rename(path.with_name("edge_1.1.efi"))  # systemd-bless-boot
    machine.order(maker.bundle("1.2"), "1.2")
    machine.helper().run()
    assert machine.labels()[1:5] == [
        "edge-root-1.2",
        "edge-verity-1.2",
        "edge-root-1.1",
        "edge-verity-1.1",
    ]
    assert machine.starts == ["1.2", "1.1"]


def test_who_sits_at_the_machine_may_write_an_older_one(machine, maker):
    machine.place = place_of(machine.place.os_release.parent, "1.0")
    path = maker.bundle("0.9", minimum="0.1")
    order = Order(act="install", version="0.9", file=path.name, by="root")
    with pytest.raises(UpdateRefused, match="is older"):
        machine.helper().write(path, order)
    machine.helper().write(path, order, may_go_back=True)
    assert machine.starts == ["1.0", "0.9"]


class Card(Machine):
    """A Raspberry Pi: its firmware tries what it is told to, once."""

    def __init__(self, tmp_path, folder, keys):
        super().__init__(tmp_path, folder, keys)
        self.tmp_path = tmp_path
        self.disk = Disk(make_pi_disk(tmp_path / "card"))
        self.select, self.booted = tmp_path / "select", tmp_path / "booted"
        self.select.mkdir()
        (self.select / "autoboot.txt").write_text(
            "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
        )
        self.loader = Pi(self.select, self.booted)
        self.starts_of_it = 0
        self.start("1.0", 2)

    def start(self, version, number):
        """It starts from a partition."""
        self.starts_of_it += 1
        self.restarts.clear()
        self.booted.write_bytes(number.to_bytes(4, "big"))
        name = f"start-{self.starts_of_it}"
        model = "Raspberry Pi 5 Model B"
        self.place = place_of(self.tmp_path / name, version, boot=name, model=model)

    def judge(self, prove):
        return asyncio.run(judge(self.folder, self.place, prove))[0]


@pytest.fixture
def card(tmp_path, folder, keys):
    return Card(tmp_path, folder, keys)


TRYING = [("--reboot-argument=0 tryboot",)]


async def works(_):
    pass


async def does_not(_):
    raise NotProven("images: C-STORE was not answered")


def cut_while_it_waits(card):
    card.busy = 1

    def cut(_):
        raise Power

    card.sleep = cut
    with pytest.raises(Power):
        card.helper().run()
    del card.sleep


def test_a_pi_whose_power_is_cut_while_it_waits_for_quiet_tries_it_all_the_same(card, maker):
    card.order(maker.bundle(machine="rpi"))
    cut_while_it_waits(card)
    assert card.restarts == []
    for _ in range(2):  # and is cut again
        card.start("1.0", 2)
        assert card.judge(works) is Verdict.NOT_YET
        assert card.folder.order().act == "try"
        cut_while_it_waits(card)
    card.start("1.0", 2)
    assert card.judge(works) is Verdict.NOT_YET
    assert card.helper().run() == "started"
    assert card.restarts == TRYING
    assert card.judge(works) is Verdict.NOT_YET  # it is about to start anew
    assert card.folder.order() is None
    card.start("1.1", 3)
    assert card.judge(works) is Verdict.GOOD
    assert card.helper().run() == "kept"
    assert card.loader.numbers() == (3, 2)
    assert (card.folder.trial(), card.folder.order()) == (None, None)
    assert card.deeds() == [(Deed.WRITTEN, "1.1"), (Deed.GOOD, "1.1")]


def test_a_pi_has_three_starts_too(card, maker):
    card.order(maker.bundle(machine="rpi"))
    assert card.helper().run() == "written"
    for _ in range(2):
        assert card.restarts == TRYING
        card.start("1.0", 2)  # the other one did not come so far
        assert card.judge(works) is Verdict.NOT_YET
        assert card.helper().run() == "started"
    card.start("1.0", 2)
    assert card.judge(works) is Verdict.WENT_BACK
    assert card.folder.trial() is None
    assert has_failed(card.folder.history(), "1.1")


def test_a_pi_does_not_try_again_what_has_not_proven_itself(card, maker):
    card.order(maker.bundle(machine="rpi"))
    card.helper().run()
    card.start("1.1", 3)
    assert card.judge(does_not) is Verdict.BAD
    assert card.helper().run() == "went back"
    assert card.restarts == [()]
    card.start("1.0", 2)
    assert card.judge(works) is Verdict.WENT_BACK
    assert card.loader.numbers() == (2, 3)


def test_a_pi_whose_power_is_cut_before_it_was_kept_tries_it_again(card, maker):
    card.order(maker.bundle(machine="rpi"))
    card.helper().run()
    card.start("1.1", 3)
    assert card.judge(works) is Verdict.GOOD
    card.start("1.0", 2)
    assert card.helper().run() == "nothing"  # it is not this one that is to be kept
    assert card.loader.numbers() == (2, 3)
    assert card.judge(works) is Verdict.NOT_YET
    assert card.helper().run() == "started"


def test_nobody_has_a_pi_start_what_root_did_not_put_there(card):
    card.folder.write_trial(Trial(version="0.9", before="1.0", boot_id="another"))
    card.folder.write_order(Order(act="try", version="0.9"))
    with pytest.raises(UpdateRefused, match="not on trial"):
        card.helper().run()
    assert card.restarts == []
    assert (card.folder.trial(), card.folder.order()) == (None, None)


@pytest.mark.parametrize("is_judged", [True, False])
def test_what_could_not_be_judged_is_gone_back_from(machine, maker, is_judged):
    machine.order(maker.bundle())
    machine.helper().run()
    machine.restarts.clear()
    assert machine.helper().go_back() == "nothing"  # the one from before runs
    machine.place = place_of(machine.place.os_release.parent, "1.1", boot="second")
    if is_judged:
        machine.folder.note(Deed.BAD, "1.1", why="it does not work")
        machine.folder.write_order(Order(act="return", version="1.1"))
    assert machine.helper().go_back() == "went back"
    assert machine.starts == ["1.0"]
    assert machine.restarts == [()]
    assert [deed for deed, _ in machine.deeds()] == [Deed.WRITTEN, Deed.BAD]
    assert machine.helper().go_back() == "nothing"  # not twice: that would never end
    assert machine.restarts == [()]


def test_what_is_gone_back_to_is_found_though_the_trial_was_lost(machine, maker, tmp_path):
    machine.order(maker.bundle())
    machine.helper().run()
    machine.restarts.clear()
    machine.folder.drop_trial()
    place = place_of(machine.place.os_release.parent, "1.1", boot="second")
    machine.place = replace(place, counted_file=tmp_path / "LoaderBootCountPath")
    assert machine.helper().go_back() == "nothing", "nobody says that it is on trial"
    machine.place.counted_file.touch()
    assert machine.helper().go_back() == "went back"
    assert machine.starts == ["1.0"]
    assert machine.restarts == [()]
    assert [deed for deed, _ in machine.deeds()][-1] is Deed.BAD
    assert machine.helper().go_back() == "nothing"  # there is nothing else to start any more
    assert machine.restarts == [()]


def test_why_a_version_whose_trial_was_lost_is_gone_back_from_is_said_once(
    machine, maker, tmp_path
):
    machine.order(maker.bundle())
    machine.helper().run()
    machine.folder.drop_trial()
    place = place_of(machine.place.os_release.parent, "1.1", boot="second")
    machine.place = replace(place, counted_file=tmp_path / "LoaderBootCountPath")
    machine.place.counted_file.touch()

    async def too_long(_):
        raise NotProven("index: it takes too long", Cause.MOMENT)

    judged = judge(machine.folder, machine.place, too_long)
    assert asyncio.run(judged) == (Verdict.BAD, "index: it takes too long")
    assert machine.helper().go_back() == "went back"
    assert machine.deeds() == [(Deed.WRITTEN, "1.1"), (Deed.BAD, "1.1")]
    last = machine.folder.history()[-1]
    assert (last.why, last.cause) == ("index: it takes too long", Cause.MOMENT)


def test_if_what_starts_the_machine_is_not_there_the_starts_are_counted(machine, maker):
    machine.order(maker.bundle())
    machine.helper().run()
    machine.restarts.clear()
    machine.place = place_of(machine.place.os_release.parent, "1.1", boot="second")

    def nowhere():
        raise UpdateRefused("mounted nowhere")

    helper = machine.helper()
    helper._loader = nowhere
    assert helper.go_back() == "went back"
    assert machine.restarts == [()]


def test_no_key_is_asked_for_to_go_back(machine, maker):
    machine.order(maker.bundle())
    machine.helper().run()
    machine.place = place_of(machine.place.os_release.parent, "1.1", boot="second")
    machine.keys = None
    machine.folder.write_order(Order(act="return", version="1.1"))
    assert machine.helper().run() == "went back"

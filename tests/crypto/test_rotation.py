"""All keys wrapped anew: by a new epoch, from version 1, and after a power cut at any moment."""

from __future__ import annotations

import os
import shutil
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.crypto import rotation
from edge.crypto.keys import KeyRing
from edge.crypto.twin import PLACE, copies
from edge.errors import SealBroken, SecretError, WrongKey
from tests.crypto.rings import (
    FORMER_DERIVED,
    FORMER_KEYS,
    FORMER_ROOT,
    Fixed,
    former,
    ring,
)


def epochs_in(path: Path) -> set[int]:
    """The numbers of the epochs that wrap something."""
    content = path.read_bytes()
    places = (content[at : at + PLACE] for at in range(PLACE, len(content), PLACE))
    return {int.from_bytes(place[4:8], "big") for place in places if place[0]}


def test_every_key_opens_as_before_and_nothing_is_left_of_the_old_wrapping(tmp_path):
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(5)]
    keys.destroy([made.pop(2).key_id])
    index, old = keys.derive("index"), (tmp_path / "keys.db").read_bytes()
    done = keys.rotate()
    assert (done.epoch, done.study_keys) == (2, 4)
    later = keys.new_study_key()
    keys.close()
    for copy in copies(tmp_path / "keys.db"):
        assert epochs_in(copy) == {2}
        content = copy.read_bytes()
        for at in range(PLACE, len(old), PLACE):
            assert not old[at] or old[at + 24 : at + 84] not in content
    again = ring(tmp_path)
    assert [again.study_key(key.key_id) for key in (*made, later)] == [*made, later]
    assert again.derive("index") == index


def test_it_can_be_done_again_and_again_and_the_file_does_not_grow(tmp_path):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    keys.rotate()
    length = (tmp_path / "keys.db").stat().st_size
    for epoch in range(3, 8):
        assert keys.rotate().epoch == epoch
    keys.close()
    assert (tmp_path / "keys.db").stat().st_size == length
    assert ring(tmp_path).study_key(made.key_id) == made


def test_an_old_copy_of_the_ring_and_its_root_open_nothing_that_came_after(tmp_path):
    keys = ring(tmp_path)
    keys.new_study_key()
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    shutil.copy(tmp_path / "keys.db", stolen)
    keys.rewrap_root(b"n" * 32)
    keys.rotate()
    later = keys.new_study_key()
    keys.close()
    thief = ring(stolen)
    with pytest.raises(SealBroken):
        thief.study_key(later.key_id)
    with pytest.raises(WrongKey):
        ring(tmp_path)


def test_others_use_the_ring_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(rotation, "_LOT", 3)
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(50)]
    reader = ring(tmp_path, owned=False)
    ended = threading.Event()

    def work():
        while not ended.is_set():
            made.append(keys.new_study_key())
            keys.destroy([made.pop(0).key_id])

    with ThreadPoolExecutor(1) as worker:
        working = worker.submit(work)
        for _ in range(5):
            keys.rotate()
        ended.set()
        working.result()
    assert keys.key_ids() == {key.key_id for key in made}
    # Who had read it before knows no epoch of now, and finds it.
    for key in made:
        if key.key_id in reader.key_ids():
            assert reader.study_key(key.key_id) == key
    keys.close()
    again = ring(tmp_path)
    assert [again.study_key(key.key_id) for key in made] == made
    assert epochs_in(tmp_path / "keys.db") == {6}


def test_damage_in_both_copies_stops_it_unless_that_is_given_up(tmp_path):
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(3)]
    for number, copy in enumerate(copies(tmp_path / "keys.db")):
        content = bytearray(copy.read_bytes())
        content[4 * PLACE + 30 + number] ^= 1
        copy.write_bytes(content)
    before = (tmp_path / "keys.db").read_bytes()
    with pytest.raises(SecretError, match="1 places of the ring of keys are damaged") as caught:
        keys.rotate()
    assert "--abandon-damaged" in caught.value.hint
    assert (tmp_path / "keys.db").read_bytes() == before
    assert keys.rotate(abandon=True).study_keys == 2
    keys.close()
    again = ring(tmp_path)
    assert again.key_ids() == {made[0].key_id, made[2].key_id}
    assert again.rotate().epoch == 3


def test_what_one_copy_lacks_is_no_hindrance(tmp_path):
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(3)]
    first, second = copies(tmp_path / "keys.db")
    for copy, place in ((first, 3), (second, 4), (first, 2)):
        content = bytearray(copy.read_bytes())
        content[place * PLACE + 30] ^= 1
        copy.write_bytes(content)
    keys.rotate()
    keys.close()
    assert first.read_bytes() == second.read_bytes()
    again = ring(tmp_path)
    assert [again.study_key(key.key_id) for key in made] == made


def test_a_disk_that_does_not_take_it_loses_nothing_and_it_is_finished_later(tmp_path, monkeypatch):
    monkeypatch.setattr(rotation, "_LOT", 2)
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(6)]
    index = keys.derive("index")
    original, left = os.fsync, 5

    def failing(descriptor):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(5, "Input/output error")
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(SecretError, match="can't be wrapped anew now") as caught:
            keys.rotate()
    assert "every key opens as before" in caught.value.hint
    keys._open.clear()
    assert [keys.study_key(key.key_id) for key in made] == made
    with pytest.raises(SecretError, match="a rotation of the keys is not finished"):
        keys.add_root(b"n" * 32)
    assert keys.rotate().epoch == 2  # the one that was begun
    keys.close()
    again = ring(tmp_path)
    assert again.derive("index") == index
    assert epochs_in(tmp_path / "keys.db") == {2}


# From version 1 -----------------------------------------------------------------------------------


def opens_as_version_1_left_it(keys: KeyRing) -> None:
    for name, secret in FORMER_KEYS.items():
        assert keys.study_key(bytes.fromhex(name)).secret.hex() == secret
    assert {name.hex() for name in keys.key_ids()} == set(FORMER_KEYS)
    for purpose, secret in FORMER_DERIVED.items():
        assert keys.derive(purpose).hex() == secret


def test_a_ring_of_version_1_opens_and_is_of_version_2_then(tmp_path, caplog):
    path = former(tmp_path)
    for _ in range(2):
        keys = KeyRing(path, Fixed(FORMER_ROOT), may_create=False)
        opens_as_version_1_left_it(keys)
        keys.close()
        assert epochs_in(path) == {2}
        assert path.read_bytes()[8] == 2
        assert path.read_bytes() == copies(path)[1].read_bytes()
    assert len([record for record in caplog.records if "wrapped anew" in record.message]) == 1


def test_what_is_derived_stays_when_the_root_of_such_a_ring_is_changed(tmp_path):
    path = former(tmp_path)
    keys = KeyRing(path, Fixed(FORMER_ROOT), may_create=False)
    keys.rewrap_root(b"n" * 32)
    keys.close()
    opens_as_version_1_left_it(KeyRing(path, Fixed(b"n" * 32), may_create=False))
    with pytest.raises(WrongKey):
        KeyRing(path, Fixed(FORMER_ROOT), may_create=False)


def test_who_does_not_own_a_ring_of_version_1_reads_it_as_it_is(tmp_path):
    path = former(tmp_path)
    before = path.read_bytes()
    opens_as_version_1_left_it(KeyRing(path, Fixed(FORMER_ROOT), may_create=False, owned=False))
    assert path.read_bytes() == before


def test_another_root_does_not_open_a_ring_of_version_1(tmp_path):
    path = former(tmp_path)
    with pytest.raises(WrongKey):
        KeyRing(path, Fixed(bytes(32)), may_create=False)


def test_a_full_disk_keeps_a_ring_of_version_1_in_use(tmp_path, monkeypatch, caplog):
    path = former(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        keys = KeyRing(path, Fixed(FORMER_ROOT), may_create=False)
    assert "can't be wrapped anew" in caplog.text
    opens_as_version_1_left_it(keys)
    made = keys.new_study_key()
    keys.close()
    keys = KeyRing(path, Fixed(FORMER_ROOT), may_create=False)
    assert keys.study_key(made.key_id) == made
    assert epochs_in(path) == {2}


# A power cut --------------------------------------------------------------------------------------


class Recorder:
    """Keeps what is written to both copies, in order, and what is durable of it when."""

    def __init__(self, path: Path, monkeypatch) -> None:
        self._paths = copies(path)
        self.log: list[tuple[int, int, bytes] | int] = []
        self._before = [copy.read_bytes() for copy in self._paths]
        write, sync = os.pwrite, os.fsync

        def which(descriptor):
            name = Path(f"/proc/self/fd/{descriptor}").readlink()
            return self._paths.index(name) if name in self._paths else None

        def pwrite(descriptor, content, offset):
            self.log.append((which(descriptor), offset, bytes(content)))
            return write(descriptor, content, offset)

        def fsync(descriptor):
            if (copy := which(descriptor)) is not None:
                self.log.append(copy)
            sync(descriptor)

        monkeypatch.setattr(os, "pwrite", pwrite)
        monkeypatch.setattr(os, "fsync", fsync)

    def states(self):
        """What the copies may hold if the power fails: after every step, each in several states.

        What was not synced is there, or not, or partly, or torn in the middle of a place.
        """
        for end in range(len(self.log) + 1):
            durable = [bytearray(content) for content in self._before]
            pending = defaultdict(list)
            for step in self.log[:end]:
                if isinstance(step, int):
                    for offset, content in pending.pop(step, []):
                        _lay(durable[step], offset, content)
                else:
                    pending[step[0]].append(step[1:])
            for fate in ("lost", "there", "first half", "second half", "torn"):
                found = [bytearray(each) for each in durable]
                for copy, writes in pending.items():
                    half = len(writes) // 2
                    kept = {"lost": [], "first half": writes[:half], "second half": writes[half:]}
                    for offset, content in kept.get(fate, writes):
                        # No sector does that, and a place lies in one: it is not asked of a file
                        # that grows.
                        torn = fate == "torn" and any(found[copy][offset : offset + PLACE])
                        _lay(found[copy], offset, content[:64] if torn else content)
                yield f"{fate} after {end} steps", found
                if not pending:
                    break


def _lay(copy: bytearray, offset: int, content: bytes) -> None:
    copy.extend(bytes(max(0, offset - len(copy))))
    copy[offset : offset + len(content)] = content


@pytest.mark.parametrize("version", [1, 2])
def test_a_power_cut_at_any_step_loses_no_key_and_the_next_start_finishes_or_undoes_it(
    tmp_path, monkeypatch, version
):
    monkeypatch.setattr(rotation, "_LOT", 3)
    root = FORMER_ROOT if version == 1 else bytes(32)
    path = tmp_path / "keys.db"
    if version == 1:
        former(tmp_path)
        secrets = {bytes.fromhex(name): bytes.fromhex(key) for name, key in FORMER_KEYS.items()}
        index = bytes.fromhex(FORMER_DERIVED["index"])
    else:
        keys = ring(tmp_path)
        secrets = {key.key_id: key.secret for key in (keys.new_study_key() for _ in range(7))}
        keys.destroy([name := next(iter(secrets))])
        del secrets[name]
        index = keys.derive("index")
        keys.close()
    with monkeypatch.context() as patch:
        recorder = Recorder(path, patch)
        keys = KeyRing(path, Fixed(root), may_create=False)
        if version == 2:
            keys.rotate()
        keys.close()
    epochs = set()
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the disk has shown what it can do
    for name, contents in (states := list(recorder.states())):
        for copy, content in zip(copies(path), contents, strict=True):
            copy.write_bytes(content)
        for _ in range(2):  # what one start has done, the next finds
            keys = KeyRing(path, Fixed(root), may_create=False)
            assert keys.key_ids() == set(secrets), name
            for key_id, secret in secrets.items():
                assert keys.study_key(key_id).secret == secret, name
            assert keys.derive("index") == index, name
            keys.close()
            (epoch,) = epochs_in(path)
        assert path.read_bytes() == copies(path)[1].read_bytes(), name
        epochs.add(epoch)
    assert epochs == ({2} if version == 1 else {1, 2})
    assert len(states) > 70


def test_a_power_cut_while_the_root_changes_leaves_a_ring_that_either_opens_or_the_old_one(
    tmp_path, monkeypatch
):
    path, new = tmp_path / "keys.db", b"n" * 32
    keys = ring(tmp_path)
    made, index = keys.new_study_key(), keys.derive("index")
    with monkeypatch.context() as patch:
        recorder = Recorder(path, patch)
        keys.add_root(new)
        added = len(recorder.log)
        keys.settle_root()
    keys.close()
    opened = set()
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for name, contents in recorder.states():
        step = int(name.split()[-2])
        for root in (bytes(32), new):
            for copy, content in zip(copies(path), contents, strict=True):
                copy.write_bytes(content)
            try:
                keys = KeyRing(path, Fixed(root), may_create=False)
            except WrongKey:
                # The new one is told to open it once it is durable, and the old one must till then.
                assert step > added if root != new else step < added, name
                continue
            assert keys.study_key(made.key_id) == made, name
            assert keys.derive("index") == index, name
            keys.close()
            opened.add((root, step < added))
    assert opened >= {(bytes(32), True), (new, True), (new, False)}

"""The ring of keys, on a real file."""

from __future__ import annotations

import errno
import os

import pytest

from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.crypto.twin import PLACE, copies
from edge.errors import KeyUnavailable, SealBroken, SecretError, StorageFull, WrongKey
from tests.crypto.rings import Fixed, ring


def test_a_study_key_is_found_again_after_a_restart(tmp_path):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    keys.close()
    again = ring(tmp_path)
    assert again.study_key(made.key_id) == made
    assert again.key_ids() == {made.key_id}


def test_another_root_secret_opens_nothing_and_says_so(tmp_path):
    ring(tmp_path).close()
    with pytest.raises(WrongKey, match="does not open the keys of this box"):
        ring(tmp_path, b"x" * 32)


def test_a_destroyed_key_is_gone(tmp_path):
    keys = ring(tmp_path)
    made, other = keys.new_study_key(), keys.new_study_key()
    keys.destroy([made.key_id])
    with pytest.raises(SealBroken, match="destroyed"):
        keys.study_key(made.key_id)
    assert keys.study_key(other.key_id) == other
    keys.close()
    with pytest.raises(SealBroken):
        ring(tmp_path).study_key(made.key_id)


def test_no_secret_stands_in_the_file(tmp_path):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    content = (tmp_path / "keys.db").read_bytes()
    assert made.key_id in content
    assert made.secret not in content
    assert (tmp_path / "keys.db").stat().st_mode & 0o077 == 0


def test_wrapped_keys_that_traded_places_do_not_open(tmp_path):
    keys = ring(tmp_path)
    one, two = keys.new_study_key(), keys.new_study_key()
    keys.close()
    for copy in copies(tmp_path / "keys.db"):
        content = bytearray(copy.read_bytes())
        wrapped = [slice(place * PLACE + 24, place * PLACE + 84) for place in (3, 4)]
        content[wrapped[0]], content[wrapped[1]] = content[wrapped[1]], content[wrapped[0]]
        copy.write_bytes(content)
    again = ring(tmp_path)
    for key in (one, two):
        with pytest.raises(SealBroken, match="changed"):
            again.study_key(key.key_id)


def test_derived_keys_differ_by_purpose_and_stay_the_same(tmp_path):
    keys = ring(tmp_path)
    assert keys.derive("index") != keys.derive("tls")
    assert keys.derive("index") == ring(tmp_path).derive("index")
    assert len(keys.derive("index")) == 32


def test_a_ring_of_a_newer_version_is_refused(tmp_path):
    ring(tmp_path).close()
    for copy in copies(tmp_path / "keys.db"):
        content = copy.read_bytes()
        copy.write_bytes(content[:8] + b"\x63" + content[9:])
    with pytest.raises(SecretError, match="newer version"):
        ring(tmp_path)


def test_a_file_that_is_no_ring_is_refused(tmp_path):
    (tmp_path / "keys.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(SecretError, match="can't be read"):
        ring(tmp_path)


def test_the_secret_does_not_show_in_a_repr(tmp_path):
    made = ring(tmp_path).new_study_key()
    assert repr(made.secret) not in repr(made)


def test_the_root_key_is_made_at_the_first_start_for_its_owner_alone(tmp_path):
    path = tmp_path / "secrets" / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_bytes()
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    assert path.read_bytes() == first


def test_a_root_key_that_is_missing_is_never_made_anew(tmp_path):
    path = tmp_path / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    path.unlink()
    with pytest.raises(KeyUnavailable, match="can't be read"):
        KeyRing(tmp_path / "keys.db", FileKeyProvider(path), may_create=False)
    assert not path.exists()


def test_a_root_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    path.chmod(0o640)
    with pytest.raises(KeyUnavailable) as caught:
        KeyRing(tmp_path / "keys.db", FileKeyProvider(path))
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not base64!", b"c2hvcnQ="])
def test_a_file_that_holds_no_root_key_is_refused(tmp_path, content):
    path = tmp_path / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    path.write_bytes(content)
    with pytest.raises(WrongKey):
        KeyRing(tmp_path / "keys.db", FileKeyProvider(path))


@pytest.mark.parametrize("damage", ["missing", "empty", "no epochs"])
def test_a_ring_is_never_made_anew_where_something_was_sealed(tmp_path, damage):
    keys = ring(tmp_path)
    keys.new_study_key()
    keys.close()
    path = tmp_path / "keys.db"
    for copy in copies(path):
        if damage == "missing":
            copy.unlink()
        elif damage == "empty":
            copy.write_bytes(b"")
        else:
            content = copy.read_bytes()
            copy.write_bytes(content[:PLACE] + bytes(PLACE) + content[2 * PLACE :])
    before = [copy.read_bytes() for copy in copies(path) if copy.exists()]
    with pytest.raises(SecretError):
        KeyRing(path, Fixed(bytes(32)), may_create=False)
    assert [copy.read_bytes() for copy in copies(path) if copy.exists()] == before


def test_every_byte_of_either_copy_may_be_damaged_and_is_repaired(tmp_path, caplog):
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(3)]
    keys.close()
    both = copies(tmp_path / "keys.db")
    whole = both[0].read_bytes()
    assert both[1].read_bytes() == whole
    for position in range(len(whole)):
        copy = both[position % 2]
        damaged = bytearray(whole)
        damaged[position] ^= 1
        copy.write_bytes(damaged)
        caplog.clear()
        again = ring(tmp_path)
        assert [again.study_key(key.key_id) for key in made] == made, position
        assert again.key_ids() == {key.key_id for key in made}, position
        again.close()
        assert [each.read_bytes() for each in both] == [whole, whole], position
        assert len(caplog.records) == 1, position


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "rubbish", "zeros"])
def test_a_copy_that_is_lost_is_made_again_from_the_other(tmp_path, which, damage):
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(40)]
    keys.close()
    both = copies(tmp_path / "keys.db")
    whole = both[0].read_bytes()
    if damage == "missing":
        both[which].unlink()
    else:
        content = {"empty": b"", "cut": whole[:1000], "rubbish": b"x" * 4096, "zeros": bytes(9000)}
        both[which].write_bytes(content[damage])
    again = KeyRing(tmp_path / "keys.db", Fixed(bytes(32)), may_create=False)
    assert [again.study_key(key.key_id) for key in made] == made
    later = again.new_study_key()
    again.close()
    both[1 - which].unlink()
    assert ring(tmp_path).study_key(later.key_id) == later


def test_damage_in_both_copies_costs_no_key_but_the_one_that_it_hit(tmp_path, caplog):
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(3)]
    keys.close()
    for number, copy in enumerate(copies(tmp_path / "keys.db")):
        content = bytearray(copy.read_bytes())
        content[4 * PLACE + 30 + number] ^= 1
        copy.write_bytes(content)
    again = ring(tmp_path)
    assert again.key_ids() == {made[0].key_id, made[2].key_id}
    with pytest.raises(SealBroken):
        again.study_key(made[1].key_id)
    assert "damaged in both copies" in caplog.text
    again.new_study_key()
    assert again.study_key(made[2].key_id) == made[2]


def test_who_does_not_own_the_ring_reads_and_repairs_nothing(tmp_path):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    keys.close()
    first, second = copies(tmp_path / "keys.db")
    first.write_bytes(first.read_bytes()[:-PLACE])
    before = first.read_bytes()
    reader = KeyRing(first, Fixed(bytes(32)), may_create=False, owned=False)
    assert reader.study_key(made.key_id) == made
    assert first.read_bytes() == before
    second.unlink()
    KeyRing(first, Fixed(bytes(32)), may_create=False, owned=False).close()
    assert not second.exists()


def test_a_destroyed_key_leaves_nothing_in_either_copy_and_its_place_is_used_again(tmp_path):
    keys = ring(tmp_path)
    made = [keys.new_study_key() for _ in range(3)]
    both = copies(tmp_path / "keys.db")
    length = both[0].stat().st_size
    keys.destroy(key.key_id for key in made[:2])
    for copy in both:
        assert not any(key.key_id in copy.read_bytes() for key in made[:2])
    keys.close()
    again = ring(tmp_path)
    assert again.key_ids() == {made[2].key_id}
    again.new_study_key()
    again.new_study_key()
    assert both[0].stat().st_size == length


def test_a_full_disk_is_said_as_such_and_no_key_is_given(tmp_path, monkeypatch):
    keys = ring(tmp_path)
    first = keys.new_study_key()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageFull):
            keys.new_study_key()
    assert keys.key_ids() == {first.key_id}
    later = keys.new_study_key()
    keys.close()
    assert ring(tmp_path).study_key(later.key_id) == later


# The root secret changes --------------------------------------------------------------------------

OLD, NEW = bytes(32), b"n" * 32


def test_a_new_root_opens_the_ring_and_nothing_that_follows_from_it_is_another(tmp_path):
    keys = ring(tmp_path)
    made, index = keys.new_study_key(), keys.derive("index")
    keys.rewrap_root(NEW)
    assert keys.derive("index") == index
    keys.close()
    again = ring(tmp_path, NEW)
    assert again.study_key(made.key_id) == made
    assert again.derive("index") == index
    again.close()
    with pytest.raises(WrongKey):
        ring(tmp_path, OLD)


def test_until_the_new_root_is_used_the_old_one_opens_the_ring_too(tmp_path, caplog):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    keys.add_root(NEW)
    keys.close()
    for _ in range(2):
        keys = ring(tmp_path, OLD)
        assert "another root key was made" in caplog.text
        keys.close()
    ring(tmp_path, NEW, owned=False).close()  # who only reads ends nothing
    ring(tmp_path, OLD).close()
    keys = ring(tmp_path, NEW)
    assert "the root key was changed" in caplog.text
    assert keys.study_key(made.key_id) == made
    keys.close()
    with pytest.raises(WrongKey):
        ring(tmp_path, OLD)


def test_a_new_root_that_nobody_wants_any_more_is_taken_back(tmp_path):
    keys = ring(tmp_path)
    keys.add_root(NEW)
    keys.close()
    keys = ring(tmp_path, OLD)
    keys.settle_root()
    keys.close()
    with pytest.raises(WrongKey):
        ring(tmp_path, NEW)
    ring(tmp_path, OLD).close()


def test_the_newest_of_several_new_roots_ends_all_others(tmp_path):
    keys = ring(tmp_path)
    keys.add_root(NEW)
    keys.close()
    keys = ring(tmp_path, OLD)
    keys.add_root(b"3" * 32)
    keys.add_root(b"3" * 32)  # once more is no more
    keys.close()
    ring(tmp_path, NEW).close()
    ring(tmp_path, b"3" * 32).close()
    for root in (OLD, NEW):
        with pytest.raises(WrongKey):
            ring(tmp_path, root)
    assert ring(tmp_path, b"3" * 32).rotate().epoch == 2


def test_keys_are_not_rotated_while_the_root_changes(tmp_path):
    keys = ring(tmp_path)
    keys.add_root(NEW)
    with pytest.raises(SecretError, match="root key is being changed"):
        keys.rotate()
    keys.settle_root()
    assert keys.rotate().epoch == 2


def test_a_backup_has_a_root_and_a_ring_that_belong_together(tmp_path):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    taken = []

    def seal(root, content):
        taken.append((root, content))
        return b"sealed"

    assert keys.escrow(seal) == b"sealed"
    keys.add_root(NEW)
    keys.escrow(seal)
    keys.settle_root()
    keys.rotate()
    keys.escrow(seal)
    assert [root for root, _ in taken] == [OLD, NEW, NEW]
    for number, (root, content) in enumerate(taken):
        folder = tmp_path / str(number)
        folder.mkdir()
        for copy in copies(folder / "keys.db"):
            copy.write_bytes(content)
        assert ring(folder, root).study_key(made.key_id) == made


@pytest.mark.parametrize("pending", [False, True])
def test_every_byte_of_either_copy_may_be_damaged_while_the_root_changes(tmp_path, pending):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    keys.add_root(NEW)
    if not pending:
        keys.settle_root()
    keys.close()
    both = copies(tmp_path / "keys.db")
    whole = both[0].read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x80
        both[position % 2].write_bytes(damaged)
        again = ring(tmp_path, OLD if pending else NEW)
        assert again.study_key(made.key_id) == made
        again.close()
        assert [each.read_bytes() for each in both] == [whole, whole], position


def test_a_place_that_was_overwritten_with_another_sound_one_is_found_out(tmp_path):
    keys = ring(tmp_path)
    one, two = keys.new_study_key(), keys.new_study_key()
    keys.close()
    for copy in copies(tmp_path / "keys.db"):
        whole = copy.read_bytes()
        content = bytearray(whole)
        content[4 * PLACE : 5 * PLACE] = whole[3 * PLACE : 4 * PLACE]
        copy.write_bytes(content)
        again = ring(tmp_path)
        assert [again.study_key(key.key_id) for key in (one, two)] == [one, two]
        again.close()
        assert copy.read_bytes() == whole


def test_the_root_secret_does_not_stay_in_memory_that_is_ours(tmp_path):
    keys = ring(tmp_path, NEW)
    root = keys._root
    assert root == NEW
    keys.close()
    assert root == bytes(32)

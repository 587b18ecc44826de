"""The record's files: durable, continued by any process, never written over."""

from __future__ import annotations

import errno
import multiprocessing
import os

import pytest

from edge.access.audit.folder import AuditFolder, Flaw, Head
from edge.crypto.sealed import Algorithm
from edge.errors import StorageFull
from tests.access.audit.conftest import KEY


def contents(folder):
    return [
        (link.number, link.content)
        for segment in folder.segments()
        for link in folder.read(segment)
    ]


def test_records_are_numbered_from_one_and_read_in_their_order(open_folder):
    folder = open_folder()
    assert folder.head() == Head()
    head, flaws = folder.append([b"one", b"two"])
    assert (head.number, flaws) == (2, [])
    head, flaws = folder.append([b"three"])
    assert (head.number, flaws) == (3, [])
    assert contents(open_folder()) == [(1, b"one"), (2, b"two"), (3, b"three")]
    assert open_folder().head() == head


def test_only_its_owner_may_read_it(open_folder, tmp_path):
    open_folder().append([b"one"])
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "audit").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_two_writers_go_on_behind_each_other(open_folder):
    service, command = open_folder(), open_folder()
    service.append([b"one"])
    command.append([b"two"])
    head, flaws = service.append([b"three"])
    assert (head.number, flaws) == (3, [])
    assert [number for number, _ in contents(command)] == [1, 2, 3]


def _write_some(path, name):
    folder = AuditFolder(path, KEY, Algorithm.AES_256_GCM, segment_bytes=2000)
    for number in range(30):
        folder.append([f"{name} {number}".encode()])


def test_processes_that_write_at_once_lose_nothing(open_folder, tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_write_some, args=(tmp_path / "audit", name)) for name in "abc"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = contents(open_folder())
    assert [number for number, _ in found] == list(range(1, 91))
    assert {content for _, content in found} == {
        f"{name} {number}".encode() for name in "abc" for number in range(30)
    }


def test_a_long_segment_is_followed_by_another(open_folder):
    folder = open_folder(segment_bytes=1000)
    for number in range(20):
        folder.append([b"x" * 100 + str(number).encode()])
    assert len(folder.segments()) > 2
    assert [number for number, _ in contents(folder)] == list(range(1, 21))


def test_an_old_segment_is_followed_by_another(open_folder):
    now = [1_800_000_000.0]
    folder = open_folder(clock=lambda: now[0])
    folder.append([b"one"])
    now[0] += 8 * 86400
    folder.append([b"two"])
    assert len(folder.segments()) == 2


def test_a_torn_end_stays_where_it_is_and_the_record_goes_on_behind_it(open_folder):
    folder = open_folder()
    folder.append([b"one"])
    folder.append([b"two"])
    (segment,) = folder.segments()
    whole = segment.path.read_bytes()
    one = next(iter(folder.read(segment))).end
    for length in range(one + 1, len(whole)):
        segment.path.write_bytes(whole[:length])
        head, flaws = open_folder().append([b"three"])
        assert head.number == 2
        assert flaws == [Flaw(1, 1, 0, length - one)]
        assert contents(open_folder()) == [(1, b"one"), (2, b"three")]
        assert segment.path.read_bytes() == whole[:length]
        for extra in folder.segments()[1:]:
            extra.path.unlink()


def test_what_a_power_cut_left_as_zeros_is_a_torn_end(open_folder):
    folder = open_folder()
    folder.append([b"one"])
    (segment,) = folder.segments()
    segment.path.write_bytes(segment.path.read_bytes() + bytes(5000))
    head, flaws = open_folder().append([b"two"])
    assert (head.number, flaws) == (2, [Flaw(1, 1, 0, 5000)])


def test_a_segment_without_its_header_is_passed_over(open_folder):
    folder = open_folder()
    folder.append([b"one"])
    (folder.path / "0000000002.audit").write_bytes(b"")
    head, flaws = open_folder().append([b"two"])
    assert (head.number, flaws) == (2, [Flaw(2, 0, 0, 0)])
    assert [segment.number for segment in folder.segments()] == [1, 2, 3]


def test_numbers_behind_damage_are_not_used_again(open_folder):
    folder = open_folder()
    folder.append([b"one", b"two", b"three"])
    (segment,) = folder.segments()
    data = bytearray(segment.path.read_bytes())
    data[next(iter(folder.read(segment))).end + 30] ^= 1
    segment.path.write_bytes(data)
    head, flaws = open_folder().append([b"four"])
    assert head.number == 4
    assert [(flaw.after, flaw.until) for flaw in flaws] == [(1, 3)]
    assert contents(folder) == [(1, b"one"), (3, b"three"), (4, b"four")]


def test_what_is_known_to_have_been_there_is_missed(open_folder):
    folder = open_folder()
    known, _ = folder.append([b"one", b"two", b"three"])
    (segment,) = folder.segments()
    first = next(iter(folder.read(segment))).end
    os.truncate(segment.path, first)
    head, flaws = open_folder().append([b"four"], known)
    assert head.number == 4
    assert flaws == [Flaw(1, 1, 3)]
    segment.path.unlink()
    for left in folder.segments():
        left.path.unlink()
    head, flaws = open_folder().append([b"five"], known)
    assert (head.number, flaws) == (4, [Flaw(0, 0, 3)])


def test_a_full_disk_takes_the_ballast_first_and_leaves_nothing_torn(open_folder, monkeypatch):
    folder = open_folder()
    folder.append([b"one"])
    ballast = folder.path / "ballast"
    assert ballast.stat().st_size == 1024 * 1024
    real, room = os.write, [0]

    def write(descriptor, data):
        if not ballast.exists() and room[0]:
            return real(descriptor, data)
        real(descriptor, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edge.access.audit.folder.os.write", write)
    room[0] = 1
    head, flaws = folder.append([b"two"])
    assert (head.number, flaws) == (2, [])
    ballast.unlink()
    room[0] = 0
    with pytest.raises(StorageFull):
        folder.append([b"three"])
    monkeypatch.undo()
    head, flaws = folder.append([b"three"])
    assert (head.number, flaws) == (3, [])
    assert contents(open_folder()) == [(1, b"one"), (2, b"two"), (3, b"three")]


def test_the_oldest_segments_go_by_age_and_by_size_and_never_the_last(open_folder):
    now = [1_800_000_000.0]
    folder = open_folder(clock=lambda: now[0])
    for _ in range(4):
        folder.append([b"x" * 100])
        now[0] += 8 * 86400
    numbers = [segment.number for segment in folder.expired(1_800_000_000 + 17 * 86400, 10**9)]
    assert numbers == [1, 2]
    assert [segment.number for segment in folder.expired(0, folder.size() - 1)] == [1]
    assert [segment.number for segment in folder.expired(now[0], 0)] == [1, 2, 3]
    folder.remove(folder.expired(now[0], 0))
    assert [number for number, _ in contents(folder)] == [4]


@pytest.mark.parametrize("name", ["lock", "0000000001.audit"])
def test_nothing_is_written_through_a_link(open_folder, tmp_path, name):
    folder = open_folder()
    folder.append([b"one"])
    elsewhere = tmp_path / "elsewhere"
    (folder.path / name).rename(elsewhere)
    (folder.path / name).symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    with pytest.raises(OSError, match="symbolic links"):
        folder.append([b"two"])
    assert elsewhere.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_appends_is_for_the_services_user_to_go_on_with(open_folder):
    folder = open_folder()
    folder.path.mkdir()
    os.chown(folder.path, 65534, 65534)
    folder.append([b"one"])
    owners = {path.name: path.stat().st_uid for path in folder.path.iterdir()}
    del owners["ballast"]  # which the folder's owner deletes, and does not open
    assert owners == {"0000000001.audit": 65534, "lock": 65534}

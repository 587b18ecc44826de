"""What a new file holds is what it was given, whichever way it went to the disk."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.store.new_file import NewFile

PAGE = mmap.PAGESIZE
MEBIBYTE = 1024 * 1024


def write(path, *pieces, each=64 * 1024 + 16):
    """Write each piece in a filling of its own, in so many bytes at a time."""
    file = NewFile(str(path))
    try:
        for piece in pieces:
            with file.filling() as room:
                for start in range(0, len(piece), each):
                    part = piece[start : start + each]
                    room(len(part))[:] = part
        file.sync()
    finally:
        file.close()
    return file


@pytest.mark.parametrize(
    "length",
    [0, 1, PAGE, 128 * 1024, 128 * 1024 + 1, 128 * 1024 + PAGE, MEBIBYTE, 3 * MEBIBYTE + 17],
)
def test_it_holds_what_it_was_given(tmp_path, length):
    content = os.urandom(length)
    assert write(tmp_path / "it", content).length == length
    assert (tmp_path / "it").read_bytes() == content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    lengths=st.lists(st.integers(0, 400_000), max_size=6), each=st.integers(3 * 1024, 128 * 1024)
)
def test_the_pieces_it_came_in_do_not_matter(tmp_path, lengths, each):
    pieces = [os.urandom(length) for length in lengths] or [b""]
    (tmp_path / "it").unlink(missing_ok=True)
    write(tmp_path / "it", *pieces, each=each)
    assert (tmp_path / "it").read_bytes() == b"".join(pieces)


def test_two_at_once_in_one_thread_do_not_mix(tmp_path):
    one, other = NewFile(str(tmp_path / "one")), NewFile(str(tmp_path / "other"))
    for _ in range(5):
        for file, letter in ((one, b"a"), (other, b"b")):
            with file.filling() as room:
                room(100_001)[:] = letter * 100_001
    for file in (one, other):
        file.sync()
        file.close()
    assert (tmp_path / "one").read_bytes() == b"a" * 500_005
    assert (tmp_path / "other").read_bytes() == b"b" * 500_005


def is_cached(path):
    """Whether the beginning of a file lies in the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.preadv(descriptor, [bytearray(PAGE)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        pytest.skip("this filesystem does not tell what is cached")
    finally:
        os.close(descriptor)
    return True


def test_a_slice_goes_past_the_page_cache_and_a_short_file_does_not(tmp_path):
    descriptor = os.open(tmp_path / "probe", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    os.write(descriptor, mmap.mmap(-1, MEBIBYTE))
    os.close(descriptor)
    if is_cached(tmp_path / "probe"):
        pytest.skip("this filesystem caches everything")
    write(tmp_path / "slice", os.urandom(MEBIBYTE // 2))
    write(tmp_path / "short", os.urandom(20_000))
    assert is_cached(tmp_path / "short")
    assert not is_cached(tmp_path / "slice")


def test_where_nothing_goes_past_the_page_cache_it_goes_through(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "not here")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    content = os.urandom(MEBIBYTE)
    write(tmp_path / "it", content, content)
    assert (tmp_path / "it").read_bytes() == content + content


def test_a_disk_that_refuses_at_the_first_write_gets_it_through_the_page_cache(
    tmp_path, monkeypatch
):
    really = os.write

    def refuse(descriptor, data):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "aligned otherwise")
        return really(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)
    content = os.urandom(MEBIBYTE)
    write(tmp_path / "it", content, content)
    assert (tmp_path / "it").read_bytes() == content + content


@pytest.mark.parametrize("most", [PAGE, 100_000])
def test_what_was_written_in_part_is_gone_on_with(tmp_path, monkeypatch, most):
    really = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: really(descriptor, data[:most]))
    content = os.urandom(MEBIBYTE)
    if most % PAGE:  # what is written past the page cache ends with a page
        monkeypatch.setattr(fcntl, "fcntl", lambda *_: 0)
    write(tmp_path / "it", content)
    assert (tmp_path / "it").read_bytes() == content


def test_a_failure_is_told(tmp_path):
    file = NewFile(str(tmp_path / "no folder" / "it"))
    with pytest.raises(FileNotFoundError), file.filling() as room:
        room(10)[:] = bytes(10)
    file.close()
    (tmp_path / "it").touch()
    again = NewFile(str(tmp_path / "it"))
    with pytest.raises(FileExistsError), again.filling() as room:
        room(10)[:] = bytes(10)
    again.close()


def test_a_close_that_fails_is_not_done_again(tmp_path, monkeypatch):
    """The number belongs to another file then."""
    really, closed = os.close, []

    def fail(descriptor):
        closed.append(descriptor)
        really(descriptor)
        raise OSError(errno.EIO, "flush failed")

    file = NewFile(str(tmp_path / "it"))
    with file.filling() as room:
        room(10)[:] = bytes(10)
    monkeypatch.setattr(os, "close", fail)
    with pytest.raises(OSError, match="flush failed"):
        file.close()
    file.close()
    monkeypatch.undo()
    assert len(closed) == 1


def test_a_file_that_lacks_bytes_is_not_called_durable(tmp_path, monkeypatch):
    file = NewFile(str(tmp_path / "it"))
    monkeypatch.setattr(os, "write", lambda descriptor, data: len(data))
    with file.filling() as room:
        room(100_000)[:] = bytes(100_000)
    with pytest.raises(OSError, match="bytes, not the 100000 given"):
        file.sync()
    file.close()

"""Every page of an index is changed, cut away or put into another's place: it is always found."""

from __future__ import annotations

import pytest

from edge.index.connection import check, connect_writer
from edge.index.database import DatabaseBroken

KEY = bytes(range(32))
PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An index of some forty pages beyond its schema."""
    path = tmp_path_factory.mktemp("whole") / "index.db"
    db = connect_writer(path, KEY)
    db.execute("BEGIN")
    for number in range(2000):
        db.execute("INSERT INTO cursors VALUES (?, ?)", (f"name {number}", "value" * 8))
    db.execute("COMMIT")
    db.close()
    return path.read_bytes()


@pytest.fixture
def is_found(tmp_path):
    def found(content):
        path = tmp_path / "index.db"
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(content)
        try:
            check(path, KEY)
        except DatabaseBroken:
            return True
        return False

    return found


def test_a_sound_one_is_not_called_damaged(whole, is_found):
    assert not is_found(whole)


def test_a_byte_of_every_page_is_changed(whole, is_found):
    """In what is encrypted, in the initialisation vector, in the seal, in what fills the page."""
    for page in range(0, len(whole), PAGE):
        for at in (0, 17, 2000, PAGE - 64, PAGE - 40, PAGE - 1):
            damaged = bytearray(whole)
            damaged[page + at] ^= 1
            assert is_found(damaged), (page // PAGE, at)


def test_it_is_cut_behind_every_page_and_within_one(whole, is_found):
    for length in (*range(PAGE, len(whole), PAGE), 10, PAGE - 1, len(whole) - 1, len(whole) - 100):
        assert is_found(whole[:length]), length


def test_pages_trade_places_are_doubled_or_zeroed(whole, is_found):
    pages = [whole[at : at + PAGE] for at in range(0, len(whole), PAGE)]
    for page in range(1, len(pages) - 1):
        swapped = [*pages]
        swapped[page], swapped[page + 1] = swapped[page + 1], swapped[page]
        assert is_found(b"".join(swapped)), page
        doubled = [*pages]
        doubled[page] = pages[page + 1]
        assert is_found(b"".join(doubled)), page
        zeroed = [*pages]
        zeroed[page] = bytes(PAGE)
        assert is_found(b"".join(zeroed)), page


def test_it_is_longer_than_it_was(whole, is_found):
    assert is_found(whole + bytes(PAGE))
    assert is_found(whole + whole[-PAGE:])

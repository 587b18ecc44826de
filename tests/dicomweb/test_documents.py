"""Metadata on its way out."""

from __future__ import annotations

import zlib

import pytest

from edge.dicomweb.documents import PIECE, with_bulk_urls


@pytest.mark.parametrize("shift", range(20))
def test_a_path_at_the_edge_of_a_piece_is_made_absolute(shift):
    before = b'"' * shift + b"x" * (PIECE - 10)
    document = (before + b'{"BulkDataURI":"7FE00010"}') * 3
    pieces = list(with_bulk_urls(zlib.compress(document), b"http://box/"))
    assert b"".join(pieces) == document.replace(b"7FE00010", b"http://box/7FE00010")
    assert max(map(len, pieces)) < 2 * PIECE


def test_what_looks_like_a_path_in_a_text_is_left_alone():
    document = rb'{"00104000":{"vr":"LT","Value":["\"BulkDataURI\":\"7FE00010\""]}}'
    assert b"".join(with_bulk_urls(zlib.compress(document), b"http://box/")) == document

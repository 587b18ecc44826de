"""A code to be scanned, of characters."""

from __future__ import annotations

import segno

from edge.console.picture import drawn


def test_it_is_the_code():
    text = "https://radiology.local:8443/welcome"
    lines = drawn(text)
    assert len({len(line) for line in lines}) == 1
    rows = []
    for line in lines:
        rows.append([one in " ▄" for one in line])
        rows.append([one in " ▀" for one in line])
    made = segno.make(text, error="l", micro=False)
    wanted = [[bool(one) for one in row] for row in made.matrix_iter(border=2)]
    assert rows[: len(wanted)] == wanted


def test_it_fits_beside_what_is_said():
    lines = drawn("https://radiology-department.local:8443/welcome")
    assert len(lines) <= 18
    assert len(lines[0]) <= 36

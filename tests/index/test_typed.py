"""What somebody typed, word by word, on a real index."""

from __future__ import annotations

import pytest

from edge.index.typed import LONGEST, typed


@pytest.fixture
async def studies(database, new_instance, put):
    """Three of them."""
    of = (
        {
            "t00100010": ("PN", {"Alphabetic": "Müller-Lüdenscheidt^Jürgen"}),
            "t00100020": ("LO", "P-100%"),
            "t00080050": ("SH", "A_1"),
            "t00080060": ("CS", "CT"),
            "t00080020": ("DA", "20240229"),
            "t00081030": ("LO", "Thorax nativ"),
        },
        {
            "t00100010": ("PN", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}),
            "t00100020": ("LO", "P-1000"),
            "t00080050": ("SH", "AX1"),
            "t00080060": ("CS", "MR"),
            "t00080020": ("DA", "20240301"),
            "t00081030": ("LO", "Übersicht Knie"),
        },
        {"t00080090": ("PN", {"Alphabetic": "Okafor^Ada"}), "t00200010": ("SH", "S77")},
    )
    for number, attributes in enumerate(of, 1):
        await put(new_instance(f"1.2.{number}", f"1.2.{number}.1", **attributes))

    async def found(text):
        parts = typed(text)
        where = " AND ".join(f"({one.text})" for one in parts) or "1"
        values = [value for one in parts for value in one.parameters]
        rows = await database.read(f"SELECT s.id FROM studies s WHERE {where} ORDER BY 1", values)
        return [number for (number,) in rows]

    return found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [1, 2, 3]),
        (" , ", [1, 2, 3]),
        ("mull", [1]),
        ("müller jürgen", [1]),
        ("Jurgen^Muller", [1]),
        ("lüdenscheidt", [1]),
        ("müller-lüd", [1]),
        ("eidt", []),
        ("太郎", [2]),
        ("okafor", [3]),
        ("p-100", [1, 2]),
        ("100%", [1]),
        ("a_1", [1]),
        ("s77", [3]),
        ("ct", [1]),
        ("thorax", [1]),
        ("übersicht", [2]),
        ("ÜBERSICHT", [2]),
        ("knie mr", [2]),
        ("knie ct", []),
        ("2024", [1, 2]),
        ("2024-02", [1]),
        ("20240229", [1]),
        ("29.2.2024", [1]),
        ("1/3/2024", [2]),
        ("2024-02-30", []),
        ("1.2.3", [3]),
    ],
)
async def test_each_word_is_found_as_one_of_the_things_that_it_may_be(studies, text, numbers):
    assert await studies(text) == numbers


async def test_no_more_is_read_than_somebody_types(studies):
    assert len(typed("a b c d e f g h i j k")) == 8
    assert await studies(" " * 10 + "ct" + " " * LONGEST + "nobody") == [1]


@pytest.mark.parametrize(
    "text",
    [
        "' OR 1=1 --",
        '"; DROP TABLE studies',
        pytest.param("a" * 10_000, id="long"),
        "\x00",
        "*?[",
        "^^^",
        "\\",
    ],
)
async def test_no_word_that_is_typed_becomes_sql(studies, text):
    for one in typed(text):
        assert one.text.count("?") == len(one.parameters)
        assert "DROP" not in one.text
        assert "1=1" not in one.text
    assert await studies(text) in ([], [1, 2, 3])

"""One name of a patient, wherever it is read."""

from __future__ import annotations

import json

import pytest

from edge.index.names import NAME_OF_STUDY, name_in

ONE = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}


def _named(*values):
    return {"00100010": {"vr": "PN", "Value": list(values)}}


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        (_named(ONE), "Yamada^Tarou"),
        (_named({**ONE, "Alphabetic": ""}), "山田^太郎"),
        (_named({"Phonetic": ONE["Phonetic"]}), "やまだ^たろう"),
        (_named({}), ""),
        (_named(), ""),
        (_named("no tree of names"), ""),
        ({"00100010": {"vr": "PN"}}, ""),
        ({}, ""),
    ],
)
async def test_python_and_sql_read_the_same_name(database, attributes, name):
    text = json.dumps(attributes)

    def fill(db):
        db.execute("INSERT INTO studies (id, study_uid, created) VALUES (1, '1.2', 1.0)")
        db.execute("INSERT INTO study_attributes VALUES (1, ?)", (text,))

    await database.write(fill)
    assert name_in(text) == name
    assert await database.read(f"SELECT {NAME_OF_STUDY} FROM studies s") == [(name,)]


async def test_what_is_not_known_has_no_name(database):
    nobody = f"SELECT {NAME_OF_STUDY} FROM (SELECT 1) LEFT JOIN studies s ON s.study_uid = '1.2'"
    assert await database.read(nobody) == [("",)]
    for text in ("", "null", "[]", "{", '{"00100010": 1}'):
        assert name_in(text) == ""

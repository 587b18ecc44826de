"""Names: spelt in one way, and unable to forge a line."""

import pytest

from edge.access.names import checked_display_name, checked_name, plain_name
from edge.errors import UserRefused


@pytest.mark.parametrize("typed", ["anna", " Anna ", "ANNA"])
def test_a_name_is_spelt_in_one_way(typed):
    assert plain_name(typed) == checked_name(typed) == "anna"


@pytest.mark.parametrize("typed", ["a", "dr.house@clinic-1.example", "0_0", "a" * 64])
def test_names_may_be_those_of_people_and_addresses(typed):
    assert checked_name(typed) == typed


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "-x",
        "an na",
        "an\nna",
        "anna\n x",
        "änna",
        "a" * 65,
        "a\0",
        "a:b",
        "a/b",
        "\N{FULLWIDTH LATIN SMALL LETTER A}n",
    ],
)
def test_log_injection_a_name_that_could_forge_a_line_is_none(typed):
    assert plain_name(typed) == ""
    with pytest.raises(UserRefused, match="can't be a name to log in with"):
        checked_name(typed)


def test_a_display_name_is_tidied():
    assert checked_display_name("  Dr.  Anna\tBauer ") == "Dr. Anna Bauer"
    assert checked_display_name("") == ""


@pytest.mark.parametrize("typed", ["x" * 65, "bell\x07", "\x1b[2J", "\u202egnp"])
def test_a_display_name_does_nothing_to_a_terminal(typed):
    with pytest.raises(UserRefused, match="printable"):
        checked_display_name(typed)

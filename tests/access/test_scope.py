"""A scope only ever takes away."""

from __future__ import annotations

import pytest

from edge.access.acts import Act, Service
from edge.access.scope import ANYTHING, Scope

FULL = Scope(
    frozenset({Service.DICOMWEB, Service.CHANGEFEED}),
    frozenset({Act.READ, Act.STORE}),
    "CT1",
    ("192.168.7.0/24",),
)


def test_a_scope_is_read_as_it_was_written():
    for scope in (ANYTHING, FULL):
        assert Scope.read(scope.write()) == scope
    assert ANYTHING.write() == "{}"


def test_the_same_scope_is_always_written_alike():
    other = Scope(
        frozenset([Service.CHANGEFEED, Service.DICOMWEB]), frozenset([Act.STORE, Act.READ])
    )
    again = Scope(
        frozenset([Service.DICOMWEB, Service.CHANGEFEED]), frozenset([Act.READ, Act.STORE])
    )
    assert other.write() == again.write()


@pytest.mark.parametrize(
    "text", ["", "null", '{"x": 1}', '{"networks": ["everywhere"]}', '{"ae_title": "a\\\\b"}']
)
def test_what_can_not_be_understood_is_no_scope(text):
    assert Scope.read(text) is None


@pytest.mark.parametrize("networks", [("",), ("10.0.0.0/33",), ("host",), ("10.0.0.1",) * 17])
def test_networks_that_are_none_are_refused(networks):
    with pytest.raises(ValueError, match="network"):
        Scope(networks=networks)


@pytest.mark.parametrize("title", ["SEVENTEEN_LETTERS", "back\\slash", "line\nend", "é"])
def test_an_ae_title_that_is_none_is_refused(title):
    with pytest.raises(ValueError, match="AE title"):
        Scope(ae_title=title)


def test_what_nobody_narrowed_covers_all_and_a_narrow_one_itself():
    assert ANYTHING.covers(FULL)
    assert FULL.covers(FULL)
    assert not FULL.covers(ANYTHING)


def test_a_network_of_the_other_kind_is_no_part_of_one():
    outer = Scope(networks=("0.0.0.0/0",))
    assert not outer.covers(Scope(networks=("::1",)))
    assert outer.covers(Scope(networks=("10.1.2.3",)))


def test_an_ae_title_is_not_exchanged_for_another():
    assert not FULL.covers(Scope(FULL.services, FULL.acts, "MR1", FULL.networks))
    assert not FULL.covers(Scope(FULL.services, FULL.acts, "", FULL.networks))


def test_senders_are_read_and_written_and_take_away_only():
    scope = Scope(studies_from=frozenset({"CT1", "a token"}))
    assert Scope.read(scope.write()) == scope
    assert scope.covers(Scope(studies_from=frozenset({"CT1"})))
    assert not scope.covers(Scope(studies_from=frozenset({"MR1"})))
    assert not scope.covers(ANYTHING)
    assert ANYTHING.covers(scope)


@pytest.mark.parametrize(
    "senders", [{""}, {" CT1"}, {"line\nend"}, {"x" * 65}, {f"CT{number}" for number in range(65)}]
)
def test_senders_that_are_none_are_refused(senders):
    with pytest.raises(ValueError, match="sender"):
        Scope(studies_from=frozenset(senders))


@pytest.mark.parametrize(
    ("scope", "hinders"),
    [
        (ANYTHING, False),
        (Scope(networks=("10.0.0.1",)), False),
        (Scope(acts=frozenset({Act.READ})), False),
        (Scope(acts=frozenset({Act.STORE})), True),
        (Scope(services=frozenset({Service.DICOMWEB})), True),
        (Scope(studies_from=frozenset({"CT1"})), True),
    ],
)
def test_what_keeps_from_reading_is_known(scope, hinders):
    assert scope.hinders_reading is hinders

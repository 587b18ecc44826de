from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from edge.dimse.connections import Connections


@dataclass(eq=False)
class Fake:
    """A member that is what it was made to be."""

    host: str = "10.0.0.1"
    is_stranger: bool = False
    ae_title: str = "CT1"
    own_limit: int = 0
    is_busy: bool = False
    is_ending: bool = False
    heard: float = 0.0
    worked: float = 0.0
    whys: list[str] = field(default_factory=list)

    def give_way(self, why):
        self.whys.append(why)

    @property
    def gave_way(self):
        return bool(self.whys)


def associated(connections, *members):
    for member in members:
        connections.enter(member)
        assert connections.admit(member) == ""


def test_a_new_connection_always_gets_in_and_the_fullest_host_loses_its_oldest():
    connections = Connections(10, 4)
    crowd = [Fake("10.0.0.66") for _ in range(3)]
    lonely, newcomer = Fake("10.0.0.5"), Fake("10.0.0.6")
    for member in (lonely, *crowd, newcomer):
        connections.enter(member)
    assert [member.gave_way for member in (lonely, *crowd, newcomer)] == [0, 1, 0, 0, 0]
    assert len(connections) == 4


def test_a_connection_that_is_about_to_end_loses_least():
    connections = Connections(10, 2)
    oldest, ending = Fake(), Fake(is_ending=True)
    for member in (oldest, ending, Fake()):
        connections.enter(member)
    assert ending.gave_way
    assert not oldest.gave_way


def test_associations_are_not_counted_among_those_without():
    connections = Connections(3, 1)
    members = [Fake() for _ in range(3)]
    associated(connections, *members)
    connections.enter(Fake())
    assert connections.associated == 3
    assert not any(member.gave_way for member in members)


def test_a_configured_peer_takes_the_place_of_the_stranger_who_was_silent_for_longest():
    connections = Connections(3)
    busy = Fake(is_stranger=True, is_busy=True, heard=1)
    silent, lively = Fake(is_stranger=True, heard=2), Fake(is_stranger=True, heard=3)
    associated(connections, busy, silent, lively)
    known = [Fake() for _ in range(4)]
    associated(connections, *known[:1])
    assert silent.gave_way
    associated(connections, *known[1:3])
    assert lively.gave_way
    assert busy.gave_way
    connections.enter(known[3])
    assert "as many associations" in connections.admit(known[3])


def test_a_stranger_takes_no_place_of_a_configured_peer():
    connections = Connections(2)
    known = [Fake("10.0.0.5"), Fake("10.0.0.5")]
    associated(connections, *known)
    stranger = Fake("10.0.0.6", is_stranger=True)
    connections.enter(stranger)
    assert "as many associations" in connections.admit(stranger)


def test_among_equals_the_host_with_most_associations_gives_way():
    connections = Connections(3)
    greedy = [Fake("10.0.0.66", heard=heard) for heard in (2, 1)]
    associated(connections, *greedy, Fake("10.0.0.4"))
    modest = Fake("10.0.0.5")
    associated(connections, modest)
    assert [member.gave_way for member in greedy] == [False, True]
    # Each has one now: nobody has more than another could claim.
    late = Fake("10.0.0.6")
    connections.enter(late)
    assert "as many associations" in connections.admit(late)


def test_who_gave_way_is_counted_until_its_connection_is_gone():
    connections = Connections(1)
    stranger, known = Fake(is_stranger=True), Fake()
    associated(connections, stranger, known)
    assert (connections.associated, len(connections)) == (1, 2)
    connections.dissociate(stranger)
    connections.leave(stranger)
    connections.dissociate(stranger)
    assert len(connections) == 1


def test_relief_is_not_to_be_had_from_those_who_are_associated():
    connections = Connections(1)
    member = Fake()
    associated(connections, member)
    assert not connections.relieve("no files")
    connections.enter(waiting := Fake())
    assert connections.relieve("no files")
    assert waiting.whys == ["no files"]
    assert not member.gave_way


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), max_size=60))
def test_the_bounds_hold_whatever_comes(events):
    connections = Connections(3, 2)
    members = []
    for kind, host, is_stranger in events:
        if kind == 0 or not members:
            members.append(member := Fake(str(host), is_stranger))
            connections.enter(member)
        elif kind == 1:
            connections.admit(members[-1])
        elif kind == 2:
            connections.dissociate(members[0])
        else:
            connections.leave(members.pop(0))
        assert connections.associated <= 3
        assert len(connections) - connections.associated <= 2


class At:
    """A clock that is set."""

    now = 1000.0

    def __call__(self):
        return self.now


def limited(title="CT1", host="10.0.0.5", limit=2, heard=1000.0, **fields):
    return Fake(host, ae_title=title, own_limit=limit, heard=heard, **fields)


def test_a_peer_is_held_to_its_own_limit_and_pushes_nobody_out():
    connections = Connections(3, clock=At())
    associated(connections, limited(), limited(), stranger := Fake(is_stranger=True))
    connections.enter(third := limited())
    assert "its max_associations is 2" in connections.admit(third)
    assert not stranger.gave_way
    associated(connections, Fake("10.0.0.9", ae_title="CT2"))
    assert stranger.gave_way


def test_who_borrows_a_title_at_another_address_uses_up_nothing_of_its_limit():
    connections = Connections(10, clock=At())
    associated(connections, *(limited(host="10.0.0.66") for _ in range(2)))
    associated(connections, limited(), limited())


def test_a_peer_with_another_title_at_the_same_address_has_its_own_limit():
    connections = Connections(10, clock=At())
    associated(connections, limited("CT1", limit=1), limited("CT2", limit=1))


def test_a_device_that_was_switched_off_and_on_gets_the_place_of_what_it_forgot():
    clock = At()
    connections = Connections(10, clock=clock)
    forgotten, lively = limited(heard=900.0), limited(heard=999.0)
    associated(connections, forgotten, lively)
    associated(connections, limited())
    assert [forgotten.gave_way, lively.gave_way] == [True, False]
    connections.enter(another := limited())
    assert connections.admit(another)


def test_what_is_busy_never_gives_way_to_its_own_peer():
    connections = Connections(10, clock=At())
    associated(connections, busy := limited(limit=1, heard=0.0, is_busy=True))
    connections.enter(another := limited(limit=1))
    assert connections.admit(another)
    assert not busy.gave_way


def test_where_nobody_is_let_in_those_who_are_in_stay():
    connections = Connections(2)
    associated(connections, inside := Fake())
    connections.turns_away = "try again in a moment"
    connections.enter(late := Fake())
    assert connections.admit(late) == "try again in a moment"
    assert not inside.gave_way
    assert connections.associated == 1


def test_it_is_idle_while_no_request_is_under_way_however_lately_one_was():
    connections = Connections(10, clock=lambda: 1000.0)
    assert connections.is_idle
    associated(connections, Fake(heard=999.0, worked=999.0))
    assert connections.is_idle
    assert not connections.is_quiet
    associated(connections, Fake(heard=0.0, is_busy=True))
    assert not connections.is_idle


def test_it_is_quiet_once_every_association_did_nothing_for_long():
    connections = Connections(9, clock=lambda: 1000.0)
    assert connections.is_quiet
    associated(connections, Fake(worked=900.0))
    assert connections.is_quiet
    associated(connections, Fake(worked=900.0, is_busy=True))
    assert not connections.is_quiet
    lively = Connections(9, clock=lambda: 1000.0)
    associated(lively, Fake(worked=999.0))
    assert not lively.is_quiet


def test_one_that_is_kept_open_by_echoes_alone_is_quiet():
    """Nothing that waits for a quiet moment, such as an update, may wait for it for ever."""
    connections = Connections(9, clock=lambda: 1000.0)
    associated(connections, Fake(heard=999.0, worked=900.0))
    assert connections.is_quiet

"""What the state of the box says of emergency access."""

from __future__ import annotations

import pytest

from edge.cache.emergencies import EmergencyState, emergency_state
from edge.index import emergencies, sessions
from edge.index.database import Database
from edge.index.emergencies import EmergencyRow
from edge.index.sessions import SessionRow


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (EmergencyState(), ""),
        (EmergencyState(begun=7), ""),
        (EmergencyState(open=1, begun=1), "Emergency access is open for 1 person"),
        (EmergencyState(open=2, begun=2), "Emergency access is open for 2 people"),
        (
            EmergencyState(unseen=1, begun=1),
            "1 emergency access waits for an admin: edge user emergencies",
        ),
        (
            EmergencyState(open=1, unseen=2, begun=3),
            (
                "Emergency access is open for 1 person."
                " 2 emergency accesses wait for an admin: edge user emergencies"
            ),
        ),
    ],
)
def test_it_is_said_until_somebody_has_looked(state, sentence):
    assert state.sentence == sentence


async def test_it_is_counted_as_the_index_has_it(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        assert await emergency_state(database) == EmergencyState()
        for number in range(3):
            await database.write(lambda db, n=number: begin(db, n))
        await database.write(lambda db: emergencies.end(db, "e0", 20.0, "by hand"))
        await database.write(lambda db: emergencies.end(db, "e1", 20.0, "by hand"))
        await database.write(lambda db: emergencies.mark_seen(db, "e1", 30.0, "anna"))
        assert await emergency_state(database) == EmergencyState(open=1, unseen=1, begun=3)


def begin(db, number):
    session = f"s{number}"
    row = SessionRow(
        session.encode(), session, "bert", "", "physician", "password", 0, 0, 1e9, "", ""
    )
    sessions.put(db, row, most=20, now=0, idle_since=-1)
    said = "bert", "", "physician", "", "session", "a reason", 10.0, 99.0
    assert emergencies.put(db, EmergencyRow(f"e{number}", session, *said))

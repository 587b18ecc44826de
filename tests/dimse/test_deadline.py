import asyncio

import pytest

from edge.dimse.deadline import MIN_BYTES_PER_SECOND, Deadline, Pace
from edge.errors import PeerError


async def expired_after(steps):
    """Runs *steps* on a deadline; the reasons it expired for within half a second."""
    reasons = []
    deadline = Deadline(reasons.append)
    await steps(deadline)
    await asyncio.sleep(0.3)
    deadline.close()
    return reasons


async def test_it_expires_once_with_its_reason():
    async def steps(deadline):
        deadline.set(0.05, "too slow")

    assert await expired_after(steps) == ["too slow"]


class Turned:
    """A loop whose clock a test turns."""

    def __init__(self):
        self.now, self.timers = 0.0, []

    def time(self):
        return self.now

    def call_at(self, at, call):
        self.timers.append(asyncio.TimerHandle(at, call, (), asyncio.get_running_loop()))
        return self.timers[-1]

    def turn(self, to):
        self.now = to
        due = [timer for timer in self.timers if timer.when() <= to]
        for timer in due:
            self.timers.remove(timer)
            timer._run()


async def test_it_moves_later_without_a_new_timer():
    reasons, loop = [], Turned()
    deadline = Deadline(reasons.append)
    deadline._loop = loop
    deadline.set(5, "first")
    deadline.set(20, "second")
    assert [timer.when() for timer in loop.timers] == [5]
    loop.turn(10)
    assert reasons == []
    assert [timer.when() for timer in loop.timers] == [20]
    loop.turn(20)
    assert reasons == ["second"]
    assert loop.timers == []


async def test_it_moves_earlier():
    async def steps(deadline):
        deadline.set(60, "late")
        deadline.set(0.05, "early")

    assert await expired_after(steps) == ["early"]


async def test_a_cleared_deadline_does_not_expire_and_can_be_set_again():
    async def cleared(deadline):
        deadline.set(0.05, "never")
        deadline.clear()

    async def set_again(deadline):
        await cleared(deadline)
        deadline.set(0.1, "again")

    assert await expired_after(cleared) == []
    assert await expired_after(set_again) == ["again"]


async def test_a_closed_deadline_leaves_no_timer():
    deadline = Deadline(lambda why: None)
    deadline.set(60, "never")
    deadline.close()
    assert deadline._timer is None


async def test_a_message_may_be_slow_but_not_for_ever():
    pace = Pace(grace=0.0)
    pace._began -= 10
    pace.check(11 * MIN_BYTES_PER_SECOND)
    with pytest.raises(PeerError, match="slower than 512 bytes a second"):
        pace.check(9 * MIN_BYTES_PER_SECOND)


async def test_what_came_before_our_own_pause_does_not_count_and_grace_begins_anew():
    pace = Pace(grace=5.0)
    pace._began -= 10
    pace.restart(1 << 20)
    pace.check(1 << 20)
    pace._began -= 10
    with pytest.raises(PeerError):
        pace.check(1 << 20)

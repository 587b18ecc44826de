from edge.cache.steadiness import Steadiness

YEAR = 365 * 86400.0


class Times:
    wall = 1_800_000_000.0
    run = 50.0

    def pass_(self, seconds):
        self.wall += seconds
        self.run += seconds


def made():
    times = Times()
    return times, Steadiness(lambda: times.wall, lambda: times.run)


def test_a_clock_is_believed_after_an_hour():
    times, steadiness = made()
    assert not steadiness.holds()
    times.pass_(3599)
    assert not steadiness.holds()
    times.pass_(1)
    assert steadiness.holds()


def test_small_corrections_do_not_count():
    times, steadiness = made()
    times.pass_(3600)
    times.wall += 20
    assert steadiness.holds()


def test_one_that_was_set_is_believed_an_hour_later():
    times, steadiness = made()
    times.pass_(7200)
    assert steadiness.holds()
    times.wall += YEAR
    assert not steadiness.holds()
    times.pass_(1800)
    assert not steadiness.holds()
    times.wall -= YEAR
    assert not steadiness.holds()
    times.pass_(3000)
    assert not steadiness.holds()
    times.pass_(600)
    assert steadiness.holds()

from edge.cloud.retry import Backoff
from edge.sync.inquiry import Patience, by_series
from tests import samples


def test_work_is_done_series_by_series(ledger):
    for series in (1, 2, 1):
        ledger.put(samples.ct_series(2, rows=8, columns=8, series=series))
    groups = list(by_series(row.owed for row in ledger.rows.values()))
    assert sorted(map(len, groups)) == [2, 4]
    assert all(len({one.ref.series_uid for one in group}) == 1 for group in groups)


def test_patience_asks_ever_more_rarely_and_then_runs_out():
    patience = Patience(10.0, Backoff(1.0, 100.0))
    now, asked = 1000.0, []
    while (again := patience.ask_again_at(7, now)) is not None:
        asked.append(again - now)
        now = again
    assert 10.0 <= now - 1000.0 < 30.0
    assert len(asked) < 10
    assert patience.ask_again_at(7, now) is not None  # It begins anew.


def test_patience_that_began_under_a_clock_that_was_ahead_runs_out_all_the_same():
    patience = Patience(10.0, Backoff(1.0, 1.0))
    patience.ask_again_at(7, 2_000_000_000.0)
    assert patience.ask_again_at(7, 1000.0) is not None
    assert patience.ask_again_at(7, 1011.0) is None


def test_who_was_found_is_forgotten():
    patience = Patience(10.0, Backoff(1.0, 1.0))
    patience.ask_again_at(7, 1000.0)
    patience.forget([7])
    assert patience.ask_again_at(7, 2000.0) is not None

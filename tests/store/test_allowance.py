import pytest

from edge.store.allowance import Allowance


def test_a_few_may_hold_much_each_and_a_crowd_little():
    allowance = Allowance(1000, most=500, least=100)
    assert allowance.each == 500
    with allowance, allowance:
        assert allowance.each == 500
        with allowance, allowance:
            assert allowance.each == 250
            for _ in range(20):
                allowance.__enter__()
            assert allowance.each == 100
            for _ in range(20):
                allowance.__exit__()
        assert allowance.each == 500


def test_whoever_fails_gives_its_part_back():
    allowance = Allowance(1000, most=1000, least=100)

    def fail():
        with allowance, allowance:
            raise KeyError(allowance.each)

    with pytest.raises(KeyError, match="500"):
        fail()
    assert allowance.each == 1000

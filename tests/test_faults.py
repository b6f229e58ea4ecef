"""Faults, in their short form: docs/reliability.md has the counts of the long one."""

from tests.faults import damage, kills


def test_a_run_that_is_killed_twice_ends_as_one_that_was_not(tmp_path):
    result = kills.inject(tmp_path, count=2, networks=("fc",))
    assert sum(result["kills"]["fc"].values()) >= 2
    assert result["runs that ended like one that was never killed"] >= 1


def test_no_flipped_bit_is_restored_as_another_number(tmp_path):
    happened = damage.bits(tmp_path, count=12, seed=0)
    assert sum(happened.values()) == 12
    assert happened["the one before it was taken"] > 2
    assert "restored as another number" not in happened

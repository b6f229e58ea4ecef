"""Faults, in their short form (a kill is in test_launch.py): docs/reliability.md has the counts of the long one."""

from tests.faults import damage, interrupts


def test_flipped_bits_are_never_restored_as_other_numbers(tmp_path):
    happened = damage.bits(tmp_path, count=12, seed=0)
    assert sum(happened.values()) == 12
    assert happened["the one before it was taken"] > 2
    assert "restored as another number" not in happened


def test_signal_ends_a_program_in_one_line(tmp_path):
    result = interrupts.inject(tmp_path, count=1, programs=("report",), seed=2)
    assert result["endings"] == {"report SIGINT": 1}

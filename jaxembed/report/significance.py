"""Significance: whether a difference between two experiments could be chance."""

from collections.abc import Sequence

import numpy as np

# A difference with a smaller p-value is significant.
LEVEL = 0.05


def verdict(values: Sequence[Sequence[float]]) -> str:
    """Say whether the first two differ significantly, by the Games-Howell test; impossible with one seed.

    That is Welch's t-test, corrected for having picked the first two out of all pairs by their means.
    """
    # Imported here: SciPy's statistics take most of a second.
    from scipy import stats

    if min(map(len, values[:2])) < 2:
        return "; with one seed, significance cannot be tested"
    if not any(len(set(each)) > 1 for each in values[:2]):
        return "; no variation between seeds"
    # For a pair that never varies it is 0 / 0, which is not used.
    with np.errstate(invalid="ignore", divide="ignore"):
        p = stats.tukey_hsd(*(each for each in values if len(each) > 1), equal_var=False).pvalue[0, 1]
    judged = "significant" if p <= LEVEL else "not significant"
    return f"; {judged} (Games-Howell test over seeds, p = {p:.2g})"

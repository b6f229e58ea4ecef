"""The summary: what the doctor has found, in a line for each kind, with the threshold and what it means."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from jaxembed.artifacts.diagnosis import ROWS, Diagnosis
from jaxembed.doctor import groups, labels
from jaxembed.doctor.groups import Member
from jaxembed.doctor.originals import Original


def copies(found: Diagnosis, grouped: Sequence[Sequence[Member]]) -> str:
    """Say how many copies there are, at which likeness, and how many of them are in two splits."""
    if not grouped:
        return f"No copies: no two pictures have a likeness of {groups.LEAST} or more."
    spare = sum(len(group) - 1 for group in grouped)
    needless = "1 picture is" if spare == 1 else f"{spare:,} pictures are"
    line = f"{_counted(len(grouped), 'group')} of copies (likeness {groups.LEAST} or more); {needless} not needed: "
    line += "one of each group is to be kept."
    if "leaks" in found.tables:
        leaks = int((found.tables["leaks"].scores["likeness"] >= groups.LEAST).sum())
        line += f" {_counted(leaks, 'pair')} of them in two splits." if leaks else " None are in two splits."
    return line


def wrong_labels(found: Diagnosis) -> str:
    """Say how many labels are likely wrong, at which support; "" if labels were not examined."""
    if math.isnan(found.known):
        return ""
    if found.known < labels.KNOWN:
        told = f"a classifier of the embedding finds only {found.known:.0%} of the labels"
        return f"No label is called wrong, because {told} (at least {labels.KNOWN:.0%} are needed)."
    meaning = "hardly any of the nearest images has the label, and a classifier finds it improbable"
    count = int((found.tables["labels"].scores["support"] <= labels.WRONG).sum()) if "labels" in found.tables else 0
    if not count:
        return f"No wrong labels: none has a support of {labels.WRONG} or less ({meaning})."
    more = " or more" if count == ROWS else ""
    counted = _counted(count, "label")
    return f"{counted}{more} with a support of {labels.WRONG} or less, likely wrong: {meaning}."


def problems(originals: Iterable[Original]) -> str:
    """Count the pictures that are blank, blurred, dark or tiny."""
    counts = Counter(each.problem for each in originals if each.problem)
    return ", ".join(f"{count:,} {problem}" for problem, count in sorted(counts.items()))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

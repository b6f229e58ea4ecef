"""Groups: pictures that are copies of each other, saved again, and which of them to keep."""

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxembed.artifacts import diagnosis
from jaxembed.artifacts.diagnosis import Diagnosis
from jaxembed.core import files
from jaxembed.doctor.originals import Original

# The likeness of copies. Of 60 photographs that were saved again, smaller and in a lower quality, 57 have at least
# this; of 60 second shots, as in bursts, 2 do (benchmarks/planted.py, seeds 1 to 3).
LEAST = 0.997
FILE, REMOVE = "groups.csv", "remove.txt"


class Member(NamedTuple):
    """A picture of a group: its name, what is known of its file, and why it is the one to keep; "" if it is not."""

    name: str
    original: Original | None
    reason: str


def of(found: Diagnosis, blank: Collection[str]) -> list[list[str]]:
    """Join near-duplicates that are copies into groups, the largest group first.

    Args:
      found: the tables.
      blank: the names of blank pictures, which are all alike and belong to no group.
    """
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while leaders.setdefault(name, name) != name:
            name = leaders[name]
        return name

    for table in (found.tables[kind] for kind in ("leaks", "duplicates") if kind in found.tables):
        for (first, second), likeness in zip(table.names.tolist(), table.scores["likeness"], strict=True):
            if likeness >= LEAST and not {first, second} & set(blank):
                leaders[leader(second)] = leader(first)
    joined: dict[str, list[str]] = {}
    for name in leaders:
        joined.setdefault(leader(name), []).append(name)
    return sorted((sorted(names) for names in joined.values()), key=lambda names: (-len(names), names[0]))


def members(names: Sequence[str], originals: Mapping[str, Original]) -> list[Member]:
    """Return the members of a group, the one to keep first: the largest, of those the sharpest, then the oldest."""
    known = [name for name in names if name in originals]
    if not known:
        return [Member(name, None, "") for name in names]
    keys = {name: _key(originals[name]) for name in known}
    best = min(known, key=lambda name: (keys[name], name))
    reason = "the first by name"
    for index, why in enumerate(("the largest", "the sharpest", "the oldest")):
        if all(keys[name][: index + 1] > keys[best][: index + 1] for name in known if name != best):
            reason = why
            break
    rest = [name for name in names if name != best]
    return [Member(best, originals[best], reason), *(Member(name, originals.get(name), "") for name in rest)]


def write(found: Sequence[Sequence[Member]], output: Path, file_of: Callable[[str], Path] | None) -> list[Path]:
    """Write the groups as CSV and, if the pictures are in a folder, the full paths of those that need not be kept.

    Args:
      found: the members of each group.
      output: the folder to write to.
      file_of: returns the file of a picture; None if they are not in a folder.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["group", "image", "width", "height", "bytes", "date", "keep"])
    for number, group in enumerate(found, start=1):
        for name, original, reason in group:
            facts = (original.width, original.height, original.size, original.date) if original else ("",) * 4
            writer.writerow([number, diagnosis.cell(name), *facts, reason])
    files.write_text(output / FILE, text.getvalue())
    if file_of is None:
        return [output / FILE]
    spare = [
        str(file_of(name).absolute())
        for group in found
        for name, original, reason in group
        if original and not reason
    ]
    files.write_text(output / REMOVE, "".join(f"{files.utf8(path)}\n" for path in spare))
    return [output / FILE, output / REMOVE]


def numbers(found: Sequence[Sequence[Member]]) -> dict[str, int]:
    """Return the number of each picture's group, as in the CSV."""
    return {each.name: number for number, group in enumerate(found, start=1) for each in group}


def _key(original: Original) -> tuple[int, float, float]:
    return (-original.width * original.height, -round(original.sharpness, 2), original.modified)

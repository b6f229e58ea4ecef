"""Omitted: what is in a folder of pictures and is not used is counted and named."""

import collections
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxembed.core import files

# Groups that are described, names that are listed, and characters of a name.
_GROUPS, _NAMES, _LONGEST = 20, 5, 60


class Omitted(NamedTuple):
    """A file or folder that is not used.

    Attributes:
      name: its path relative to the folder; that of a folder ends with a slash.
      kind: what it is counted with: files with its extension, or its name.
      reason: why it is not used.
    """

    name: str
    kind: str
    reason: str


def describe(left: Sequence[Omitted]) -> str:
    """Write what is not used as part of a line: counted by kind and reason, the most frequent first."""
    counts = collections.Counter((each.kind, each.reason) for each in left)
    first = {(each.kind, each.reason): each.name for each in reversed(left)}
    groups = sorted(counts.items(), key=lambda group: (-group[1], group[0]))
    parts = [
        f"{short(first[kind, reason]) if count == 1 else f'{count:,} {short(kind)}'} ({reason})"
        for (kind, reason), count in groups[:_GROUPS]
    ]
    more = sum(count for _, count in groups[_GROUPS:])
    return ", ".join(parts) + (f" and {more:,} more" if more else "")


def kind(name: str) -> str:
    """Return what a file is counted with: its extension, or its name if it has none."""
    base = name.rpartition("/")[2]
    return os.path.splitext(base)[1].lower() or base


def short(name: str | Path) -> str:
    """Write a name so that it can be printed, without the middle of a long one."""
    text = files.printable(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def listed(names: Iterable[str]) -> str:
    """Write the first of some names as part of a line: `a, b and c`."""
    names = list(names)
    shown = [*map(short, names[:_NAMES]), *([f"{len(names) - _NAMES:,} more"] if len(names) > _NAMES else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

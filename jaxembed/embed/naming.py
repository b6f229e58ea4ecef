"""Naming: what the names in a file of vectors say: the row that is asked for, the folder, the splits."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxembed.core import files, options
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import layout

# Names that a message lists, and those among which a similar one is looked for.
_SHOWN, _SEARCHED = 5, 10_000


def row(names: Sequence[str], query: str) -> int:
    """Find the first row of a name, or that of the only name that ends in a query, or that a query ends in.

    Raises:
      InputError: if there is none, or several.
    """
    if query in names:
        if (count := names.count(query)) > 1:
            line = f"{count} rows have the name {files.printable(query)}; the first one is searched for"
            print(line, file=sys.stderr)
        return names.index(query)
    ends = [each for each, name in enumerate(names) if f"/{name}".endswith(f"/{query}")]
    ends = ends or [each for each, name in enumerate(names) if f"/{query}".endswith(f"/{name}")]
    shown = files.printable(query)
    if not ends:
        near = options.nearest(query, names[:_SEARCHED])
        raise InputError(f"without an encoder, a query is a name in the file, and none is {shown}{near}")
    if len(ends) > 1:
        listed = ", ".join(files.printable(names[each]) for each in ends[:_SHOWN])
        raise InputError(f"{len(ends)} names end in {shown}: {listed}{', …' if len(ends) > _SHOWN else ''}")
    return ends[0]


def shared(names: Sequence[str]) -> tuple[str, ...]:
    """Return the leading folders that all names have in common, "/" among them for absolute ones."""
    first, *_ = names
    common = Path(first).parts[:-1]
    for name in names:
        pairs = zip(common, Path(name).parts[:-1], strict=False)
        common = common[: sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))]
        if not common:
            break
    return common


def splits(names: Sequence[str]) -> list[str] | None:
    """Return the split of each name, by its first folder that not all of them share; None unless each is one."""
    skipped = len(shared(names))
    firsts = [Path(name).parts[skipped : skipped + 1] for name in names]
    known = {first: layout.split_of(first[0]) if first else None for first in set(firsts)}
    return [known[first] for first in firsts] if all(known.values()) and "train" in known.values() else None

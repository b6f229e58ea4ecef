"""metrics.jsonl: what was measured while a run trained, a line for each step that was logged."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxembed.core import files

Line = dict[str, Any]
ALWAYS = ("step", "epoch", "seconds")


def read(file: Path) -> list[Line]:
    """Read the lines that can be read, each once, by step; a missing file is empty.

    A damaged or repeated line is left out with a warning; a last line that a kill cut off, without one.

    Raises:
      OSError: if the file cannot be read.
    """
    if not file.exists():
        return []
    lines: dict[tuple[int, bool], Line] = {}
    bad = []
    # Not `splitlines`, which also splits at characters that a damaged line can hold.
    *texts, _ = files.regular(file).read_bytes().split(b"\n")
    for number, text in enumerate(texts, start=1):
        line = _parsed(text)
        if line is None or (line["step"], is_validation(line)) in lines:
            bad.append(number)
        else:
            lines[line["step"], is_validation(line)] = line
    if bad:
        listed = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        logging.warning(
            "%s: %d of %d lines are damaged or repeated, and left out: %s", file, len(bad), len(texts), listed
        )
    return sorted(lines.values(), key=lambda line: line["step"])


def is_validation(line: Line) -> bool:
    """Return whether a line holds what was measured on validation, rather than means over steps."""
    return any(name.startswith("validation/") for name in line)


def write(file: Path, lines: Iterable[Line]) -> None:
    """Write all lines anew."""
    files.write_text(file, "".join(json.dumps(line) + "\n" for line in lines))


def append(file: Path, line: Line) -> None:
    """Append a line to a file that exists; an OSError if its folder was removed under the run, for example."""
    with files.naming(file), file.open("r+", encoding="utf-8") as stream:
        stream.seek(0, os.SEEK_END)
        stream.write(json.dumps(line) + "\n")


def series(lines: Iterable[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one metric over time: (epochs, values)."""
    found = np.array([(line["epoch"], line[name]) for line in lines if name in line], float).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _parsed(text: bytes) -> Line | None:
    """Parse a line: numbers by name; None unless it is one."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        return None
    if not isinstance(line, dict) or not all(map(_is_number, line.values())):
        return None
    placed = all(name in line and 0 <= line[name] < math.inf for name in ALWAYS)
    return line if placed and isinstance(line["step"], int) else None


def _is_number(value: Any) -> bool:
    """Return whether a value is a float, or a whole number that fits an array."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)

"""metrics.jsonl: what was measured while a run trained, a line for each step that was logged."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxembed import files
from jaxembed.errors import InputError

Line = dict[str, Any]
ALWAYS = ("step", "epoch", "seconds")


def read(file: Path) -> list[Line]:
    """Read the lines; a last line that a kill cut off is left out, and a missing file is empty.

    Raises:
      InputError: if another line is damaged.
    """
    if not file.exists():
        return []
    lines = []
    texts = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    for number, text in enumerate(texts, start=1):
        if not text.endswith("\n"):
            continue
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{file} is damaged in line {number}: {error}") from error
        if not isinstance(line, dict) or not set(ALWAYS) <= line.keys():
            raise InputError(f"{file} is damaged in line {number}: it must hold step, epoch and seconds")
        lines.append(line)
    return lines


def write(file: Path, lines: Iterable[Line]) -> None:
    """Write all lines anew."""
    files.write_text(file, "".join(json.dumps(line) + "\n" for line in lines))


def append(file: Path, line: Line) -> None:
    """Append a line."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def series(lines: Iterable[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one metric over time: (epochs, values)."""
    found = np.array([(line["epoch"], line[name]) for line in lines if name in line], float).reshape(-1, 2)
    return found[:, 0], found[:, 1]

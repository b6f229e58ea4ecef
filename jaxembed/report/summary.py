"""The summary that a command prints: a run's measurements and where its files are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxembed.artifacts import finished
from jaxembed.core import files
from jaxembed.report import controls


def show(record: dict[str, Any], folder: Path) -> None:
    """Print the result of a run, how it does against the controls in the folders next to its own, and its files."""
    if "steps" in record:
        rate = f", {record['images_per_second']:,.0f} images/s" if record["images_per_second"] else ""
        print(f"{record['steps']} steps in {record['train_seconds']:.1f} s{finished.together(record)}{rate}")
    table(record["metrics"])
    if record["collapsed"]:
        print("Warning: the embedding has collapsed: different images get nearly identical outputs.")
    if against := controls.beside(record, folder):
        print("; ".join(verdict.text for verdict in against))
    print(f"Files: {files.printable(folder)}/")


def table(measured: Mapping[str, float | None]) -> None:
    """Print metrics, `<split>/<metric>` -> number, with a column for validation and, if it was used, for test.

    Standard deviations, `<metric>_sd`, are left to result.json.
    """
    splits = sorted({name.partition("/")[0] for name in measured}, reverse=True)
    metrics = sorted({name.partition("/")[2] for name in measured if not name.endswith("_sd")})
    width = max(len(files.printable(metric)) for metric in metrics)
    print(f"  {'':{width}s} {'  '.join(f'{split:>10s}' for split in splits)}")
    for metric in metrics:
        values = (_cell(measured, f"{split}/{metric}") for split in splits)
        print(f"  {files.printable(metric):{width}s} {'  '.join(values)}".rstrip())


def _cell(measured: Mapping[str, float | None], name: str) -> str:
    if name not in measured:
        return " " * 10
    value = measured[name]
    return "infinite".rjust(10) if value is None else f"{value:10.4f}"

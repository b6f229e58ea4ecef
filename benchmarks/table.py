"""The table of a benchmark in Markdown: one row per experiment."""

from collections.abc import Mapping
from typing import Any

# Each column's width.
COLUMNS = {
    "experiment": 25,
    "ours, images/s": 14,
    "peer": 9,
    "DataLoader": 10,
    "ours / peer": 11,
    "by CPU time": 11,
    "ours / DataLoader": 17,
    "ours, ms a step": 15,
    "first step in s": 15,
    "of peak": 7,
    "parameters": 10,
}


def head() -> str:
    """Return the two lines of the table's header."""
    rule = [
        ":" + "-" * (width - 1) if not i else "-" * (width - 1) + ":" for i, width in enumerate(COLUMNS.values())
    ]
    return f"{_line(list(COLUMNS))}\n{_line(rule)}"


def line(record: Mapping[str, Any]) -> str:
    """Return one experiment's row."""
    ours, peer, loader = (record["contestants"].get(name) for name in ("ours", "peer", "seeds_way"))
    return _line(
        [
            record["experiment"],
            *(f"{each['images_per_second']:,.0f}" if each else "–" for each in (ours, peer, loader)),
            f"{peer['ours_is_faster_by']:.2f}",
            f"{peer['ours_is_faster_by_cpu']:.2f}" if peer["ours_is_faster_by_cpu"] else "–",
            f"{loader['ours_is_faster_by']:.2f}" if loader else "–",
            f"{ours['step_ms']:.2f}",
            f"{ours['first_seconds']:.1f}",
            f"{record['share_of_peak']:.1%}",
            f"{record['parameters']:,}",
        ]
    )


def _line(cells: list[str]) -> str:
    padded = [
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, COLUMNS.values(), strict=True))
    ]
    return f"| {' | '.join(padded)} |"

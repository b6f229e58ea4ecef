"""Disk: a run's disk is full, at any moment; when there is room, it resumes. Needs the right to mount a tmpfs."""

import contextlib
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults import runs

ROOM = "64m"
WRITTEN = ("orbax", "cannot be drawn", "metrics.jsonl", "config.json", "sample.npz", "result.json", "safetensors")


def inject(folder: Path, *, count: int = 24, seed: int = 0) -> dict[str, Any]:
    """Run on `count` disks of different sizes, up to that of a whole run, then give each room and resume.

    Returns:
      how the runs ended when the disk was full, by what could not be written.
    """
    chosen = random.Random(seed)
    whole = folder / "whole"
    assert runs.finish("fc", whole).status == 0
    # Of a disk, each file and each folder takes whole blocks of 4 KB.
    most = sum(-(-file.stat().st_size // 4096) * 4 for file in whole.rglob("*"))
    disks = [f"size={chosen.randrange(most // 4, most)}k" for _ in range(count)]
    disks += [f"size={ROOM},nr_inodes={number}" for number in (8, 16, 40, 70)]
    happened: Counter[str] = Counter()
    for disk in disks:
        with mounted(folder / "disk", disk) as place:
            happened[fill(place / "run", whole)] += 1
    return {"disks": len(disks), "not written": dict(happened), "after training": _trained(folder, chosen)}


def _trained(folder: Path, chosen: random.Random) -> dict[str, int]:
    """Leave a trained run little room for its evaluation; count what could not be written."""
    assert runs.finish("fc", folder / "trained", "--tune").status == 0
    happened: Counter[str] = Counter()
    for room in (4, 40, *(chosen.randrange(60, 700) for _ in range(6))):
        with mounted(folder / "disk", f"size={ROOM}") as place:
            shutil.copytree(folder / "trained", place / "run")
            used = shutil.disk_usage(place).used // 1024
            subprocess.run(["mount", "-o", f"remount,size={used + room}k", place], check=True)
            happened[fill(place / "run", folder / "whole")] += 1
    return dict(happened)


def fill(run: Path, whole: Path) -> str:
    """Run on a disk that may be too small; then give it room and resume. Return what could not be written."""
    ended = runs.finish("fc", run)
    if ended.status == 0:
        runs.check_same(run, whole)
        return "there was room"
    line = runs.check_error(ended, 1 if "cannot be written" not in ended.err else ended.status)
    subprocess.run(["mount", "-o", f"remount,size={ROOM},nr_inodes=100k", run.parent], check=True)
    again = runs.finish("fc", run)
    assert again.status == 0, (line, again)
    for aside in run.glob("damaged-*"):
        shutil.rmtree(aside)
    runs.check_same(run, whole)
    return next((name for name in WRITTEN if name in line), line.replace(str(run), "RUN"))


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small disk in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()

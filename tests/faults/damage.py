"""Damage: files of a run are truncated, emptied, deleted, or get a bit flipped, one at a time."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxembed.train import checkpoint
from jaxembed.types import State
from tests.faults import runs

NEWEST = f"checkpoint/{runs.STEPS}"
Damage = Callable[[Path, random.Random], None]


def _truncate(file: Path, _: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _flip(file: Path, chosen: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
    file.write_bytes(content)


DAMAGES: dict[str, Damage] = {
    "truncated": _truncate,
    "emptied": lambda file, _: file.write_bytes(b""),
    "deleted": lambda file, _: file.unlink(),
    "one bit flipped": _flip,
}


def inject(folder: Path, *, count: int = 300, seed: int = 0) -> dict[str, Any]:
    """Damage each file of a run in each way; flip `count` bits in the arrays of a checkpoint.

    Returns:
      what happened, counted.
    """
    chosen = random.Random(seed)
    whole, trained = folder / "whole", folder / "trained"
    for run, more in ((whole, ()), (trained, ("--tune",))):
        ended = runs.finish("fc", run, *more)
        assert ended.status == 0, ended
    return {
        "files of the newest checkpoint": checkpoints(folder, chosen),
        "all checkpoints": {name: _all_damaged(folder, name) for name in DAMAGES},
        "files of an unfinished run": _others(folder, trained, ("config.json", "metrics.jsonl"), chosen),
        "files of a finished run": _others(folder, whole, (*FINISHED, "config.json", "metrics.jsonl"), chosen),
        "bits of arrays": bits(folder / "bits", count=count, seed=seed),
    }


FINISHED = ("result.json", "sample.npz", "encoder.safetensors", "figures/loss.png")


def checkpoints(folder: Path, chosen: random.Random) -> dict[str, dict[str, int]]:
    """Damage each file of the newest checkpoint; the run must end as one that was whole."""
    files = sorted(file.relative_to(folder / "trained") for file in (folder / "trained" / NEWEST).rglob("*"))
    happened = {name: Counter() for name in DAMAGES}
    for name, file, run in _copies(folder, folder / "trained", files, chosen):
        ended = runs.finish("fc", run)
        assert ended.status == 0, (name, file, ended)
        aside = run / f"damaged-{runs.STEPS}"
        noticed = f"checkpoint {runs.STEPS} is damaged (" in ended.err
        assert noticed == aside.exists(), (name, file, ended)
        shutil.rmtree(aside, ignore_errors=True)
        runs.check_same(run, folder / "whole")
        happened[name]["the one before it was taken" if noticed else "harmless"] += 1
        shutil.rmtree(run)
    return {name: dict(counts) for name, counts in happened.items()}


def bits(folder: Path, *, count: int, seed: int) -> dict[str, int]:
    """Flip single bits in the files of a checkpoint's arrays, and restore it: none may become another number."""
    chosen, key = random.Random(seed), jax.random.key(seed)

    def state(step: int) -> State:
        weights = {"kernel": jax.random.normal(key, (67, 33)), "bias": jax.random.normal(key, (33,))}
        return State(jnp.array(step), key, weights, {}, {})

    with checkpoint.Checkpoints(folder / "saved") as saved:
        saved.save(state(1), {"lines": 1})
        saved.save(state(2), {"lines": 2})
    files = sorted((folder / "saved" / "2").rglob("d/*"))
    happened: Counter[str] = Counter()
    for number in range(count):
        copy = shutil.copytree(folder / "saved", folder / str(number) / "checkpoint")
        # A byte of all files is as likely as any other.
        (file,) = chosen.choices(files, [each.stat().st_size for each in files])
        _flip(copy / file.relative_to(folder / "saved"), chosen)
        with checkpoint.Checkpoints(copy) as damaged:
            restored, _ = damaged.restore(state(0))
        if int(restored.step) == 1:
            happened["the one before it was taken"] += 1
        else:
            same = checkpoint.checksum(restored, {}) == checkpoint.checksum(state(2), {})
            happened["harmless" if same else "restored as another number"] += 1
        shutil.rmtree(copy)
    return dict(happened)


def _all_damaged(folder: Path, name: str) -> str:
    """Damage all files of all checkpoints: an error, never a silent restart, and nothing is moved."""
    run, chosen = shutil.copytree(folder / "trained", folder / f"all {name}"), random.Random(0)
    for file in [file for file in (run / "checkpoint").rglob("*") if file.is_file()]:
        DAMAGES[name](file, chosen)
    before = set(run.rglob("*"))
    line = runs.check_error(runs.finish("fc", run), 2)
    assert "no checkpoint" in line, line
    assert "can be restored" in line, line
    assert set(run.rglob("*")) == before
    shutil.rmtree(run)
    return "an error; nothing is moved"


def _others(
    folder: Path, original: Path, names: tuple[str, ...], chosen: random.Random
) -> dict[str, dict[str, str]]:
    """Damage a run's other files: the command either ends in a line, or in the same numbers; nothing is lost."""
    happened: dict[str, dict[str, str]] = {name: {} for name in names}
    for name, file, run in _copies(folder, original, list(map(Path, names)), chosen):
        ended = runs.finish("fc", run)
        if ended.status:
            line = runs.check_error(ended, 2)
            repaired = runs.finish("fc", run, "--evaluate")
            after = "--evaluate repairs it" if repaired.status == 0 else "the file is needed"
            happened[str(file)][name] = f"{_plain(line, run)}; {after}"
        else:
            _check_numbers(run, folder / "whole")
            happened[str(file)][name] = "a warning, the same result" if ended.err else "the same result"
        shutil.rmtree(run)
    return happened


def _check_numbers(run: Path, whole: Path) -> None:
    """Assert that a run has the result of one that was whole, where its result can be read."""
    ours, theirs = (runs.record(each / "result.json") for each in (run, whole))
    assert ours == theirs


def _plain(line: str, run: Path) -> str:
    return line.replace(str(run), "RUN").removeprefix("launch.py: ")


def _copies(
    folder: Path, original: Path, files: list[Path], chosen: random.Random
) -> Iterator[tuple[str, Path, Path]]:
    """Copy a run for each damage of each of its files: (the damage, the file, the copy)."""
    for file in files:
        if not (original / file).is_file():
            continue
        for name, damage in DAMAGES.items():
            run = shutil.copytree(original, folder / "damaged")
            damage(run / file, chosen)
            yield name, file, run

"""Conducting a run: from its config to its result."""

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxembed import evaluate, log, result, run, sample, train
from jaxembed.runs import finished, workdir
from jaxembed.types import InputError


class OutOfMemory(RuntimeError):
    """A run needs more memory than its devices have left; the text is one line."""


def conduct(
    name: str,
    config: ConfigDict,
    folder: Path,
    *,
    command: str,
    data_dir: str | None,
    again: bool,
    tune: bool = False,
) -> None:
    """Train if the run is not finished, evaluate, draw, and write what came out.

    Args:
      name: of the experiment.
      config: what to run.
      folder: of the run.
      command: that reproduces it, for its result.json.
      data_dir: of the TFDS datasets; None for the default.
      again: evaluate a finished run again.
      tune: train, and show what the validation split says: the test split stays unseen, the run unfinished.

    Raises:
      InputError: if any of that cannot be used; what the folder holds is then as it was.
      OutOfMemory: if the devices, or this machine, have not the memory.
    """
    run.check_sections(config)
    with workdir.opened(folder), _in_memory():
        workdir.check(config, folder)
        is_finished = (folder / "result.json").exists()
        if is_finished and tune:
            raise InputError(f"--tune is of one run that is not finished; --workdir {folder} has been on test")
        if is_finished and not again:
            record = finished.result(folder)
            print(f"{name} is finished; --evaluate measures it again")
            show(record, folder)
            return
        dataset = run.load(config, data_dir=data_dir)
        parts = run.build(config, dataset)
        if is_finished and not (folder / "checkpoint" / str(parts.total_steps)).exists():
            raise InputError(f"--workdir {folder} has no checkpoint of its last step to evaluate again")
        if is_finished and not log.read(folder / "metrics.jsonl"):
            raise InputError(f"--workdir {folder} has no metrics.jsonl to draw again")
        workdir.write("config.json", config.to_json(indent=2) + "\n", folder)
        print(f"{name}: {dataset.name} × {config.encoder.name} × {config.objective.name}, on {result.device()}")
        state = (train.restored if is_finished else train.fit)(parts, dataset, folder, seed=config.seed)
        if tune:
            _table(evaluate.evaluate(parts, state, dataset, splits=("validation",)).metrics)
            print("On the validation split alone; the same command without --tune finishes the run")
            return
        judgement = evaluate.evaluate(parts, state, dataset)
        shown, measured = sample.take(parts, state, dataset, judgement)
        record = result.make(name, command, config, parts, state, judgement.metrics | measured, folder)
        sample.write(shown, folder)
        from jaxembed import figures  # here, as a run should not wait for matplotlib before its first step

        lines = log.read(folder / "metrics.jsonl")
        figures.draw(finished.Finished(folder, config.to_dict(), record, lines, shown))
        # Last, as it is what says that the run is finished.
        workdir.write("result.json", json.dumps(record, indent=2) + "\n", folder)
        show(record, folder)


@contextlib.contextmanager
def _in_memory() -> Iterator[None]:
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        said = str(error).partition("\n")[0].rstrip(".") or "MemoryError"
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in said:
            raise
        smaller = "a smaller config.train.batch_size or config.encoder may fit, in another --workdir"
        raise OutOfMemory(f"out of memory on {result.device()}: {said}; {smaller}") from error


def command(file: Path, overrides: Mapping[str, Any], seed: int) -> str:
    """Write the command that runs a config file with other values for some of its options, nested or dotted."""
    flat = {key: value for key, value in workdir.flatten(overrides).items() if key != "config.seed"}
    flat |= {key: value.to_dict() for key, value in flat.items() if isinstance(value, ConfigDict)}
    values = [f"--{key}={value}" for key, value in sorted(flat.items())]
    return shlex.join(["python", "launch.py", f"--config={file}", *values, f"--seed={seed}"])


def show(record: dict[str, Any], folder: Path) -> None:
    """Print what a run came to, and where its files are."""
    rate = f", {record['images_per_second']:,.0f} images/s" if record["images_per_second"] else ""
    print(f"{record['steps']} steps in {record['train_seconds']:.1f} s{rate}")
    _table(record["metrics"])
    if record["collapsed"]:
        print("The run has collapsed: what it makes of different images is all but the same.")
    print(f"Files: {folder}/")


def _table(metrics: dict[str, float | None]) -> None:
    # Validation, and test if it was seen.
    splits = sorted({name.partition("/")[0] for name in metrics}, reverse=True)
    print(f"  {'':20s} {'  '.join(f'{split:>10s}' for split in splits)}")
    for measure in sorted({name.partition("/")[2] for name in metrics}):
        values = (_cell(metrics, f"{split}/{measure}") for split in splits)
        print(f"  {measure:20s} {'  '.join(values)}".rstrip())


def _cell(metrics: dict[str, float | None], name: str) -> str:
    if name not in metrics:
        return " " * 10
    value = metrics[name]
    return "infinite".rjust(10) if value is None else f"{value:10.4f}"

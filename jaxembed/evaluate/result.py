"""The result of a run: one flat record of what was run, on what machine, and what was measured."""

import importlib.metadata
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

import jaxembed
from jaxembed.artifacts import history, workdir
from jaxembed.core.bounds import Section
from jaxembed.devices import mesh
from jaxembed.evaluate import forward
from jaxembed.losses import collapse
from jaxembed.run.run import Run
from jaxembed.types import Dataset, State

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


def make(
    experiment: str,
    command: str,
    config: Section,
    run: Run,
    dataset: Dataset,
    state: State,
    measured: Mapping[str, float],
    folder: Path,
) -> dict[str, Any]:
    """Gather what a reader needs to trust and to repeat a run.

    Args:
      experiment: its name.
      command: that reproduces the run.
      config: of the run.
      run: its parts.
      dataset: that it learned from.
      state: at its end.
      measured: the metrics of `evaluate` and `sample`.
      folder: of the run.
    """
    lines = history.read(folder / workdir.METRICS)
    rates, shares = (
        [line[name] for line in lines if name in line] for name in ("images_per_second", "share_of_peak")
    )
    trained_spread = next((line["train/spread"] for line in reversed(lines) if "train/spread" in line), 1.0)
    return {
        "experiment": experiment,
        "command": command,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "split": dataset.measured[-1],
        "encoder": config["encoder"]["name"],
        "objective": config["objective"]["name"],
        "seed": config["seed"],
        "distance": config["evaluate"]["distance"],
        "steps": int(state.step),
        "epochs": run.training.epochs,
        "parameters": parameters(state),
        "train_seconds": round(max((line["seconds"] for line in lines), default=0.0), 2),
        # The seconds are those of so many runs, side by side.
        "together": max((line.get("together", 1) for line in lines), default=1),
        "images_per_second": round(statistics.median(rates), 1) if rates else None,
        "share_of_peak": round(statistics.median(shares), 3) if shares else None,
        "encoder_sha256": forward.fingerprint(state),
        "collapsed": measured.get("validation/spread", trained_spread) < collapse.LEAST_SPREAD,
    } | _measured(measured)


def of_embedding(
    name: str,
    command: str,
    config: Mapping[str, Any],
    dataset: Dataset,
    measured: Mapping[str, float],
    *,
    sha256: str,
    trained_on: str | None = None,
) -> dict[str, Any]:
    """Gather what a reader needs to trust measurements of an embedding that was not trained here and now.

    Args:
      name: of the embedding.
      command: that measures it.
      config: as in its config.json.
      dataset: that it is an embedding of.
      measured: the metrics.
      sha256: of the vectors, or of the encoder that made them.
      trained_on: name of the dataset that the encoder was trained on, if that is known.
    """
    split = dataset.measured[-1]
    return {
        "experiment": name,
        "command": command,
        "dataset": dataset.name,
        "trained_on": trained_on,
        "data_sha256": dataset.sha256,
        "split": split,
        "encoder": config["encoder"]["name"],
        "objective": config["objective"]["name"],
        "seed": config["seed"],
        "distance": config["evaluate"]["distance"],
        "encoder_sha256": sha256,
        "collapsed": measured[f"{split}/rankme"] < 1,
    } | _measured(measured)


def _measured(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Gather what was measured, on what machine and with which packages."""
    return {
        "device": mesh.described(),
        "versions": {"jaxembed": jaxembed.__version__}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        # JSON has no infinity: null is a metric without a finite value, such as `cdnv` after a collapse.
        "metrics": {name: value if math.isfinite(value) else None for name, value in sorted(metrics.items())},
    }


def parameters(state: State) -> dict[str, int]:
    """Count the parameters of the encoder and of the head."""
    return {name: sum(leaf.size for leaf in jax.tree.leaves(tree)) for name, tree in sorted(state.params.items())}

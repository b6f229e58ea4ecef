"""The result of a run: one flat record of what was run, on what machine, and what was measured."""

import importlib.metadata
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

import jaxembed
from jaxembed.artifacts.history import Line
from jaxembed.core.bounds import Section
from jaxembed.devices import mesh
from jaxembed.losses import collapse
from jaxembed.run.run import Run
from jaxembed.types import Dataset, State

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


class Described(NamedTuple):
    """What was measured.

    Attributes:
      experiment: the experiment's name, or that of an embedding.
      command: the command that reproduces it.
      config: the config, as in config.json.
    """

    experiment: str
    command: str
    config: Section


def make(
    what: Described,
    run: Run,
    dataset: Dataset,
    state: State,
    *,
    measured: Mapping[str, float],
    sha256: str,
    lines: Sequence[Line],
) -> dict[str, Any]:
    """Gather what a reader needs to trust and to repeat a run.

    Args:
      what: the experiment.
      run: its parts.
      dataset: the dataset that it learned from.
      state: the state at its end.
      measured: the metrics of `evaluation` and `sampling`.
      sha256: the encoder's hash.
      lines: the lines of its metrics.jsonl.
    """
    rates, shares = (
        [line[name] for line in lines if name in line] for name in ("images_per_second", "share_of_peak")
    )
    trained_spread = next((line["train/spread"] for line in reversed(lines) if "train/spread" in line), 1.0)
    trained = {
        "steps": int(state.step),
        "epochs": run.training.epochs,
        "parameters": parameters(state),
        "train_seconds": round(max((line["seconds"] for line in lines), default=0.0), 2),
        # The time covers all seeds that were trained together.
        "together": max((line.get("together", 1) for line in lines), default=1),
        "images_per_second": round(statistics.median(rates), 1) if rates else None,
        "share_of_peak": round(statistics.median(shares), 3) if shares else None,
        "encoder_sha256": sha256,
        "collapsed": measured.get("validation/spread", trained_spread) < collapse.LEAST_SPREAD,
    }
    return _described(what, dataset) | trained | _measured(measured)


def of_embedding(
    what: Described, dataset: Dataset, *, measured: Mapping[str, float], sha256: str, trained_on: str | None
) -> dict[str, Any]:
    """Gather what a reader needs to trust measurements of an embedding that was not trained here and now.

    Args:
      what: the embedding.
      dataset: the dataset that is embedded.
      measured: the metrics.
      sha256: the hash of the vectors, or of the encoder that made them.
      trained_on: the name of the dataset that the encoder was trained on; None if that is not known.
    """
    collapsed = measured[f"{dataset.measured[-1]}/rankme"] < 1
    origin = {"trained_on": trained_on, "encoder_sha256": sha256, "collapsed": collapsed}
    return _described(what, dataset) | origin | _measured(measured)


def _described(what: Described, dataset: Dataset) -> dict[str, Any]:
    return {
        "experiment": what.experiment,
        "command": what.command,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "split": dataset.measured[-1],
        "encoder": what.config["encoder"]["name"],
        "objective": what.config["objective"]["name"],
        "seed": what.config["seed"],
        "distance": what.config["evaluate"]["distance"],
        "evaluate": what.config["evaluate"],
    }


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

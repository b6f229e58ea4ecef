"""The table of the ways of learning: what each is, from its file, and what it got in a short budget, from
results."""

import importlib
import json
import re
from pathlib import Path

import jax

from jaxembed import encoders, objectives
from jaxembed.core import options
from jaxembed.report import methods
from jaxembed.types import Task

HERE = Path(__file__).parent
TRIALS, STEPS = HERE / "results" / "ways", HERE / "speed" / "ways.json"
DATASETS = {"fashion_mnist": "Fashion-MNIST", "cifar": "CIFAR-10"}
HEAD = ("way", "paper", "labels", "keeps", "lines", "step")


def table() -> str:
    """Write a row for each objective: what its file says, what it keeps, its length, its cost, its results."""
    measured = [column for title in DATASETS.values() for column in (f"{title}: kNN", "linear", "RankMe")]
    lines = [_row(*HEAD, *measured), "|---|---|---|---|---:|---:|" + "---:|" * len(measured)]
    costs = json.loads(STEPS.read_text(encoding="utf-8"))["of_simclr"] if STEPS.exists() else {}
    for name in options.names(objectives):
        said = methods.describe(name)
        source = objectives.__path__[0] + f"/{name}.py"
        cost = f"{costs[name]:.2f}" if name in costs else "–"
        cells = [f"`{name}`", _paper(said), "none" if methods.is_unlabelled(name) else "classes", _keeps(name)]
        cells += [str(len(Path(source).read_text(encoding="utf-8").splitlines())), cost]
        for dataset in DATASETS:
            cells += _numbers(dataset, name)
        lines.append(_row(*cells))
    return "\n".join(lines) + "\n"


def trials(dataset: str, name: str) -> list[dict]:
    """Read the trials of a way on a dataset, the best by kNN on validation first."""
    files = (TRIALS / dataset).glob(f"{name}-*.json")
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return sorted(records, key=lambda record: -record["metrics"]["validation/knn_accuracy"])


def _numbers(dataset: str, name: str) -> list[str]:
    """Write kNN and linear accuracy in per cent and RankMe of a way's best trial."""
    if not (found := trials(dataset, name)):
        return ["–"] * 3
    metrics = found[0]["metrics"]
    knn, linear = (f"{100 * metrics[f'validation/{each}_accuracy']:.1f}" for each in ("knn", "linear"))
    return [knn, linear, f"{metrics['validation/rankme']:.1f}"]


def _keeps(name: str) -> str:
    """Name what an objective needs from step to step."""
    module = importlib.import_module(f"jaxembed.objectives.{name}")
    encoder = encoders.make({"name": "fc"} | importlib.import_module("jaxembed.encoders.fc").SMALLEST)
    objective = objectives.make({"name": name} | module.SMALLEST, Task(encoder, (8, 8, 1), 3))
    kept = jax.tree.leaves(jax.eval_shape(objective.memory, jax.random.key(0)))
    return ", ".join(["teacher"] * bool(objective.teacher) + ["memory"] * bool(kept)) or "–"


def _paper(said: str) -> str:
    """Find the paper that a description cites first."""
    found = re.search(r"\(([A-Z][\w ,&.]*? (?:19|20)\d\d)", said)
    return found[1] if found else "–"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

"""What a step of each way of learning costs, as a share of a step of SimCLR on the same network and batch.

  python -m benchmarks.ways fashion_mnist --output=docs/speed/ways.json

The ways take turns of a few steps each, so that a host whose speed wavers slows all of them alike; the number is
the median over the rounds of the ratio to SimCLR in the same round.
"""

import argparse
import importlib
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import ours
from jaxembed import objectives
from jaxembed.core import files, options
from jaxembed.devices import mesh
from jaxembed.run import build

NAMES = {"ntxent": "simclr", "classify": "classifier", "reconstruct": "autoencoder"}
BASE = {"mnist": "simclr_mnist", "fashion_mnist": "simclr_fashion_mnist", "cifar": "simclr_cifar_small"}


def main() -> None:
    """Time the ways on a dataset, and write the result."""
    parser = argparse.ArgumentParser("python -m benchmarks.ways", description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", choices=BASE)
    parser.add_argument("--only", nargs="*", default=options.names(objectives), help="the objectives to time")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="of each way in a round")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    ways = [name for name in asked.only if name not in ("ntxent", "reconstruct")]
    trainers = {name: ours.Trainer(*built(asked.dataset, name)) for name in ("ntxent", *ways)}
    for trainer in trainers.values():
        trainer.steps(1)  # which compiles
    rounds = []
    for _ in range(asked.rounds):
        rounds.append({name: timed(trainer, asked.steps) for name, trainer in trainers.items()})
    ratios = {
        name: round(statistics.median(each[name] / each["ntxent"] for each in rounds), 3) for name in trainers
    }
    seconds = {name: round(statistics.median(each[name] for each in rounds), 4) for name in trainers}
    record = {"dataset": asked.dataset, "device": mesh.described(), "rounds": asked.rounds, "steps": asked.steps}
    files.write_json(asked.output, record | {"seconds_per_step": seconds, "of_simclr": ratios})
    print(ratios)


def built(dataset: str, name: str) -> tuple[Any, Any]:
    """Make the config of a way on the dataset's SimCLR network, batch and optimizer, and load its dataset."""
    base = importlib.import_module(f"configs.{BASE[dataset]}").get_config()
    if name != "ntxent":
        way = importlib.import_module(f"configs.{NAMES.get(name, name)}_{dataset}").get_config()
        base.objective = way.objective
    return base, build.dataset(base, data_dir=None)


def timed(trainer: ours.Trainer, count: int) -> float:
    """Return the seconds of a step."""
    start = time.perf_counter()
    trainer.steps(count)
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()

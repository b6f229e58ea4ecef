"""Compare the speed of the whole training step, including data and augmentation, with PyTorch's.

  python -m benchmarks --output=benchmark.json
  python -m benchmarks --experiments simclr_cifar --random --no_seeds_way
  python -m benchmarks --experiments simclr_mnist --override train.batch_size=128

Three contestants train the same network on the same images in one process, taking turns: jaxembed; PyTorch as a
good user writes it (peer.py); the student projects' DataLoader (seeds_way.py). A number is the median over the
repeats, a ratio the median of the ratios within a repeat, of wall time and, on a CPU, of the CPU time of all cores;
the first step, which compiles, is reported separately. simclr_cifar, which is not meant for a CPU, takes batches of
64 images in float32 there. Each contestant uses one device: on a machine with several, set CUDA_VISIBLE_DEVICES.
Run nothing else at the same time: PyTorch's threads wait for each other, and on a busy machine they mostly wait to
be scheduled. Without OMP_WAIT_POLICY=PASSIVE they keep a core busy as they wait, which counts as CPU time.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Set before JAX is imported, which would otherwise take most of a GPU's memory and leave too little for PyTorch.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import numpy as np
import torch
from ml_collections import ConfigDict

from jaxembed.cli import config_file
from jaxembed.core.errors import InputError
from jaxembed.run import build
from jaxembed.types import Batch, Dataset

from . import machine, ours, peer, seeds_way, table

CONFIGS = Path(__file__).parents[1] / "configs"
DATASETS = ("mnist", "fashion_mnist", "cifar")
EXPERIMENTS = tuple(
    f"{name}_{dataset}" for name in ("autoencoder", "classifier", "simclr", "margin") for dataset in DATASETS
)
SHAPES = {"mnist": (60_000, 28, 28, 1), "fashion_mnist": (60_000, 28, 28, 1), "cifar10": (50_000, 32, 32, 3)}
# What a CPU can take of an experiment that is not meant for it.
ON_A_CPU = {"simclr_cifar": ("train.dtype=float32", "train.batch_size=64")}
# How often the peak is measured at most, where a step seems to surpass it.
PEAKS = 3
# More than any benchmark reaches, so that no contestant gets to the end of its schedule.
EPOCHS = 100_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Time the contestants on each experiment; print a row and write the record after each."""
    options = parse(arguments)
    device = machine.device()
    mode = options.compile or ("eager" if device.type == "cpu" else "default")
    record: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)]),
        **machine.describe(device),
        "compile": mode,
        "random": options.random,
        "peaks": {},
        "experiments": {},
    }
    print(f"{record['device']}, {record['cores']} cores, load average {record['load']:.1f} before the start")
    print(f"JAX {jax.__version__}, PyTorch {torch.__version__} ({mode})")
    print(table.head(), flush=True)
    for name in options.experiments:
        smaller = ON_A_CPU.get(name, ()) if device.type == "cpu" else ()
        config = load(name, (*smaller, *options.override))
        try:
            dataset = draw(config) if options.random else build.dataset(config, data_dir=None)
        except InputError as error:
            raise SystemExit(f"benchmarks: {error}; or use random images with --random") from None
        contestants = {
            "ours": ours.Trainer(config, dataset),
            "peer": peer.Trainer(config, dataset, device, mode=mode),
        }
        if not options.no_seeds_way:
            contestants["seeds_way"] = seeds_way.Trainer(config, dataset, device)
        record["experiments"][name] = {"experiment": name} | race(
            contestants, config, options.seconds, options.repeats
        )
        for _ in range(PEAKS):
            # The highest peak so far: a shared machine is not always as fast as it can be. Only for the dtypes in
            # use: on a CPU without instructions for bfloat16, a matmul takes minutes.
            dtype = config.train.dtype
            record["peaks"][dtype] = max(record["peaks"].get(dtype, 0.0), machine.peak(dtype, device))
            for result in record["experiments"].values():  # the last one is the new one
                result["share_of_peak"] = result["gflops"] * 1e9 / record["peaks"][result["dtype"]]
            if result["share_of_peak"] < 1:
                break
        print(table.line(result), flush=True)
        if options.output:
            options.output.write_text(json.dumps(record, indent=2) + "\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--experiments", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS, metavar="NAME", help="default: all 12"
    )
    add("--seconds", type=float, default=3.0, help="per contestant and repeat, at least one step (default: 3)")
    add("--repeats", type=int, default=5, help="default: 5")
    add("--output", type=Path, metavar="FILE.json", help="file for all numbers, written after each experiment")
    add("--random", action="store_true", help="use random images, if the datasets are not in $TFDS_DATA_DIR")
    add(
        "--override",
        nargs="+",
        default=(),
        metavar="KEY=VALUE",
        help="change numbers or strings in the config: train.batch_size=64",
    )
    add("--no_seeds_way", action="store_true", help="leave out the DataLoader")
    modes = ("eager", "default", "reduce-overhead", "max-autotune")
    add(
        "--compile", choices=modes, help="torch.compile's mode for the peer (default: eager on a CPU, else default)"
    )
    return parser.parse_args(arguments)


def load(name: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Load a config by name, with overrides (section.key=value), a schedule that does not end, and without Muon."""
    config = config_file.load(CONFIGS / f"{name}.py")
    for key, _, value in (override.partition("=") for override in overrides):
        section, _, option = key.partition(".")
        config[section][option] = type(config[section][option])(value)
    config.train.epochs = EPOCHS
    return peer.comparable(config)


def draw(config: ConfigDict) -> Dataset:
    """Draw random images, of the same shape and number as those of a config's dataset."""
    random = np.random.default_rng(0)
    n, *shape = SHAPES[config.data.name]

    def split(size: int) -> Batch:
        images = random.integers(0, 256, (size, *shape), dtype=np.uint8)
        return Batch(images, random.integers(0, 10, size, dtype=np.int32))

    held_out = split(config.data.validation)
    return Dataset("random", tuple("0123456789"), split(n - len(held_out.labels)), held_out, held_out)


def race(contestants: dict[str, Any], config: ConfigDict, seconds: float, repeats: int) -> dict[str, Any]:
    """Time the contestants, taking turns; return the numbers of each and a description of what they trained."""
    parameters = {name: contestant.parameters() for name, contestant in contestants.items()}
    if len(set(parameters.values())) > 1:
        raise SystemExit(f"benchmarks: the contestants must have equal numbers of parameters, got {parameters}")
    results = {name: prepare(contestant, seconds) for name, contestant in contestants.items()}
    for repeat in range(repeats):
        # In reverse order every second time, so that a machine that slows down favours none of them.
        for name in list(contestants)[:: -1 if repeat % 2 else 1]:
            contestant, result = contestants[name], results[name]
            with contestant.running():
                # On a virtual machine, memory that nobody has used for seconds goes back to the host, and fetching
                # it anew doubled the time of a step that came after another contestant's turn.
                contestant.steps(1)
                elapsed, cpu, result["loss"] = clock(contestant, result["steps"])
            result["repeats_step_ms"].append(1e3 * elapsed / result["steps"])
            result["repeats_cpu_ms"].append(1e3 * cpu / result["steps"])
    for name, result in results.items():
        result["step_ms"] = statistics.median(result["repeats_step_ms"])
        result["images_per_second"] = 1e3 * config.train.batch_size / result["step_ms"]
        result["ours_is_faster_by"] = faster(results["ours"], result, "repeats_step_ms")
        # The DataLoader's workers are processes of their own.
        by_cpu = name != "seeds_way" and jax.default_backend() == "cpu"
        result["ours_is_faster_by_cpu"] = faster(results["ours"], result, "repeats_cpu_ms") if by_cpu else None
    flops = contestants["ours"].flops()
    return {
        "dataset": config.data.name,
        "batch_size": config.train.batch_size,
        "dtype": config.train.dtype,
        "parameters": parameters["ours"],
        "flops_per_step": flops,
        "gflops": flops / results["ours"]["step_ms"] / 1e6,
        "contestants": results,
    }


def faster(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> float:
    """Return the median of the ratios, theirs to ours, within the repeats."""
    return statistics.median(their / our for our, their in zip(ours[what], theirs[what], strict=True))


def prepare(contestant: Any, seconds: float) -> dict[str, Any]:
    """Take the first step, which compiles, then find how many steps take `seconds`."""
    started = time.perf_counter()
    with contestant.running():
        contestant.steps(1)
        first = time.perf_counter() - started
        count, elapsed = 1, clock(contestant, 1)[0]
        while elapsed < seconds / 4:
            count *= 2
            elapsed = clock(contestant, count)[0]
    steps = max(1, round(count * seconds / elapsed))
    return {"first_seconds": first, "steps": steps, "repeats_step_ms": [], "repeats_cpu_ms": []}


def clock(contestant: Any, count: int) -> tuple[float, float, float]:
    """Take `count` steps of a running contestant: (seconds, seconds of this process's CPUs, the mean loss)."""
    started, cpu = time.perf_counter(), time.process_time()
    loss = contestant.steps(count)
    return time.perf_counter() - started, time.process_time() - cpu, loss


if __name__ == "__main__":
    main()

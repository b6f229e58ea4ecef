"""Measure what several devices add to a step: its time on simulated ones, and the bytes of its collectives.

  JAX_PLATFORMS=cpu python -m benchmarks.scaling --output=docs/scaling.json

The devices of a CPU share its cores, so the times show what sharding costs, not what it gains. For each setting a
process, or two, waits for its turn; a number is the minimum over the repeats, because other work only adds to it.
The collectives are those of the program that XLA compiles for eight devices, which is not run.
"""

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import math
import os
import platform
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

# Set before JAX is imported: the devices for which this process compiles; the workers are given their own number.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")

import jax

from jaxembed.devices import processes
from jaxembed.kernels import compiler, convolution
from jaxembed.run import build
from jaxembed.train import feed, steps

from . import ours

TILE = 256
# The encoders of simclr_mnist that are timed. With 64 channels a CPU uses Winograd's convolution, in a loop over
# chunks of images; with fewer, XLA's.
WIDTHS = {"narrow": (32, 48), "as configured": (64, 128)}
# (processes, devices of each).
SETTINGS = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 4))
# (experiment, widths, tile, whether convolutions are XLA's, as on a GPU or a TPU, or those that a CPU runs).
PROGRAMS = (
    *((name, None, tile, True) for name in ("simclr_mnist", "simclr_cifar") for tile in (0, TILE)),
    *(("simclr_mnist", widths, 0, False) for widths in WIDTHS),
)
COLLECTIVE = re.compile(r" = (.+?) (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all)\(")
SHAPE = re.compile(r"([a-z]+)(\d*)\[([\d,]*)\]")
CALLED, TRIPS = re.compile(r"(?:body|to_apply|calls)=%([\w.-]+)"), re.compile(r'"known_trip_count":\{"n":"(\d+)"')


def main() -> None:
    """Time the settings, list the collectives, and write the record."""
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="default: 7")
    parser.add_argument("--output", type=Path, default=os.devnull, metavar="FILE.json", help="for all numbers")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(*options.worker)
    record = describe() | {
        "steps": {widths: clock(widths, options.repeats) for widths in WIDTHS},
        "programs": [program(*each) for each in PROGRAMS],
    }
    options.output.write_text(json.dumps(record, indent=2) + "\n")


def describe() -> dict[str, Any]:
    """Describe the machine, and list the versions of the packages."""
    return {
        "command": " ".join(["python -m benchmarks.scaling", *sys.argv[1:]]),
        "device": re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1],
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")},
    }


def clock(widths: str, repeats: int) -> list[dict[str, Any]]:
    """Time the settings, taking turns: the milliseconds of a step."""
    settings = [(each, start(*each, widths), []) for each in SETTINGS]
    for _ in range(repeats):
        for _, workers, times in settings:
            times.append(step_ms(workers))
    started = [each for _, workers, _ in settings for each in workers]
    for each in started:
        each.stdin.close()  # at which it ends
    for each in started:
        each.wait()
    return [
        {"processes": count, "devices_each": devices, "step_ms": min(times), "repeats_step_ms": times}
        for (count, devices), _, times in settings
    ]


def start(count: int, devices: int, widths: str) -> list[subprocess.Popen]:
    """Start the workers of a setting, and let them take their first steps, which compile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "benchmarks.scaling", "--worker"]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    options["env"] = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
    ways = [f"{address},{count},{index}" for index in range(count)] if count > 1 else ["off"]
    workers = [subprocess.Popen([*command, way, widths], **options) for way in ways]
    step_ms(workers)
    return workers


def step_ms(workers: list[subprocess.Popen]) -> float:
    """Let the workers of a setting take a step; return its milliseconds."""
    for each in workers:
        each.stdin.write("\n")
    return float(workers[0].stdout.readline())


def work(way: str, widths: str) -> None:
    """Take a step for each line of standard input, and print its milliseconds."""
    processes.start(way)
    timed = trainer("simclr_mnist", widths)
    timed.steps(1)
    for _ in sys.stdin:
        started = time.perf_counter()
        timed.steps(1)
        print(1e3 * (time.perf_counter() - started), flush=True)
    if way != "off":
        jax.distributed.shutdown()
        os._exit(0)


def trainer(name: str, widths: str | None = None, tile: int = 0) -> ours.Trainer:
    """Make the trainer of a config by its name, with these changes."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.objective.tile = tile
    if widths:
        config.encoder.widths = WIDTHS[widths]
    return ours.Trainer(config, build.dataset(config, data_dir=None))


def program(name: str, widths: str | None, tile: int, defined: bool) -> dict[str, Any]:
    """Compile the step of a config; describe it and its collectives."""
    trained = trainer(name, widths, tile)
    step = jax.jit(partial(steps.train_step, trained.run))
    with convolution.defined() if defined else contextlib.nullcontext():
        lowered = step.lower(trained.state, feed.Epoch(trained.images, trained.order))
    return {
        "experiment": name,
        "widths": widths or "as configured",
        "convolutions": "XLA's" if defined else "a CPU's",
        "tile": tile,
        "devices": trained.run.mesh.size,
        "batch_size": trained.run.training.batch_size,
        "parameters": trained.parameters(),
        "flops_per_step": trained.flops(),
        "moved": moved(lowered.compile(compiler.EIGEN).as_text()),
    }


def moved(text: str) -> dict[str, dict[str, int]]:
    """Count the collectives of a compiled program, and the bytes of their results on one device, loops unrolled."""
    computations = dict(re.findall(r"^(?:ENTRY )?%([\w.-]+) .*?\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    counts, sizes = Counter(), Counter()

    def visit(name: str, times: int) -> None:
        for line in computations[name].splitlines():
            if match := COLLECTIVE.search(line):
                counts[match[2]] += times
                sizes[match[2]] += times * size(match[1])
            trips = TRIPS.search(line)
            for called in CALLED.findall(line):
                visit(called, times * (int(trips[1]) if trips else 1))

    visit(re.search(r"^ENTRY %([\w.-]+)", text, re.MULTILINE)[1], 1)
    return {kind: {"count": counts[kind], "bytes": sizes[kind]} for kind in sorted(counts)}


def size(shapes: str) -> int:
    """Count the bytes of arrays in HLO's notation: 24 for `(f32[2,3]{1,0})`."""
    arrays = SHAPE.findall(shapes)
    return sum(int(bits or 8) // 8 * math.prod(map(int, filter(None, axes.split(",")))) for _, bits, axes in arrays)


if __name__ == "__main__":
    main()

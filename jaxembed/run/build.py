"""Building a run: one config made into its parts, everything in it checked before anything starts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxembed import datasets, encoders, model, objectives, optim
from jaxembed.core import bounds, options
from jaxembed.core.bounds import Section
from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.run import checks, memory, origin, protocol
from jaxembed.run.protocol import Protocol
from jaxembed.run.run import Run
from jaxembed.run.training import Training
from jaxembed.types import Batch, Dataset, Objective, Task

SECTIONS = ("seed", "data", "encoder", "objective", "optimizer", "train", "evaluate")


def check(config: Section) -> None:
    """Raise an InputError unless the config has exactly the sections of a run."""
    for name in config:
        options.choose(name, SECTIONS, what="a section of the config")
    if missing := [name for name in SECTIONS if name not in config]:
        raise InputError(f"the config lacks {', '.join(missing)}; it needs {', '.join(SECTIONS)}")
    seed = config["seed"]
    # JAX would map a larger seed to a smaller one.
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise InputError(f"config.seed must be a whole number from 0 to 2**32 - 1, got {bounds.shown(seed)}")


class Parsed(NamedTuple):
    """A config whose sections `train` and `evaluate` are parsed; the others are by whoever takes them."""

    config: Section
    training: Training
    protocol: Protocol


def parse(config: Section) -> Parsed:
    """Parse what both a run and its dataset go by; InputError at what does not fit."""
    training = options.call(Training, config["train"], what="config.train")
    return Parsed(config, training, protocol.make(config["evaluate"]))


def dataset(config: Section, *, data_dir: str | None) -> Dataset:
    """Load the dataset that config.data describes."""
    return load(parse(config), data_dir=data_dir)


def run(config: Section, dataset: Dataset) -> Run:
    """Make the parts of a run that has not begun; InputError at anything in the config that does not fit."""
    return assemble(parse(config), dataset, begun=False)


def load(parsed: Parsed, *, data_dir: str | None) -> Dataset:
    """Load the dataset of a parsed config."""
    config, resident = parsed.config, parsed.training.resident
    return datasets.load(config["data"], data_dir=data_dir, seed=config["seed"], resident=resident)


def assemble(parsed: Parsed, dataset: Dataset, *, begun: bool) -> Run:
    """Make the parts of a run from its parsed config; if it has begun, what its encoder starts from is not read."""
    config, training, measured = parsed
    devices, image_shape = mesh.make(), dataset.train.images.shape[1:]
    checks.check_counts(training, measured, dataset, devices.size)
    encoder, start = encoders.parse(config["encoder"])
    objective = objectives.make(config["objective"], Task(encoder, image_shape, len(dataset.classes)))
    embedder = model.Embedder(encoder, objective.head, training.frozen, training.statistics == "running")
    # A shape that an encoder, a head or an augmentation cannot take is found here, before anything is written.
    shapes, views = (
        memory.shapes(embedder, jnp.zeros((1, *image_shape))),
        _views_of_an_image(objective, image_shape),
    )
    if measured.augmentation is not None:
        jax.eval_shape(measured.augmentation, jax.random.key(0), jnp.zeros(image_shape))
    rows = views * training.batch_size
    learning = shapes._replace(params=embedder.learning(shapes.params), stats=embedder.learning(shapes.stats))
    checks.check_learning(learning, config["objective"])
    checks.check_running(training, start, shapes)
    checks.check_chunk(training, rows, devices.size, has_statistics=bool(learning.stats))
    steps_per_epoch = len(dataset.train.labels) // training.batch_size
    memory.check_steps(training.epochs, steps_per_epoch, what="config.train.epochs")
    total_steps = training.epochs * steps_per_epoch
    resized = checks.resized(training, embedder, shapes, image_shape)
    optimizer, schedule = optim.make(config["optimizer"], steps_per_epoch, total_steps)
    held = {"rows": (training.chunk or rows) // devices.size, "itemsize": jnp.dtype(training.dtype).itemsize}
    memory.check_memory(learning, optimizer, **held, what="config.encoder")
    memory.check_kept(shapes, objective)
    checks.check_probes(measured, dataset, shapes.outputs.embedding)
    run = Run(
        model=embedder,
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        mesh=devices,
        training=training,
        protocol=measured,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        resized=resized,
        origin=start if begun or not start.start else origin.fitting(start, config["encoder"], shapes),
    )
    checks.check_objective(run, shapes.outputs, image_shape)
    return run


def _views_of_an_image(objective: Objective, image_shape: tuple[int, ...]) -> int:
    """Return how many views an objective makes of an image."""
    batch = Batch(jnp.zeros((1, *image_shape)), jnp.zeros(1, jnp.int32))
    viewed = jax.eval_shape(objective.views, jax.random.key(0), batch)
    if not (isinstance(viewed, tuple) and len(viewed) == 2 and isinstance(viewed[1], Batch)):
        raise InputError(
            "the objective's views must return a pair, the images that the network sees and the Batch they are "
            f"scored against; got {bounds.shown(viewed)}"
        )
    return len(viewed[0])

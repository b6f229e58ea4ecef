"""An experiment: one config made into the parts of a run, everything in it checked at the door."""

import importlib.util
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from jaxembed import augment, datasets, encoders, mesh, model, objectives, optim, options
from jaxembed.measures import neighbours, probe
from jaxembed.types import Augment, Batch, Images, InputError, Objective, Section, Task

SECTIONS = ("seed", "data", "encoder", "objective", "optimizer", "train", "evaluate")
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What config.train says.

    Attributes:
      epochs: passes over the train split.
      batch_size: images a step, over all devices; what an epoch leaves over waits for the next permutation.
      dtype: of the computation, "float32" or "bfloat16"; parameters, statistics and losses stay float32.
      steps_per_call: steps that the device runs between two words with the host.
      log_every: steps that one line of metrics.jsonl averages; fewer before a checkpoint or a validation.
      checkpoint_every: steps between checkpoints; the last step has one in any case.
      keep: checkpoints kept, the newest.
      validate_every: epochs between measurements on the validation split; 0 for none but the last.
      tensorboard: also write the metrics as TensorBoard events, in the run's folder.
    """

    epochs: int
    batch_size: int
    dtype: str
    steps_per_call: int
    log_every: int
    checkpoint_every: int
    keep: int
    validate_every: int
    tensorboard: bool

    def __post_init__(self) -> None:
        """Raise an InputError at a number that makes no sense."""
        what = "config.train"
        options.choose(self.dtype, DTYPES, what=f"{what}.dtype")
        for name in ("epochs", "batch_size", "steps_per_call", "log_every", "checkpoint_every", "keep"):
            options.bounded(what, "> 0", **{name: getattr(self, name)})
        options.bounded(what, ">= 0", validate_every=self.validate_every)
        if self.tensorboard and importlib.util.find_spec("tensorboardX") is None:
            raise InputError(f"{what}.tensorboard needs tensorboardX: pip install 'jaxembed[tensorboard]'")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What config.evaluate says: how the frozen embedding is judged.

    Attributes:
      neighbours: k of the kNN classifier.
      distance: its distance, "cosine" or "euclidean".
      views: augmented views of each train image that the probes learn from, besides the image itself; in linear
        evaluation each epoch often has its own (Chen et al. 2020), but an encoder is slower than a probe.
      augmentation: what makes them; without views it is not used.
      linear: the linear probe.
      mlp: the probe with hidden layers.
    """

    neighbours: int
    distance: str
    views: int
    augmentation: Augment
    linear: probe.Settings
    mlp: probe.Settings

    def __post_init__(self) -> None:
        """Raise an InputError at a number or a name that makes no sense."""
        options.bounded("config.evaluate", "> 0", neighbours=self.neighbours)
        options.bounded("config.evaluate", ">= 0", views=self.views)
        options.choose(self.distance, neighbours.DISTANCES, what="config.evaluate.distance")
        if not self.mlp.hidden:
            raise InputError("config.evaluate.mlp.hidden must have at least one layer, got none")


class Run(NamedTuple):
    """All that stays the same while State changes; hashable, so a compiled function takes it as static."""

    model: model.Embedder
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    mesh: Mesh
    training: Training
    protocol: Protocol
    steps_per_epoch: int
    total_steps: int

    def apply(self, params: Any, stats: Any, images: Images, **options: Any) -> Any:
        """Apply the model in the run's compute type; parameters and statistics stay float32 at rest."""
        dtype = DTYPES[self.training.dtype]
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        return self.model.apply({"params": params, "batch_stats": stats}, images.astype(dtype), **options)


def check_sections(config: Section) -> None:
    """Raise an InputError unless the config has exactly the sections that an experiment has."""
    for name in config:
        options.choose(name, SECTIONS, what="a section of the config")
    if missing := [name for name in SECTIONS if name not in config]:
        raise InputError(f"the config lacks {', '.join(missing)}; it needs {', '.join(SECTIONS)}")
    # JAX would fold a larger seed onto a smaller one.
    if not isinstance(config["seed"], int) or not 0 <= config["seed"] < 2**32:
        raise InputError(f"config.seed must be a whole number from 0 to 2**32 - 1, got {config['seed']!r}")


def load(config: Section, *, data_dir: str | None) -> datasets.Dataset:
    """Load the dataset that config.data describes."""

    def dataset(*, name: str, validation: int) -> datasets.Dataset:
        return datasets.load(name, data_dir=data_dir, validation=validation, seed=config["seed"])

    return options.call(dataset, config["data"], what="config.data")


def build(config: Section, dataset: datasets.Dataset) -> Run:
    """Make the parts of a run; InputError at anything in the config that does not fit."""
    training = options.call(Training, config["train"], what="config.train")
    protocol = _protocol(config["evaluate"])
    devices = mesh.make()
    _check_counts(training, protocol, dataset, devices.size)
    encoder = encoders.make(config["encoder"])
    image_shape = dataset.train.images.shape[1:]
    objective = objectives.make(config["objective"], Task(encoder, image_shape, len(dataset.classes)))
    embedder = model.Embedder(encoder, objective.head, objective.variants)
    # A shape that an encoder, a head or an augmentation cannot take shows here, before anything is written.
    key, image = jax.random.key(0), jnp.zeros(image_shape)
    jax.eval_shape(partial(embedder.init, train=False), key, image[None])
    jax.eval_shape(objective.views, key, Batch(image[None], jnp.zeros(1, jnp.int32)))
    jax.eval_shape(protocol.augmentation, key, image)
    steps_per_epoch = len(dataset.train.labels) // training.batch_size
    total_steps = training.epochs * steps_per_epoch
    optimizer, schedule = optim.make(config["optimizer"], steps_per_epoch, total_steps)
    return Run(
        model=embedder,
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        mesh=devices,
        training=training,
        protocol=protocol,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
    )


def _protocol(section: Any) -> Protocol:
    given = options.section(section, what="config.evaluate")
    for name, settings in (("linear", probe.linear), ("mlp", probe.Settings)):
        if name in given:
            given[name] = options.call(settings, given[name], what=f"config.evaluate.{name}")
    if "augmentation" in given:
        what = "config.evaluate.augmentation"
        given["augmentation"] = augment.compose(options.section(given["augmentation"], what=what), what=what)
    return options.call(Protocol, given, what="config.evaluate")


def _check_counts(training: Training, protocol: Protocol, dataset: datasets.Dataset, devices: int) -> None:
    images = len(dataset.train.labels)
    held_out, batch_size = len(dataset.validation.labels), training.batch_size
    if batch_size % devices:
        raise InputError(f"config.train.batch_size must be a multiple of the {devices} devices, got {batch_size}")
    for name, count in (("train.batch_size", batch_size), ("evaluate.neighbours", protocol.neighbours)):
        if count > images:
            raise InputError(
                f"config.{name} must be at most the {images} train images of {dataset.name}, got {count}"
            )
    for split in ("validation", "test"):
        counts = np.bincount(getattr(dataset, split).labels)
        if np.sum(counts > 0) < 2 or counts.max() < 2:
            raise InputError(
                f"the {split} split of {dataset.name} must have two classes, one of them with two images, "
                f"got {counts[counts > 0].tolist()} images in its classes"
            )
    if held_out < devices:
        raise InputError(f"config.data.validation must be at least the {devices} devices, got {held_out}")

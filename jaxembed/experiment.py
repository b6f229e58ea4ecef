"""An experiment: one config made into the parts of a run, everything in it checked at the door."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxembed import data, encoders, mesh, model, neighbours, objectives, optim, probe, registry
from jaxembed.types import Images, InputError, Objective, Section, Task

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
      log_every: steps that one line of metrics.jsonl averages.
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
        registry.choose(self.dtype, DTYPES, what=f"{what}.dtype")
        for name in ("epochs", "batch_size", "steps_per_call", "log_every", "checkpoint_every", "keep"):
            registry.positive(what, **{name: getattr(self, name)})
        if self.validate_every < 0:
            raise InputError(f"{what}.validate_every must be >= 0, got {self.validate_every}")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What config.evaluate says: how the frozen embedding is judged.

    Attributes:
      neighbours: k of the kNN classifier.
      distance: its distance, "cosine" or "euclidean".
      linear: the linear probe.
      mlp: the probe with hidden layers.
    """

    neighbours: int
    distance: str
    linear: probe.Settings
    mlp: probe.Settings

    def __post_init__(self) -> None:
        """Raise an InputError at a number or a name that makes no sense."""
        registry.positive("config.evaluate", neighbours=self.neighbours)
        registry.choose(self.distance, neighbours.DISTANCES, what="config.evaluate.distance")


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
        registry.choose(name, SECTIONS, what="a section of the config")
    if missing := [name for name in SECTIONS if name not in config]:
        raise InputError(f"the config lacks {', '.join(missing)}; it needs {', '.join(SECTIONS)}")


def load(config: Section, *, data_dir: str | None) -> data.Dataset:
    """Load the dataset that config.data describes."""

    def dataset(*, name: str, validation: int) -> data.Dataset:
        return data.load(name, data_dir=data_dir, validation=validation, seed=config["seed"])

    return registry.call(dataset, config["data"], what="config.data")


def build(config: Section, dataset: data.Dataset) -> Run:
    """Make the parts of a run; InputError at anything in the config that does not fit."""
    training = registry.call(Training, config["train"], what="config.train")
    protocol = _protocol(config["evaluate"])
    images, devices = dataset.train.images, jax.device_count()
    if training.batch_size % devices:
        raise InputError(
            f"config.train.batch_size must be a multiple of the {devices} devices, got {training.batch_size}"
        )
    if training.batch_size > len(images):
        raise InputError(
            f"config.train.batch_size must be at most the {len(images)} train images of {dataset.name}, "
            f"got {training.batch_size}"
        )
    if len(dataset.validation.labels) < devices:
        raise InputError(
            f"config.data.validation must be at least the {devices} devices, got {len(dataset.validation.labels)}"
        )
    if protocol.neighbours > len(images):
        raise InputError(
            f"config.evaluate.neighbours must be at most the {len(images)} train images of {dataset.name}, "
            f"got {protocol.neighbours}"
        )
    encoder = encoders.make(config["encoder"])
    objective = objectives.make(config["objective"], Task(encoder, images.shape[1:], len(dataset.classes)))
    steps_per_epoch = len(images) // training.batch_size
    total_steps = training.epochs * steps_per_epoch
    optimizer, schedule = optim.make(config["optimizer"], steps_per_epoch, total_steps)
    return Run(
        model=model.Embedder(encoder, objective.head),
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        mesh=mesh.make(),
        training=training,
        protocol=protocol,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
    )


def _protocol(section: Section) -> Protocol:
    options = dict(section)
    for name in {"linear", "mlp"} & set(options):
        options[name] = registry.call(probe.Settings, options[name], what=f"config.evaluate.{name}")
    return registry.call(Protocol, options, what="config.evaluate")

"""A run: one config made into its parts, everything in it checked before anything starts."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxembed import capacity, datasets, encoders, model, objectives, optim, protocol
from jaxembed.core import bounds, options
from jaxembed.core.bounds import Count, Fraction, NonNegative, Positive, Section
from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.metrics import probe
from jaxembed.protocol import Protocol
from jaxembed.types import Batch, Dataset, Images, Objective, Outputs, Scores, Task

SECTIONS = ("seed", "data", "encoder", "objective", "optimizer", "train", "evaluate")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What config.train says.

    Attributes:
      epochs: passes over the train split.
      batch_size: images a step, over all devices; those that do not fill a last batch wait for the next epoch.
      dtype: of the computation; parameters, statistics and losses remain float32.
      log_every: steps that one line of metrics.jsonl averages, and that the device takes without the host; fewer
        before a checkpoint or a validation.
      checkpoint_every: steps between checkpoints; the last step always has one.
      validate_every: epochs between measurements on the validation split; 0 for none before the end.
      chunk: views that the network processes at a time, where a batch has more than fit in memory; 0 for all. Each
        is then embedded twice, and the loss still compares all of them.
      statistics: of BatchNorm: over the "batch", or, which chunks need, over each "chunk" alone.
      early_side: pixels of the shorter side of the views at first, which makes those steps faster; 0 for views as
        large as the images. Source: Tan & Le 2021, arXiv:2104.00298, section 4, without its other changes.
      early_share: the share of the steps that have such views, from the first one on.
      resident: GB of train images that may be in memory; if there are more, batches are read from disk as they are
        needed, the same ones.
    """

    epochs: Positive
    batch_size: Positive
    dtype: Literal["float32", "bfloat16"]
    log_every: Positive
    checkpoint_every: Positive
    validate_every: Count
    chunk: Count = 0
    statistics: Literal["batch", "chunk"] = "batch"
    early_side: Count = 0
    early_share: Fraction = 0.0
    resident: NonNegative = 8.0


class Run(NamedTuple):
    """Everything that stays the same while State changes; hashable, so a compiled function takes it as static.

    `resized` is the height and width that views are resized to, in early steps only: steps take `run.at(step)`.
    """

    model: model.Embedder
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    mesh: Mesh
    training: Training
    protocol: Protocol
    steps_per_epoch: int
    total_steps: int
    resized: tuple[int, int] | None = None

    @property
    def early_steps(self) -> int:
        """The number of steps, from the first on, whose views are smaller than the images."""
        return round(self.training.early_share * self.total_steps)

    def at(self, step: int) -> "Run":
        """Return this run as it is at a step: after the early ones, views are not resized."""
        return self if step < self.early_steps else self._replace(resized=None)

    def apply(self, params: Any, stats: Any, inputs: Images | jax.Array, **options: Any) -> Any:
        """Apply the model in the run's compute type; parameters and statistics remain float32 at rest."""
        dtype = jnp.dtype(self.training.dtype)
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        with mesh.around(self.mesh):
            return self.model.apply({"params": params, "batch_stats": stats}, inputs.astype(dtype), **options)

    def score(self, outputs: Outputs, target: Batch) -> Scores:
        """Score outputs by the objective, over all devices."""
        with mesh.around(self.mesh):
            return self.objective.score(outputs, target)


def check_sections(config: Section) -> None:
    """Raise an InputError unless the config has exactly the sections of a run."""
    for name in config:
        options.choose(name, SECTIONS, what="a section of the config")
    if missing := [name for name in SECTIONS if name not in config]:
        raise InputError(f"the config lacks {', '.join(missing)}; it needs {', '.join(SECTIONS)}")
    seed = config["seed"]
    # JAX would map a larger seed to a smaller one.
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise InputError(f"config.seed must be a whole number from 0 to 2**32 - 1, got {bounds.shown(seed)}")


def load(config: Section, *, data_dir: str | None) -> Dataset:
    """Load the dataset that config.data describes."""
    resident = options.call(Training, config["train"], what="config.train").resident
    return datasets.load(config["data"], data_dir=data_dir, seed=config["seed"], resident=resident)


def build(config: Section, dataset: Dataset) -> Run:
    """Make the parts of a run; InputError at anything in the config that does not fit."""
    training = options.call(Training, config["train"], what="config.train")
    measured = protocol.make(config["evaluate"])
    devices = mesh.make()
    _check_counts(training, measured, dataset, devices.size)
    encoder = encoders.make(config["encoder"])
    image_shape = dataset.train.images.shape[1:]
    objective = objectives.make(config["objective"], Task(encoder, image_shape, len(dataset.classes)))
    embedder = model.Embedder(encoder, objective.head)
    # A shape that an encoder, a head or an augmentation cannot take is found here, before anything is written.
    key, image = jax.random.key(0), jnp.zeros(image_shape)
    shapes = capacity.shapes(embedder, image[None])
    views, _ = jax.eval_shape(objective.views, key, Batch(image[None], jnp.zeros(1, jnp.int32)))
    rows = len(views) * training.batch_size
    _check_chunk(training, rows, devices.size, shapes.has_statistics)
    if measured.augmentation is not None:
        jax.eval_shape(measured.augmentation, key, image)
    steps_per_epoch = len(dataset.train.labels) // training.batch_size
    capacity.check_steps(training.epochs, steps_per_epoch, what="config.train.epochs")
    total_steps = training.epochs * steps_per_epoch
    resized = _resized(training, embedder, shapes, image_shape)
    optimizer, schedule = optim.make(config["optimizer"], steps_per_epoch, total_steps)
    rows = (training.chunk or rows) // devices.size
    itemsize = jnp.dtype(training.dtype).itemsize
    capacity.check_memory(shapes, optimizer, rows=rows, itemsize=itemsize, what="config.encoder")
    _check_probes(measured, dataset, shapes.outputs.embedding)
    return Run(
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
    )


def _resized(
    training: Training, embedder: model.Embedder, shapes: capacity.Shapes, image_shape: tuple[int, ...]
) -> tuple[int, int] | None:
    """Return the height and width of early views; InputError unless the same parameters can take them."""
    side, share = training.early_side, training.early_share
    if (side > 0) != (share > 0):
        raise InputError(
            "config.train.early_side and early_share go together: both must be above 0, or neither, got "
            f"{side} and {share}"
        )
    if not side:
        return None
    height, width, channels = image_shape
    if side >= (shorter := min(height, width)):
        raise InputError(f"config.train.early_side must be below the images' {shorter} pixels, got {side}")
    resized = round(height * side / shorter), round(width * side / shorter)
    early = capacity.shapes(embedder, jnp.zeros((1, *resized, channels)))
    if (early.params, early.outputs) != (shapes.params, shapes.outputs):
        raise InputError(
            f"config.train.early_side={side} needs an encoder and an objective for images of any size, such as "
            "encoder.name='cnn' or 'resnet' with objective.name='ntxent'"
        )
    return resized


def _check_chunk(training: Training, views: int, devices: int, has_statistics: bool) -> None:
    chunk = training.chunk
    if chunk and (views % chunk or chunk % devices):
        raise InputError(
            f"config.train.chunk must divide the {views} views of a batch, and be a multiple of the {devices} "
            f"devices, got {chunk}"
        )
    if chunk and has_statistics and training.statistics == "batch":
        raise InputError(
            "config.train.chunk changes the statistics of this encoder's BatchNorm, which become those of a chunk; "
            "ask for that by config.train.statistics='chunk'"
        )
    if not chunk and training.statistics == "chunk":
        raise InputError("config.train.statistics='chunk' needs config.train.chunk, got 0")


def _check_probes(protocol: Protocol, dataset: Dataset, embedding: jax.ShapeDtypeStruct) -> None:
    if not dataset.is_labelled:  # then there are none
        return
    rows = len(dataset.train.labels) * (1 + protocol.views)
    capacity.check_rows(rows, embedding.shape[1], what="config.evaluate.views")
    for name, settings in (("linear", protocol.linear), ("mlp", protocol.mlp)):
        what, batch_size = f"config.evaluate.{name}", min(settings.batch_size, rows)
        capacity.check_steps(settings.epochs, rows // batch_size, what=f"{what}.epochs")
        network = capacity.shapes(probe.network(settings, len(dataset.classes)), jnp.zeros(embedding.shape))
        capacity.check_memory(network, optax.adam(0.0), rows=batch_size, itemsize=4, what=what)


def _check_counts(training: Training, protocol: Protocol, dataset: Dataset, devices: int) -> None:
    images = len(dataset.train.labels)
    batch_size = training.batch_size
    if batch_size % devices:
        raise InputError(f"config.train.batch_size must be a multiple of the {devices} devices, got {batch_size}")
    for name, count in (("train.batch_size", batch_size), ("evaluate.neighbours", protocol.neighbours)):
        if count > images:
            raise InputError(
                f"config.{name} must be at most the {images} train images of {dataset.name}, got {count}"
            )
    for split in dataset.measured:
        if (count := len(getattr(dataset, split).labels)) < 2:
            raise InputError(f"the {split} split of {dataset.name} must have at least 2 images, got {count}")
    if dataset.validation is not None and (count := len(dataset.validation.labels)) < devices:
        raise InputError(f"config.data.validation must be 0 or at least the {devices} devices, got {count}")

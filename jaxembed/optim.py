"""Optimizer and learning-rate schedule from a config section."""

import jax
import optax
from optax import contrib

from jaxembed import options
from jaxembed.types import InputError, Section


def make(
    section: Section, steps_per_epoch: int, total_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """Make the optimizer that config.optimizer names, and its schedule: step -> learning rate.

    Raises:
      InputError: if the name or an option does not exist, or a number makes no sense.
    """
    what = "config.optimizer"
    name, given = options.named(section, what=what)
    options.choose(name, OPTIMIZERS, what=f"{what}.name")
    common = {key: given.pop(key) for key in ("learning_rate", "warmup_epochs") if key in given}
    schedule = options.call(_schedule, common, steps_per_epoch, total_steps, what=what)
    return options.call(OPTIMIZERS[name], given, schedule, what=f"{what} of {name}"), schedule


def sgd(schedule: optax.Schedule, *, momentum: float, weight_decay: float) -> optax.GradientTransformation:
    """SGD with momentum; weight decay is L2, added to the gradient, as in PyTorch."""
    _bounded(momentum, weight_decay)
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(schedule, momentum))


def adam(schedule: optax.Schedule, *, weight_decay: float) -> optax.GradientTransformation:
    """AdamW: decoupled weight decay; plain Adam where it is 0 (Loshchilov & Hutter 2019)."""
    options.bounded("config.optimizer", ">= 0", weight_decay=weight_decay)
    return optax.adamw(schedule, weight_decay=weight_decay)


def lars(schedule: optax.Schedule, *, momentum: float, weight_decay: float) -> optax.GradientTransformation:
    """LARS for large batches; biases and BatchNorm neither decay nor adapt (You et al. 2017; SimCLR, section 3)."""
    _bounded(momentum, weight_decay)
    return optax.lars(
        schedule,
        weight_decay=weight_decay,
        weight_decay_mask=_kernels,
        trust_ratio_mask=_kernels,
        momentum=momentum,
    )


def muon(schedule: optax.Schedule, *, momentum: float, weight_decay: float) -> optax.GradientTransformation:
    """Muon for kernels, a convolution's as a matrix with a column per output channel; NAdam for all else.

    A step changes a kernel by as much in every direction, the rarely seen ones too, and by a root mean square of
    0.2 times the rate, about Adam's. Biases and BatchNorm do not decay.
    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; the scale is Liu et al.'s 2025, arXiv:2502.16982.
    """
    _bounded(momentum, weight_decay)
    return contrib.muon(
        schedule,
        beta=momentum,
        weight_decay=weight_decay,
        consistent_rms=0.2,
        muon_weight_dimension_numbers=_matrices,
    )


OPTIMIZERS = {"sgd": sgd, "adam": adam, "lars": lars, "muon": muon}


def _bounded(momentum: float, weight_decay: float) -> None:
    options.bounded("config.optimizer", "at least 0 and below 1", momentum=momentum)
    options.bounded("config.optimizer", ">= 0", weight_decay=weight_decay)


def _schedule(
    steps_per_epoch: int, total_steps: int, *, learning_rate: float, warmup_epochs: float
) -> optax.Schedule:
    options.bounded("config.optimizer", "> 0", learning_rate=learning_rate)
    warmup_steps = round(warmup_epochs * steps_per_epoch)
    if not 0 <= warmup_steps < total_steps:
        epochs = total_steps // steps_per_epoch
        raise InputError(
            f"config.optimizer.warmup_epochs must be at least 0 and less than the {epochs} epochs of training, "
            f"got {warmup_epochs}"
        )
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup_steps else learning_rate,
        peak_value=learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=total_steps,
    )


def _kernels(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _matrices(params: optax.Params) -> optax.Params:
    return jax.tree.map(
        lambda leaf: (
            contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1) if leaf.ndim > 1 else None
        ),
        params,
    )

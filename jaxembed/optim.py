"""Optimizer and learning-rate schedule from a config section."""

from typing import Any

import jax
import optax
from optax import contrib

from jaxembed.core import options
from jaxembed.core.bounds import Fraction, NonNegative, PositiveFloat
from jaxembed.core.errors import InputError


def make(
    section: Any, steps_per_epoch: int, total_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """Make the optimizer that config.optimizer names, and its schedule: step -> learning rate.

    Raises:
      InputError: if the name or an option does not exist, or a number is out of bounds.
    """
    what = "config.optimizer"
    name, given = options.named(section, what=what)
    options.choose(name, OPTIMIZERS, what=f"{what}.name")
    scheduled, own = options.divide(given, _schedule, OPTIMIZERS[name], what=what)
    schedule = _schedule(steps_per_epoch, total_steps, **scheduled)
    return OPTIMIZERS[name](schedule, **own), schedule


def sgd(schedule: optax.Schedule, *, momentum: Fraction, weight_decay: NonNegative) -> optax.GradientTransformation:
    """SGD with momentum; weight decay is L2, added to the gradient, as in PyTorch."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(schedule, momentum))


def adam(schedule: optax.Schedule, *, weight_decay: NonNegative) -> optax.GradientTransformation:
    """AdamW: decoupled weight decay; plain Adam where it is 0 (Loshchilov & Hutter 2019)."""
    return optax.adamw(schedule, weight_decay=weight_decay)


def lars(
    schedule: optax.Schedule, *, momentum: Fraction, weight_decay: NonNegative
) -> optax.GradientTransformation:
    """LARS for large batches; biases and BatchNorm neither decay nor adapt (You et al. 2017; SimCLR, section 3)."""
    return optax.lars(
        schedule,
        weight_decay=weight_decay,
        weight_decay_mask=_kernels,
        trust_ratio_mask=_kernels,
        momentum=momentum,
    )


def muon(
    schedule: optax.Schedule, *, momentum: Fraction, weight_decay: NonNegative
) -> optax.GradientTransformation:
    """Muon for kernels, a convolution's as a matrix with a column per output channel; NAdam for everything else.

    A step changes a kernel equally in every direction, the rarely seen ones included, with a root mean square of
    0.2 times the learning rate, about Adam's. Biases and BatchNorm do not decay.
    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; the scale is from Liu et al. 2025,
      arXiv:2502.16982.
    """
    return contrib.muon(
        schedule,
        beta=momentum,
        weight_decay=weight_decay,
        consistent_rms=0.2,
        muon_weight_dimension_numbers=_matrices,
    )


OPTIMIZERS = {"sgd": sgd, "adam": adam, "lars": lars, "muon": muon}


def _schedule(
    steps_per_epoch: int, total_steps: int, *, learning_rate: PositiveFloat, warmup_epochs: NonNegative
) -> optax.Schedule:
    """Rise linearly from 0 over the warm-up, then fall to 0 as half a cosine."""
    warmup_steps = round(warmup_epochs * steps_per_epoch)
    if warmup_steps >= total_steps:
        epochs = total_steps // steps_per_epoch
        raise InputError(
            f"config.optimizer.warmup_epochs must be less than the {epochs} epochs of training, got {warmup_epochs}"
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

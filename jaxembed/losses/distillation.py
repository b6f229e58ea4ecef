"""Distillation: a row should say what another view of its image was found to be. No two images are compared.

Nothing here stops a gradient: the caller holds still what is to be predicted.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxembed.losses import numerics


def negative_cosine(first: Float[Array, "n d"], second: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Minus the cosine between each row and its partner; BYOL's squared distance of unit rows is 2 + 2 times this.

    A row of zeros has cosine 0 and a finite gradient.

    Args:
      first: [n, d] float, of any scale.
      second: [n, d] float, of any scale; row i is the partner of row i.
    Returns:
      [n] float32 in [-1, 1]; -1 where the directions are equal.
    Source: Chen & He 2021, eq. (1), arXiv:2011.10566; Grill et al. 2020, eq. (2), arXiv:2006.07733.
    """
    one, other = (numerics.normalise(rows.astype(jnp.float32)) for rows in (first, second))
    return -jnp.sum(one * other, axis=-1)


def dino(
    student: Float[Array, "n p"],
    teacher: Float[Array, "n p"],
    centre: Float[Array, " p"],
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Array, " n"]:
    """Cross-entropy between what a teacher makes of one view and a student of another.

    With P = softmax((teacher - centre) / teacher_temperature) and Q = softmax(student / student_temperature), a
    row costs -Σ_k P_k log Q_k. The centre keeps one group from taking all rows, the low temperature keeps all
    groups from being alike.

    Args:
      student: [n, p] float, logits of p groups.
      teacher: [n, p] float, the teacher's; row i is for the image of row i.
      centre: [p] float, a moving average of the teacher's.
      student_temperature: > 0, dimensionless; 0.1 in the source.
      teacher_temperature: > 0, dimensionless; 0.04 to 0.07 in the source.
    Returns:
      [n] float32, nats per row, >= 0; log(p) where the student's logits are equal.
    Raises:
      ValueError: if a temperature is not positive.
    Source: Caron et al. 2021, eq. (1), (2) and (4), arXiv:2104.14294.
    """
    if min(student_temperature, teacher_temperature) <= 0:
        raise ValueError(f"temperatures must be > 0, got {student_temperature} and {teacher_temperature}")
    student, teacher, centre = (array.astype(jnp.float32) for array in (student, teacher, centre))
    wanted = jax.nn.softmax(_below(teacher - centre[None]) / teacher_temperature)
    return -jnp.sum(wanted * jax.nn.log_softmax(_below(student) / student_temperature), axis=-1)


def _below(logits: Float[Array, "n p"]) -> Float[Array, "n p"]:
    """Move the largest logit of each row to 0, exactly: after a division, compiled code may miss it by rounding."""
    return logits - lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))

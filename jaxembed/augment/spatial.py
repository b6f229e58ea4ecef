"""Changes of space: where an image's pixels are."""

import functools
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import ndimage
from jaxtyping import Array, Float

from jaxembed.augment import boxes
from jaxembed.augment.boxes import Area, Side
from jaxembed.core import bounds
from jaxembed.core.bounds import Count, NonNegative, PositiveFloat, Share
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.kernels.fusion import once
from jaxembed.types import Image, Scalar

# Singular values below this share of the largest are left out, and with them 2e-6 of the variance.
NEGLIGIBLE = 1e-3
Degrees = Annotated[float, bounds.within(0, 180)]


def crop(key: Key, image: Image, *, min_area: Area, max_area: Area) -> Image:
    """Cut out a random box and resize it to the whole image.

    Its share of the area is uniform in [min_area, max_area], its log aspect ratio uniform between those of
    3/4 and 4/3, its position uniform. Of ten draws the first that fits is used, else the centre.

    Source: Szegedy et al. 2015, arXiv:1409.4842, as torchvision's RandomResizedCrop.
    """
    height, width, _ = image.shape
    central = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    box = boxes.draw(
        key,
        image,
        area=(min_area, max_area),
        ratio=(3 / 4, 4 / 3),
        least=1,
        most=(height, width),
        otherwise=central,
    )
    return resized_crop(image, *box)


def resized_crop(image: Image, top: Side, left: Side, height: Side, width: Side) -> Image:
    """Resize a box to the image's own shape: bilinear, half-pixel centres, edges repeated.

    A box is never larger than what it becomes, so there is nothing to antialias.
    """
    rows = _interpolation(top, height, image.shape[0])
    columns = _interpolation(left, width, image.shape[1])
    return _resample(image, rows, columns)


def affine(
    key: Key, image: Image, *, degrees: Degrees, shift: Share, min_scale: PositiveFloat, max_scale: PositiveFloat
) -> Image:
    """Rotate, shift and scale at random about the image's centre.

    Angle, shift down and right (as a share of each side) and scale are uniform in [-degrees, degrees],
    [-shift, shift] and [min_scale, max_scale].

    Source: torchvision's RandomAffine with bilinear sampling. Differs in not rounding shifts to whole pixels.
    """
    angle_key, shift_key, scale_key = jax.random.split(key, 3)
    angle = jax.random.uniform(angle_key, minval=-degrees, maxval=degrees)
    down, right = jax.random.uniform(shift_key, (2,), minval=-shift, maxval=shift)
    scale = jax.random.uniform(scale_key, minval=min_scale, maxval=max_scale)
    return warp(image, angle, image.shape[0] * down, image.shape[1] * right, scale)


def warp(image: Image, degrees: Scalar, down: Scalar, right: Scalar, scale: Scalar) -> Image:
    """Scale and rotate (clockwise) about the centre, then shift by pixels: bilinear, 0 outside."""
    height, width, _ = image.shape
    y = jnp.arange(height)[:, None] - (height - 1) / 2 - down
    x = jnp.arange(width)[None, :] - (width - 1) / 2 - right
    cosine, sine = jnp.cos(jnp.deg2rad(degrees)) / scale, jnp.sin(jnp.deg2rad(degrees)) / scale
    source = [cosine * y - sine * x + (height - 1) / 2, sine * y + cosine * x + (width - 1) / 2]
    return _sample(image, source)


def flip(key: Key, image: Image, *, p: Share) -> Image:
    """Mirror left and right with probability p."""
    return jnp.where(jax.random.bernoulli(key, p), image[:, ::-1], image)


def translate(key: Key, image: Image, *, pixels: Count) -> Image:
    """Shift by whole pixels down and right, each uniform in -pixels..pixels; beyond an edge the image is mirrored.

    Source: the padding and random crop of Jordan 2024, arXiv:2404.00498, section 3.

    Raises:
      InputError: if the image is not larger than the shift.
    """
    if pixels >= min(image.shape[:2]):
        raise InputError(f"pixels must be less than the image's {min(image.shape[:2])}, got {pixels}")
    shifts = jax.random.randint(key, (2,), -pixels, pixels + 1)
    rows, columns = (_shift(by, size) for by, size in zip(shifts, image.shape, strict=False))
    return _resample(image, rows, columns)


def elastic(key: Key, image: Image, *, displacement: NonNegative, smoothness: PositiveFloat) -> Image:
    """Move every pixel by a smooth random field: bilinear, 0 outside.

    Down and right, the field is white noise behind a Gaussian filter. `smoothness` is the filter's standard
    deviation in pixels, `displacement` the field's.

    Source: Simard, Steinkraus & Platt 2003, "Best practices for convolutional neural networks applied to visual
    document analysis", whose noise is uniform.
    """
    height, width, _ = image.shape
    rows, columns = _gaussian(height, smoothness), _gaussian(width, smoothness)
    noise = jax.random.normal(key, (2, rows.shape[1], columns.shape[1]))
    down, right = displacement * jnp.einsum("ya,kab,xb->kyx", rows, noise, columns, precision="highest")
    # Otherwise what comes before, such as `affine`, is computed again for each of the four pixels that are read.
    image = once(image, axis=-2)
    moved = _sample(image, [jnp.arange(height)[:, None] - down, jnp.arange(width)[None, :] - right])
    return jnp.minimum(moved, 1)  # rounding makes white whiter


def _interpolation(start: Side, length: Side, size: int) -> Float[Array, "{size} {size}"]:
    """Return the matrix, output by input, that stretches `length` pixels from `start` on to `size`."""
    source = start + (jnp.arange(size) + 0.5) * length / size - 0.5
    source = jnp.clip(source, start, start + length - 1)
    return jnp.maximum(0, 1 - jnp.abs(source[:, None] - jnp.arange(size)[None, :]))


def _shift(by: Side, size: int) -> Float[Array, "{size} {size}"]:
    """Return the matrix, output by input, that reads each pixel `by` further on, mirrored at the edges."""
    last = size - 1
    source = last - jnp.abs(last - jnp.abs(jnp.arange(size) + by))
    return (source[:, None] == jnp.arange(size)[None, :]).astype(jnp.float32)


@functools.cache
def _gaussian(size: int, deviation: float) -> Float[np.ndarray, "{size} _"]:
    """Return the matrix that makes of white noise what a Gaussian filter does that leaves it its variance.

    The filter is a matrix G = USVᵀ, output by input. Vᵀ times white noise is white noise again, so US makes the
    same of it; and as the filter is smooth, a few columns of US are enough.
    """
    index = np.arange(size)
    weights = np.exp(-0.5 * np.square((index[:, None] - index) / deviation))
    left, scales, _ = np.linalg.svd(weights / np.linalg.norm(weights, axis=1, keepdims=True))
    return (left * scales)[:, scales > NEGLIGIBLE * scales[0]].astype(np.float32)


def _sample(image: Image, source: list[Float[Array, "_ _"]]) -> Image:
    """Read each pixel at its own coordinates, (down, right): bilinear, 0 outside."""
    sample = functools.partial(ndimage.map_coordinates, coordinates=source, order=1, mode="constant")
    return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)


def _resample(image: Image, rows: Float[Array, "y h"], columns: Float[Array, "x w"]) -> Image:
    # A gather is slow and TF32 rounds to 1e-3: two small matmuls in full precision.
    return jnp.einsum("yh,hwc,xw->yxc", rows, image, columns, precision="highest")

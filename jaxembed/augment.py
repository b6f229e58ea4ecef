"""Augmentation: one key and one float image in [0, 1] in, an image of the same shape in [0, 1] out.

`vmap` makes a batch of it. Under `vmap` a branch runs on both sides, so chance is `jnp.where`.
"""

import functools
import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy import ndimage
from jaxtyping import Array, Float, Int

from jaxembed import options
from jaxembed.types import Augment, Image, InputError, Key, Section

Scalar = Float[Array, ""] | float
Side = Int[Array, ""] | int


def compose(section: Section, *, what: str) -> Augment:
    """Build the augmentation that a config section describes.

    The operations run in the order of `OPERATIONS`, whatever the section's. Each has its own key by its
    place in that table, so adding one to a config leaves what the others draw as it was.

    Args:
      section: operation -> its knobs in the order of its signature: `dict(crop=(0.2, 1.0), flip=0.5)`.
        An operation that is not named does not run; an empty section is the identity.
      what: the section's name, as the user writes it: `config.objective.augmentation`.
    Raises:
      InputError: for an unknown operation, a wrong number of knobs or one out of its range; and when it is called,
        for an image that an operation cannot take.
    """
    for name in section:
        options.choose(name, OPERATIONS, what=f"an operation of {what}")
    steps = {
        name: functools.partial(operation, **_knobs(operation, section[name], what=f"{what}.{name}"))
        for name, operation in OPERATIONS.items()
        if name in section
    }

    def augment(key: Key, image: Image) -> Image:
        keys = dict(zip(OPERATIONS, jax.random.split(key, len(OPERATIONS)), strict=True))
        augmented = image
        for name, step in steps.items():
            try:
                augmented = step(keys[name], augmented)
            except InputError as error:
                raise InputError(f"{what}.{error}") from error
        return augmented.astype(image.dtype)

    return augment


def crop(key: Key, image: Image, *, min_area: float, max_area: float) -> Image:
    """Cut out a random box and resize it to the whole image.

    Its share of the area is uniform in [min_area, max_area], its log aspect ratio uniform between those of
    3/4 and 4/3, its place uniform. Of ten draws the first that fits is taken, else the centre.

    Source: Szegedy et al. 2015, arXiv:1409.4842, as torchvision's RandomResizedCrop.
    """
    height, width, _ = image.shape
    central = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    box = _box(
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


def affine(key: Key, image: Image, *, degrees: float, shift: float, min_scale: float, max_scale: float) -> Image:
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


def flip(key: Key, image: Image, *, p: float) -> Image:
    """Mirror left and right with probability p."""
    return jnp.where(jax.random.bernoulli(key, p), image[:, ::-1], image)


def jitter(
    key: Key, image: Image, *, p: float, brightness: float, contrast: float, saturation: float, hue: float
) -> Image:
    """Change brightness, contrast, saturation and hue, in this order, with probability p.

    The factors of the first three are uniform in [max(0, 1 - x), 1 + x], x being each one's knob; the hue
    turns by a share of the circle uniform in [-hue, hue]. On one channel the last two change nothing.

    Source: torchvision's ColorJitter in its RandomApply. There the order is random, here as above: under
    `vmap` an order per image runs all orders for every image, eight times slower on a CPU.
    """
    chance_key, brightness_key, contrast_key, saturation_key, hue_key = jax.random.split(key, 5)
    jittered = adjust_brightness(image, _factor(brightness_key, brightness))
    jittered = adjust_contrast(jittered, _factor(contrast_key, contrast))
    jittered = adjust_saturation(jittered, _factor(saturation_key, saturation))
    jittered = adjust_hue(jittered, jax.random.uniform(hue_key, minval=-hue, maxval=hue))
    return jnp.where(jax.random.bernoulli(chance_key, p), jittered, image)


def adjust_brightness(image: Image, factor: Scalar) -> Image:
    """Blend with black: 0 is black, 1 the image."""
    return _blend(image, jnp.zeros_like(image), factor)


def adjust_contrast(image: Image, factor: Scalar) -> Image:
    """Blend with the mean grey of the image: 0 is that grey, 1 the image."""
    # The grey of the mean colour is the mean of the grey, at a fifth of the time.
    return _blend(image, luminance(jnp.mean(image, axis=(0, 1), keepdims=True)), factor)


def adjust_saturation(image: Image, factor: Scalar) -> Image:
    """Blend with the grey image: 0 is grey, 1 the image."""
    return _blend(image, luminance(image), factor)


def adjust_hue(image: Image, shift: Scalar) -> Image:
    """Turn the hue by a share of the circle, at equal value and saturation; 1 and -1 are the image again."""
    if image.shape[-1] == 1:
        return image
    red, green, blue = jnp.moveaxis(image, -1, 0)
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    divisor = jnp.where(chroma > 0, chroma, 1)
    from_green = jnp.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sixths = jnp.where(value == red, (green - blue) / divisor, from_green) + 6 * shift
    # In hsv -> rgb each channel is one trapezoid of the hue, 5, 3 and 1 sixths of the circle ahead.
    ahead = [sixths + 5, sixths + 3, sixths + 1]
    # Not `%`, which makes the whole function five times slower on a CPU.
    turned = [place - 6 * jnp.floor(place / 6) for place in ahead]
    return jnp.stack([value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1) for k in turned], axis=-1)


def luminance(image: Image) -> Float[Array, "h w 1"]:
    """Return the grey of an image as one channel: ITU-R 601, rounded as in torchvision.

    Raises:
      ValueError: if the image has neither 1 nor 3 channels.
    """
    if image.shape[-1] not in (1, 3):
        raise ValueError(f"colour operations need an image of 1 or 3 channels, got {image.shape[-1]}")
    if image.shape[-1] == 1:
        return image
    return 0.2989 * image[..., 0:1] + 0.587 * image[..., 1:2] + 0.114 * image[..., 2:3]


def greyscale(key: Key, image: Image, *, p: float) -> Image:
    """Take the colour away with probability p, keeping the number of channels."""
    grey = jnp.broadcast_to(luminance(image), image.shape)
    return jnp.where(jax.random.bernoulli(key, p), grey, image)


def erase(key: Key, image: Image, *, p: float, min_area: float, max_area: float) -> Image:
    """Black out one random box with probability p.

    Its share of the area is uniform in [min_area, max_area], its log aspect ratio uniform between those of
    0.3 and 3.3, its place uniform. Of ten draws the first smaller than the image is taken, else none.

    Source: Zhong et al. 2017, arXiv:1708.04896, as torchvision's RandomErasing with value 0.
    """
    rows, columns, _ = image.shape
    chance_key, box_key = jax.random.split(key)
    # torchvision's ratio is height to width here, width to height in a crop.
    top, left, height, width = _box(
        box_key,
        image,
        area=(min_area, max_area),
        ratio=(1 / 3.3, 1 / 0.3),
        least=0,
        most=(rows - 1, columns - 1),
        otherwise=(0, 0),
    )
    y, x = jnp.arange(rows)[:, None, None], jnp.arange(columns)[None, :, None]
    inside = (top <= y) & (y < top + height) & (left <= x) & (x < left + width)
    return jnp.where(inside & jax.random.bernoulli(chance_key, p), 0, image)


def noise(key: Key, image: Image, *, deviation: float) -> Image:
    """Add Gaussian noise of this standard deviation to every pixel and channel; clip to [0, 1]."""
    return jnp.clip(image + deviation * jax.random.normal(key, image.shape), 0, 1)


def mask(key: Key, image: Image, *, fraction: float, patch: int) -> Image:
    """Black out each square of a grid with probability `fraction`.

    The squares' side is `patch` pixels; those at the bottom and on the right may be cut off.
    """
    height, width, _ = image.shape
    grid = jax.random.bernoulli(key, fraction, (math.ceil(height / patch), math.ceil(width / patch), 1))
    masked = jnp.repeat(jnp.repeat(grid, patch, axis=0), patch, axis=1)[:height, :width]
    return jnp.where(masked, 0, image)


def translate(key: Key, image: Image, *, pixels: int) -> Image:
    """Shift by whole pixels down and right, each uniform in -pixels..pixels; what lies beyond an edge is mirrored.

    Source: the padding and random crop of Jordan 2024, arXiv:2404.00498, section 3.

    Raises:
      InputError: if the image is not larger than the shift.
    """
    if pixels >= min(image.shape[:2]):
        raise InputError(f"translate: pixels must be less than the image's {min(image.shape[:2])}; got {pixels}")
    shifts = jax.random.randint(key, (2,), -pixels, pixels + 1)
    rows, columns = (_shift(by, size) for by, size in zip(shifts, image.shape, strict=False))
    return _resample(image, rows, columns)


def elastic(key: Key, image: Image, *, displacement: float, smoothness: float) -> Image:
    """Move every pixel by a smooth random field: bilinear, 0 outside.

    Down and right, the field is white noise behind a Gaussian filter. `smoothness` is the filter's standard
    deviation in pixels, `displacement` the field's.

    Source: Simard, Steinkraus & Platt 2003, "Best practices for convolutional neural networks applied to visual
    document analysis", whose noise is uniform.
    """
    height, width, _ = image.shape
    unsmoothed = jax.random.normal(key, (2, height, width))
    rows, columns = _gaussian(height, smoothness), _gaussian(width, smoothness)
    down, right = displacement * jnp.einsum("yh,khw,xw->kyx", rows, unsmoothed, columns, precision="highest")
    # Else what comes before, such as `affine`, is done anew for each of the four pixels that one is taken from.
    image = once(image)
    moved = _sample(image, [jnp.arange(height)[:, None] - down, jnp.arange(width)[None, :] - right])
    return jnp.minimum(moved, 1)  # rounding makes white whiter


def once(images: Float[Array, "*n h w c"]) -> Float[Array, "*n h w c"]:
    """Return the same images, one or many, made once however many look at them: for what is costly to make anew.

    XLA's CPU compiler fuses a gather into each of those that read it, and drops `lax.optimization_barrier` before
    it does; a matmul, here by the identity, ends that, and adds up the corners of a moved pixel at once.
    """
    return jnp.einsum("...wc,wx->...xc", images, jnp.eye(images.shape[-2]), precision="highest")


# In the order in which they run. A new one comes last: the others then draw what they drew before.
OPERATIONS: dict[str, Callable[..., Image]] = {
    operation.__name__: operation
    for operation in (crop, affine, flip, jitter, greyscale, erase, noise, mask, translate, elastic)
}

_SHARE = (lambda value: 0 <= value <= 1, "in [0, 1]")
_AREA = (lambda value: 0 < value <= 1, "in (0, 1]")
_SCALE = (lambda value: 0 < value < math.inf, "above 0 and finite")
_AMOUNT = (lambda value: 0 <= value < math.inf, "at least 0 and finite")
_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "p": _SHARE, "fraction": _SHARE, "shift": _SHARE,
    "min_area": _AREA, "max_area": _AREA,
    "min_scale": _SCALE, "max_scale": _SCALE,
    "brightness": _AMOUNT, "contrast": _AMOUNT, "saturation": _AMOUNT, "deviation": _AMOUNT,
    "displacement": _AMOUNT, "smoothness": _SCALE,
    "degrees": (lambda value: 0 <= value <= 180, "in [0, 180]"),
    "hue": (lambda value: 0 <= value <= 0.5, "in [0, 0.5]"),
    "pixels": (lambda value: value >= 0 and value % 1 == 0, "a whole number, at least 0"),
    "patch": (lambda value: value >= 1 and value % 1 == 0, "a whole number of pixels, at least 1"),
}  # fmt: skip


def _knobs(operation: Callable[..., Image], values: Any, *, what: str) -> dict[str, int | float]:
    """Name an operation's numbers by its signature, after checking them."""
    given = values if isinstance(values, tuple | list) else (values,)
    knobs = {p.name: p for p in inspect.signature(operation).parameters.values() if p.kind is p.KEYWORD_ONLY}
    if len(given) != len(knobs):
        raise InputError(f"{what} must be ({', '.join(knobs)}); got {values!r}")
    named = dict(zip(knobs, given, strict=True))
    for name, value in named.items():
        holds, wanted = _RANGES[name]
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not holds(value):
            raise InputError(f"{what}: {name} must be {wanted}; got {value!r}")
    for low, high in (("min_area", "max_area"), ("min_scale", "max_scale")):
        if low in named and named[low] > named[high]:
            raise InputError(f"{what}: {low} must be at most {high}; got {named[low]} and {named[high]}")
    # A config may say 1 for 1.0.
    return {name: knobs[name].annotation(value) for name, value in named.items()}


def _box(
    key: Key,
    image: Image,
    *,
    area: tuple[float, float],
    ratio: tuple[float, float],
    least: int,
    most: tuple[int, int],
    otherwise: tuple[int, int],
) -> tuple[Side, Side, Side, Side]:
    """Draw a box's (top, left, height, width): the first of ten that fits, else a central one.

    Args:
      key: for the sizes and the place.
      image: what the box lies in.
      area: bounds of its share of the image's area.
      ratio: bounds of its width / height.
      least: the least height or width that fits.
      most: the greatest height and width that fit.
      otherwise: the central one's height and width.
    """
    rows, columns, _ = image.shape
    area_key, ratio_key, place_key = jax.random.split(key, 3)
    pixels = rows * columns * jax.random.uniform(area_key, (10,), minval=area[0], maxval=area[1])
    log_ratio = jax.random.uniform(ratio_key, (10,), minval=math.log(ratio[0]), maxval=math.log(ratio[1]))
    heights = jnp.round(jnp.sqrt(pixels / jnp.exp(log_ratio))).astype(int)
    widths = jnp.round(jnp.sqrt(pixels * jnp.exp(log_ratio))).astype(int)
    fits = (least <= heights) & (heights <= most[0]) & (least <= widths) & (widths <= most[1])
    found, first = jnp.any(fits), jnp.argmax(fits)
    height = jnp.where(found, heights[first], otherwise[0])
    width = jnp.where(found, widths[first], otherwise[1])
    # Below 1, so that rounding down gives each place there is.
    down, right = jax.random.uniform(place_key, (2,))
    spare_rows, spare_columns = rows - height, columns - width
    top = jnp.where(found, jnp.floor(down * (spare_rows + 1)).astype(int), spare_rows // 2)
    left = jnp.where(found, jnp.floor(right * (spare_columns + 1)).astype(int), spare_columns // 2)
    return top, left, height, width


def _interpolation(start: Side, length: Side, size: int) -> Float[Array, "{size} {size}"]:
    """Return the matrix, output by input, that stretches `length` pixels from `start` on to `size`."""
    source = start + (jnp.arange(size) + 0.5) * length / size - 0.5
    source = jnp.clip(source, start, start + length - 1)
    return jnp.maximum(0, 1 - jnp.abs(source[:, None] - jnp.arange(size)[None, :]))


def _shift(by: Side, size: int) -> Float[Array, "{size} {size}"]:
    """Return the matrix, output by input, that takes each pixel from `by` further on, mirrored at the edges."""
    last = size - 1
    source = last - jnp.abs(last - jnp.abs(jnp.arange(size) + by))
    return (source[:, None] == jnp.arange(size)[None, :]).astype(jnp.float32)


def _gaussian(size: int, deviation: float) -> Float[Array, "{size} {size}"]:
    """Return the matrix, output by input, of a Gaussian filter that leaves white noise its variance."""
    places = jnp.arange(size)
    weights = jnp.exp(-0.5 * jnp.square((places[:, None] - places[None, :]) / deviation))
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)


def _sample(image: Image, source: list[Float[Array, "_ _"]]) -> Image:
    """Take each pixel from a place of its own, (down, right): bilinear, 0 outside."""
    sample = functools.partial(ndimage.map_coordinates, coordinates=source, order=1, mode="constant")
    return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)


def _resample(image: Image, rows: Float[Array, "y h"], columns: Float[Array, "x w"]) -> Image:
    # A gather is slow and TF32 rounds to 1e-3: two small matmuls in full precision.
    return jnp.einsum("yh,hwc,xw->yxc", rows, image, columns, precision="highest")


def _factor(key: Key, strength: float) -> Float[Array, ""]:
    """Draw a factor around 1, never below 0."""
    return jax.random.uniform(key, minval=max(0, 1 - strength), maxval=1 + strength)


def _blend(image: Image, other: Float[Array, "_ _ _"], factor: Scalar) -> Image:
    """Go from another image (0) through this one (1) and beyond; exact where they are equal."""
    return jnp.clip(image + (factor - 1) * (image - other), 0, 1)

"""Changes of colour: what an image's pixels are, at the same positions."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxembed.core import bounds
from jaxembed.core.bounds import NonNegative, Share
from jaxembed.core.keys import Key
from jaxembed.types import Image, Scalar

# A share of the circle of hues, either way.
Turn = Annotated[float, bounds.within(0, 0.5)]


def jitter(
    key: Key,
    image: Image,
    *,
    p: Share,
    brightness: NonNegative,
    contrast: NonNegative,
    saturation: NonNegative,
    hue: Turn,
) -> Image:
    """Change brightness, contrast, saturation and hue, in this order, with probability p.

    The factors of the first three are uniform in [max(0, 1 - x), 1 + x], where x is its knob; the hue
    turns by a share of the circle uniform in [-hue, hue]. On one channel the last two change nothing.

    Source: torchvision's ColorJitter in its RandomApply. Their order is random there and fixed here: under
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
    turned = [hue - 6 * jnp.floor(hue / 6) for hue in ahead]
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


def greyscale(key: Key, image: Image, *, p: Share) -> Image:
    """Take the colour away with probability p, keeping the number of channels."""
    grey = jnp.broadcast_to(luminance(image), image.shape)
    return jnp.where(jax.random.bernoulli(key, p), grey, image)


def noise(key: Key, image: Image, *, deviation: NonNegative) -> Image:
    """Add Gaussian noise of this standard deviation to every pixel and channel; clip to [0, 1]."""
    return jnp.clip(image + deviation * jax.random.normal(key, image.shape), 0, 1)


def solarise(key: Key, image: Image, *, p: Share, threshold: Share) -> Image:
    """Invert every number of an image from a threshold on, with probability p.

    Source: torchvision's RandomSolarize; the second view of BYOL has p 0.2 and a threshold of 0.5.
    """
    solarised = jnp.where(image >= threshold, 1 - image, image)
    return jnp.where(jax.random.bernoulli(key, p), solarised, image)


def _factor(key: Key, strength: float) -> Float[Array, ""]:
    """Draw a factor around 1, never below 0."""
    return jax.random.uniform(key, minval=max(0, 1 - strength), maxval=1 + strength)


def _blend(image: Image, other: Float[Array, "_ _ _"], factor: Scalar) -> Image:
    """Go from another image (0) through this one (1) and beyond; exact where they are equal."""
    return jnp.clip(image + (factor - 1) * (image - other), 0, 1)

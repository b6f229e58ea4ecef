"""Weights and images drawn from their names, the same for the publishers' classes and for ours; none is stored."""

import hashlib

import numpy as np
from PIL import Image


def generator(name: str) -> np.random.Generator:
    """Return the generator of a name."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw an array: kernels that keep the size of numbers, scales and variances near 1, all else near 0."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    normal = np.asarray(generator(name).standard_normal(shape, np.float32))
    if name.endswith("running_var"):
        return np.exp(0.3 * normal)
    if len(shape) >= 2 and name.endswith(("weight", "proj", "projection")) and "position" not in name:
        fan_in = np.prod(shape[1:]) if name.endswith("weight") else shape[0]
        return normal * np.float32((1.5 / fan_in) ** 0.5)
    if len(shape) == 1 and name.endswith(("weight", "gamma", "lambda1")):
        return 1 + np.float32(0.2) * normal
    return np.asarray(np.float32(0.2) * normal)


def images(side: int) -> np.ndarray:
    """Draw two uint8 images [2, side, side, 3]: squares of colours, and noise."""
    coarse = generator(f"images {side}").integers(0, 256, (2, 8, 8, 3))
    large = np.kron(coarse, np.ones((1, side // 8 + 1, side // 8 + 1, 1)))[:, :side, :side]
    noise = generator(f"noise {side}").integers(-20, 21, large.shape)
    return np.clip(large + noise, 0, 255).astype(np.uint8)


def odd_pictures() -> dict[str, Image.Image]:
    """Draw pictures of kinds that a folder of photographs has."""
    smooth = np.array(Image.fromarray(images(96)[0]).resize((640, 400), Image.Resampling.BICUBIC))
    colours = Image.fromarray(smooth)
    opacity = Image.fromarray(np.tile(np.linspace(0, 255, 640).astype(np.uint8), (400, 1)))
    transparent = colours.copy()
    transparent.putalpha(opacity)
    return {
        "portrait": colours.rotate(90, expand=True),
        "grey": colours.convert("L"),
        "cmyk": colours.convert("CMYK"),
        "transparent": transparent,
        "tiny": colours.resize((13, 9)),
    }

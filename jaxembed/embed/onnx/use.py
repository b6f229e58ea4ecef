"""How somebody else's ONNX model is used: what the user says, else its preprocessor_config.json, else its shape."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxembed.artifacts import preprocessor
from jaxembed.artifacts.preprocessor import Preprocessor
from jaxembed.core.errors import InputError
from jaxembed.embed.onnx import Asked
from jaxembed.embed.onnx.model import Images
from jaxembed.pictures import Preparation, Shape

# The folder of a model's ONNX files on the hub, in the folder that has its preprocessor_config.json.
HUB = "onnx"


class Use(NamedTuple):
    """How pictures become what a model takes: (pixel / 255 - mean) / deviation.

    Attributes:
      preparation: how they become pixels.
      mean: a number for each channel.
      deviation: a number for each channel; none of either if the model takes uint8 pixels as they are.
    """

    preparation: Preparation
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def __str__(self) -> str:
        """Describe it on one line."""
        (height, width, channels), side, interpolation, stretched = self.preparation
        shape, colours = f"{height} × {width}", "RGB" if channels == 3 else "grey"
        resized = f"a shorter side of {side}, of which {shape} is cut out" if side else f"cover {shape}"
        resized = shape if stretched else resized
        mean, deviation = (",".join(f"{value:.6g}" for value in values) for values in (self.mean, self.deviation))
        numbers = f"mean {mean}, std {deviation}" if deviation else "uint8"
        return f"pictures resized to {resized} ({interpolation}), {colours}, {numbers}"


def of(file: Path, images: Images, asked: Asked) -> Use:
    """Say how a model is used.

    Raises:
      InputError: if that is not known, or does not fit what the model takes.
    """
    near = _beside(file)
    told = _told(file, images, asked, near)
    known = {"size": told.crop, "mean": told.mean, "std": told.deviation}
    if missing := [f"--{name}" for name, value in known.items() if value is None]:
        raise InputError(
            f"{file} does not say how pictures become its input: use {', '.join(missing)}, or put its "
            f"{preprocessor.FILE} next to it"
        )
    height, width = told.crop
    if any(side not in (None, cut) for side, cut in zip(images.sides, told.crop, strict=False)):
        takes = " × ".join(str(side or "any") for side in images.sides[:2])
        raise InputError(f"{file} takes images of {takes} pixels; {near} cuts out {height} × {width}")
    if 0 < told.side < max(told.crop):
        raise InputError(f"--size must be at least {max(told.crop)}, a side of the images that {file} takes")
    channels = images.sides[2] or 3
    for name, values in (("--mean", told.mean), ("--std", told.deviation)):
        if len(values) not in (0, 1, channels):
            raise InputError(f"{name} must be one number or {channels}, one for each channel, got {len(values)}")
    # As many of each and as floats, so that what is the same has the same SHA-256.
    mean, deviation = (_floats(values, channels) for values in (told.mean, told.deviation))
    shape, interpolation = Shape(height, width, channels), told.interpolation or "bicubic"
    preparation = Preparation(shape, told.side, interpolation, told.stretched)
    return Use(preparation, mean, deviation)


def _beside(file: Path) -> Path | None:
    """Find a model's preprocessor_config.json: in its folder, or in the one above if that is the hub's `onnx`."""
    folders = [file.parent, file.parent.parent] if file.absolute().parent.name == HUB else [file.parent]
    near = [folder / preprocessor.FILE for folder in folders]
    return next((each for each in near if each.exists()), None)


def _floats(values: Sequence[Any], channels: int) -> tuple[float, ...]:
    return tuple(map(float, values)) * (channels if len(values) == 1 else 1)


def _told(file: Path, images: Images, asked: Asked, near: Path | None) -> Preprocessor:
    """Take what is asked for, else what a preprocessor_config.json says, else what the input's shape says."""
    told = preprocessor.read(near) if near else Preprocessor()
    height, width, _ = images.sides
    if asked.size is not None:
        told = told._replace(side=asked.size, crop=(height or asked.size, width or asked.size), stretched=False)
    elif near is None and height and width:
        told = told._replace(crop=(height, width))
    if images.dtype == np.uint8:
        if asked.mean or asked.std:
            raise InputError(f"{file} takes uint8 pixels as they are: leave out --mean and --std")
        return told._replace(interpolation=asked.interpolation or told.interpolation, mean=(), deviation=())
    return told._replace(
        interpolation=asked.interpolation or told.interpolation,
        mean=asked.mean or told.mean,
        deviation=asked.std or told.deviation,
    )

"""preprocessor_config.json: how a published model's pictures become numbers, as the Hugging Face hub writes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxembed.artifacts import schema
from jaxembed.artifacts.schema import Kind
from jaxembed.core import files
from jaxembed.core.errors import InputError

FILE = "preprocessor_config.json"
# Pillow's numbers.
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
# Pixels of a side.
LARGEST = 4096
# What is done here; anything else that is true would change the pixels in another way.
_DONE = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
_OTHER = ("include_top", "keep_aspect_ratio", "rescale_offset")
# Kinds of processors that resize by rules of their own, and those for which a size of one number is a square.
_OWN, _SQUARE = ("Levit", "Perceiver"), ("Beit", "DeiT")
# Above this side, ConvNeXt's processor cuts nothing off.
_UNCUT = 384


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST


def _are_values(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (1, 3) and all(map(schema.is_number, value))


_KINDS = {
    **{name: schema.FLAG for name in _DONE},
    "crop_pct": Kind("a number above 0, at most 1", lambda value: schema.is_number(value) and 0 < value <= 1),
    "image_mean": Kind("a list of 1 or 3 numbers", _are_values),
    "image_processor_type": schema.TEXT,
    "image_std": Kind("a list of 1 or 3 numbers above 0", lambda value: _are_values(value) and min(value) > 0),
    "resample": Kind(" or ".join(f"{key} ({name})" for key, name in INTERPOLATIONS.items()), INTERPOLATIONS.get),
    "rescale_factor": schema.POSITIVE,
}


class Preprocessor(NamedTuple):
    """How pictures become what a model takes; None for what is not known.

    The number for a pixel's value v, in [0, 255], is (v / 255 - mean) / deviation.

    Attributes:
      side: the pixels of the shorter side that a picture is resized to; 0 for the fewest that cover `crop`.
      crop: the height and the width that are cut from the middle.
      stretched: whether both sides are resized to `crop` instead, which may change a picture's proportions.
      interpolation: "bilinear" or "bicubic".
      mean: one number, or one for each channel.
      deviation: one number, or one for each channel; all above 0.
    """

    side: int = 0
    crop: tuple[int, int] | None = None
    stretched: bool = False
    interpolation: str | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None


def read(file: Path) -> Preprocessor:
    """Read how a model's pictures are prepared.

    Raises:
      InputError: if the file is damaged, is not for images, or asks for something that is not done here.
    """
    config = {key: value for key, value in files.read_json(file).items() if value is not None}
    schema.check(file, config, _KINDS, optional=tuple(_KINDS))
    strange = [key for key in config if key in _OTHER or (key.startswith("do_") and key not in _DONE)]
    strange = [key for key in strange if config[key]]
    kind = config.get("image_processor_type", "")
    if strange or kind.startswith(_OWN):
        raise InputError(f"{file} asks for {', '.join(strange) or kind}, which is not done here")
    if not config.get("do_resize", True):
        raise InputError(f"{file} does not resize pictures to one shape: its do_resize is false")
    sizes = _sizes(file, config)
    interpolation = INTERPOLATIONS.get(config.get("resample", 0))
    # What it divides is v times the factor.
    scale = 255 * config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 255.0
    mean, deviation = config.get("image_mean"), config.get("image_std")
    if not config.get("do_normalize", True):
        mean, deviation = [0.0], [1.0]
    return Preprocessor(*sizes, interpolation, _divided(mean, scale), _divided(deviation, scale))


def _sizes(file: Path, config: Mapping[str, Any]) -> tuple[int, tuple[int, int], bool]:
    """Return `side`, `crop` and `stretched`."""
    size, crop = config.get("size"), config.get("crop_size") if config.get("do_center_crop") else None
    is_square = config.get("image_processor_type", "").startswith(_SQUARE)
    if _is_side(size):
        size = {"shortest_edge": size} if "crop_pct" in config or (crop and not is_square) else _square(size)
    cut = _square(crop) if _is_side(crop) else crop
    if not isinstance(size, dict) or not all(map(_is_side, size.values())) or not _is_cut(cut):
        raise InputError(f"{file}: size and crop_size must be sides from 1 to {LARGEST}, got {size} and {crop}")
    if set(size) == {"height", "width"} and cut in (None, size):
        return 0, (size["height"], size["width"]), True
    if set(size) == {"shortest_edge"}:
        side = size["shortest_edge"]
        if cut and max(cut.values()) <= side:
            return side, (cut["height"], cut["width"]), False
        if cut is None and "crop_pct" in config:
            uncut = 0, (side, side), True
            return uncut if side >= _UNCUT else (int(side / config["crop_pct"]), (side, side), False)
    raise InputError(f"{file} does not resize pictures to one shape that is known here: size {size}, crop {crop}")


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _is_cut(cut: Any) -> bool:
    if cut is None:
        return True
    return isinstance(cut, dict) and set(cut) == {"height", "width"} and all(map(_is_side, cut.values()))


def _divided(values: Sequence[Any] | None, scale: float) -> tuple[float, ...] | None:
    return None if values is None else tuple(value / scale for value in values)

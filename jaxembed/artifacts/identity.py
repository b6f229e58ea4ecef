"""What a run is: the options that determine its parameters.

Two configs with the same identity train the same parameters. The rest of a config (how often to log, save or
validate, how to evaluate) may change when a run is resumed or evaluated again.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

# All of a section, or some of its options; of train, the others say only how often something happens.
SECTIONS = ("seed", "data", "encoder", "objective", "optimizer")
TRAIN = ("epochs", "batch_size", "dtype", "chunk", "statistics", "early_side", "early_share", "frozen")

# Options that came later, and the value that reproduces runs from before they existed: (section, its name) ->
# options.
NEUTRAL: dict[tuple[str, str | None], dict[str, Any]] = {
    ("data", "folder"): {"classes": "auto"},
    ("encoder", "cnn"): {"depth": 2, "stem": "strided"},
    ("encoder", "resnet"): {"stem": "small", "mean": (), "deviation": ()},
    ("objective", "classify"): {"smoothing": 0.0, "mirrored": False, "shifted": 0},
    ("objective", "ntxent"): {"tile": 0},
    ("objective", "triplet"): {"mining": "hardest"},
    ("train", None): {"chunk": 0, "statistics": "batch", "early_side": 0, "early_share": 0.0, "frozen": False},
    ("evaluate", None): {"views": 0, "augmentation": {}},
    ("evaluate.linear", None): {"weight_decays": ()},
    ("evaluate.mlp", None): {"dropout": 0.0},
}
# What an encoder starts from where its section does not say: random weights.
RANDOM = {"config.encoder.start": "", "config.encoder.start_sha256": ""}
# Options that no longer exist; each had one value in all configs.
GONE = {
    "train": ("steps_per_call", "keep", "tensorboard"),
    "evaluate.linear": ("hidden", "dropout"),
}
# An augmentation's knobs used to be positional, and a single one was a bare value.
AUGMENTATIONS = ("objective.augmentation", "objective.corruption", "evaluate.augmentation")
KNOBS = {
    "crop": ("min_area", "max_area"),
    "affine": ("degrees", "shift", "min_scale", "max_scale"),
    "flip": ("p",),
    "jitter": ("p", "brightness", "contrast", "saturation", "hue"),
    "greyscale": ("p",),
    "erase": ("p", "min_area", "max_area"),
    "noise": ("deviation",),
    "mask": ("fraction", "patch"),
    "translate": ("pixels",),
    "elastic": ("displacement", "smoothness"),
}


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that determine a run's parameters: `config.section.key` -> value.

    Args:
      config: the config as in a config.json, of this version or an earlier one.
    """
    config = current(config)
    kept = {name: config[name] for name in SECTIONS if name in config}
    train = {name: value for name, value in (_section(config, "train") or {}).items() if name in TRAIN}
    flat = RANDOM | located(flatten(kept | {"train": train}))
    # Weights are what they are, wherever they come from.
    return flat | ({"config.encoder.start": ""} if flat["config.encoder.start_sha256"] else {})


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config of an earlier version as this version writes it: with the options that came later."""
    config = with_tuples(config)
    for (path, name), options in NEUTRAL.items():
        section = _section(config, path)
        if section is not None and name in (None, section.get("name")):
            section.update({key: value for key, value in options.items() if key not in section})
    for path, options in GONE.items():
        section = _section(config, path) or {}
        for key in options:
            section.pop(key, None)
    for path in AUGMENTATIONS:
        section = _section(config, path) or {}
        section.update({operation: _named(operation, knobs) for operation, knobs in section.items()})
    return config


def located(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Write the paths of data in a flattened config as absolute ones, so that `./p` and `p/` are the same."""
    paths = {key: value for key, value in flat.items() if key.startswith("config.data.") and key.endswith(".path")}
    for key, value in paths.items():
        with contextlib.suppress(TypeError, ValueError):  # no path, but whatever a damaged file holds
            paths[key] = os.path.realpath(os.path.expanduser(value))
    return {**flat, **paths}


def flatten(tree: Mapping[str, Any], prefix: str = "config") -> dict[str, Any]:
    """Flatten nested sections to `config.section.key` -> value; an empty section is a value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}"
        flat |= flatten(value, name) if isinstance(value, Mapping) and value else {name: value}
    return flat


def with_tuples(section: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the lists of a section that was read from a JSON file back into the tuples that a config has."""
    nested = {key: with_tuples(value) if isinstance(value, Mapping) else value for key, value in section.items()}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in nested.items()}


def _section(config: dict[str, Any], path: str) -> dict[str, Any] | None:
    """Find a section by its dotted path; None where there is none."""
    section: Any = config
    for key in path.split("."):
        section = section.get(key) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else None


def _named(operation: str, knobs: Any) -> Any:
    if isinstance(knobs, Mapping) or operation not in KNOBS:
        return knobs
    values = knobs if isinstance(knobs, Sequence) else (knobs,)
    return dict(zip(KNOBS[operation], values, strict=False))

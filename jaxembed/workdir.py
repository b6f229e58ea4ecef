"""The folder of a run, which belongs to one config."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxembed.types import InputError


def open_for(config: ConfigDict, folder: Path) -> Path:
    """Make the folder, or check that it is of this config.

    Raises:
      InputError: if it cannot be written, or holds a run of another config; the keys that differ are named.
    """
    ours = json.loads(config.to_json())
    file = folder / "config.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            partial = file.with_suffix(f".partial{jax.process_index()}")
            partial.write_text(json.dumps(ours, indent=2) + "\n")
            partial.replace(file)
        theirs = json.loads(file.read_text())
    except OSError as error:
        raise InputError(f"--workdir {folder} cannot be written: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{file} is damaged ({error}); take another --workdir or remove it") from error
    ours, theirs = flatten(ours), flatten(theirs)
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if keys:
        differences = ", ".join(f"{key} is {theirs.get(key)!r} there, {ours.get(key)!r} here" for key in keys)
        raise InputError(f"--workdir {folder} holds a run of another config: {differences}; take another --workdir")
    return folder


def flatten(tree: Mapping[str, Any], prefix: str = "config") -> dict[str, Any]:
    """Flatten nested sections to `config.section.key` -> value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}"
        flat |= flatten(value, name) if isinstance(value, Mapping) and value else {name: value}
    return flat

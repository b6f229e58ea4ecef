"""Origin: another encoder's weights, which an encoder starts from instead of random ones."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxembed import encoders
from jaxembed.artifacts import encoder_file, identity
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core import bounds
from jaxembed.core.bounds import Section
from jaxembed.core.errors import InputError
from jaxembed.embed import frozen
from jaxembed.encoders import Origin
from jaxembed.run.memory import Shapes
from jaxembed.types import Weights


def read(start: str) -> SavedEncoder:
    """Read what config.encoder.start names, in float32; the SHA-256 is that of these numbers.

    Raises:
      InputError: if nothing has this name, its file is damaged, or its numbers are not finite.
    """
    try:
        saved = frozen.saved(start)
    except InputError as error:
        raise InputError(f"config.encoder.start: {error}") from error
    params, stats = jax.tree.map(lambda array: np.asarray(array, np.float32), (saved.params, saved.stats))
    if not all(np.isfinite(array).all() for array in jax.tree.leaves((params, stats))):
        raise InputError(f"config.encoder.start={start} has weights that are not finite")
    return saved._replace(params=params, stats=stats, sha256=encoder_file.fingerprint(params, stats))


def check_same(origin: Origin, sha256: str) -> None:
    """Raise an InputError if weights are to have another SHA-256 than the one that they have."""
    if (wanted := origin.start_sha256) and wanted != sha256:
        raise InputError(
            f"config.encoder.start={origin.start} must have the weights of SHA-256 {wanted}, "
            f"config.encoder.start_sha256; got {sha256}"
        )


def weights(origin: Origin) -> Weights:
    """Read the weights of an origin that has some; InputError as `read` and `check_same`."""
    saved = read(origin.start)
    check_same(origin, saved.sha256)
    return Weights(saved.params, saved.stats)


def fitting(origin: Origin, section: Section, shapes: Shapes) -> Origin:
    """Return an origin that has weights with their SHA-256, after checking that they fit the encoder.

    Args:
      origin: what the encoder starts from.
      section: config.encoder.
      shapes: of the network whose encoder it describes.

    Raises:
      InputError: as `weights`, or if an option or an array of it is not that of the encoder.
    """
    saved = read(origin.start)
    check_same(origin, saved.sha256)
    what = f"config.encoder.start={origin.start} does not fit:"
    there = encoders.architecture(identity.with_tuples(identity.current(saved.config)["encoder"]))
    _check_equal(there, encoders.architecture(section), what=f"{what} config.encoder.")
    made = {"params": shapes.params.get("encoder", {}), "stats": shapes.stats.get("encoder", {})}
    _check_equal(_sizes(made), _sizes({"params": saved.params, "stats": saved.stats}), what=f"{what} its array ")
    return dataclasses.replace(origin, start_sha256=saved.sha256)


def _sizes(tree: Mapping[str, Any]) -> dict[str, list[int]]:
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): list(leaf.shape) for path, leaf in leaves}


def _check_equal(wanted: Mapping[str, Any], got: Mapping[str, Any], *, what: str) -> None:
    """Raise an InputError that names the first difference, unless there is none."""
    differing = [name for name in {**wanted, **got} if wanted.get(name) != got.get(name)]
    if differing:
        first, more = differing[0], len(differing) - 1
        needed, there = (bounds.shown(each[first]) if first in each else "absent" for each in (wanted, got))
        rest = f"; {more} more differ" if more else ""
        raise InputError(f"{what}{first} must be {needed}, got {there}{rest}")

"""Arrays of an .npz: whether they have the names, kinds and shapes that a reader relies on."""

from collections.abc import Sequence

import numpy as np

Arrays = dict[str, np.ndarray]


def require(arrays: Arrays, **kinds: tuple[str, Sequence[int | None]]) -> None:
    """Raise a ValueError unless there are arrays of these names, kinds and shapes.

    Args:
      arrays: the arrays by name; there may be others.
      **kinds: each name's dtype (or "str" for text of any length) and shape, None for a side of any length.
    """
    for name, (kind, shape) in kinds.items():
        if name not in arrays:
            raise ValueError(f"it lacks {name}")
        array = arrays[name]
        got = "str" if array.dtype.kind == "U" else str(array.dtype)
        sides = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
        if got != kind or not sides:
            raise ValueError(f"{name} must be {kind} of shape {tuple(shape)}, got {got} of shape {array.shape}")

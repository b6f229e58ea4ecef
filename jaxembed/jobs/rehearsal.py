"""Rehearsal: what only the end of a run needs is tried while its first steps are compiled.

A library that cannot be imported, a temporary folder that is full or a font cache that is damaged would otherwise
end a run after hours of training. The time is not lost: what is imported here need not be imported at the end.
"""

import tempfile
from pathlib import Path

import numpy as np

from jaxembed.core.errors import InputError


def figures() -> None:
    """Project a few points by t-SNE, and draw a figure.

    Raises:
      InputError: if that fails.
    """
    try:
        from sklearn.metrics import confusion_matrix  # noqa: F401 (imported at the end)

        from jaxembed.figures import plots, style
        from jaxembed.metrics import tsne

        picture, _ = tsne.project(np.eye(5, dtype=np.float32))
        with style.style():
            figure, [[axes]] = style.figure(2, 2)
            plots.scatter(axes, picture, np.arange(5) % 2, ("one", "two"))
            with tempfile.TemporaryDirectory() as folder:
                style.save(figure, Path(folder, "figure.png"))
    except Exception as error:  # a library that cannot be used raises nearly anything
        raise InputError(f"the figures of a run cannot be drawn here: {type(error).__name__}: {error}") from error


def reports() -> None:
    """Import what writes reports.

    Raises:
      InputError: if that fails.
    """
    try:
        from scipy import stats  # noqa: F401

        from jaxembed.report import markdown, page, paper  # noqa: F401
    except Exception as error:
        raise InputError(f"reports cannot be written here: {type(error).__name__}: {error}") from error

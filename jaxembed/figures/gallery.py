"""The files of a run's figures: drawn where they are missing, and listed if they can be read."""

from pathlib import Path

from jaxembed import pictures
from jaxembed.artifacts import diagnosis
from jaxembed.artifacts.finished import Finished
from jaxembed.core import files
from jaxembed.core.errors import Incomplete
from jaxembed.figures import drawings, style

FOLDER = "figures"


def draw(run: Finished) -> dict[str, str]:
    """Draw every figure that has something to show, and that the run's folder lacks.

    Returns:
      the figures that could not be drawn, and why: one that fails costs no other.
    """
    failed = {}
    for (name, drawing), file in zip(drawings.FIGURES.items(), files_of(run.folder), strict=True):
        if file.exists():
            continue
        try:
            file.parent.mkdir(exist_ok=True)
            with style.style():
                if figure := drawing.make(run):
                    style.save(figure, file)
        except Exception as error:  # matplotlib raises nearly anything
            failed[name] = f"{type(error).__name__}: {error}"
    return failed


def require(run: Finished, *, advice: str) -> None:
    """Draw a run's figures, as `draw`; Incomplete names those that cannot be drawn, with what can be done."""
    if failed := draw(run):
        reasons = "; ".join(dict.fromkeys(files.line(reason) for reason in failed.values()))
        raise Incomplete(f"{run.folder}: {', '.join(failed)} cannot be drawn ({reasons}); {advice}")


def whole(run: Finished) -> dict[str, Path]:
    """List the figures that a run's folder has, and that can be read: name -> file."""
    return {file.stem: file for file in files_of(run.folder) if file.exists() and not _damage(file)}


def damaged(run: Finished) -> list[str]:
    """Say of each of a run's figures that cannot be read what is wrong with it."""
    damage = {file: _damage(file) for file in files_of(run.folder) if file.exists()}
    return [
        f"{file} cannot be read ({what}); launch.py --evaluate draws it again"
        for file, what in damage.items()
        if what
    ]


def stale(folder: Path) -> list[Path]:
    """List what an earlier evaluation may have written into a run's folder, and a new one may not write."""
    return [*diagnosis.files_of(folder), *files_of(folder)]


def files_of(folder: Path) -> list[Path]:
    """List the files that figures may have in a run's folder, in the order of `drawings.FIGURES`."""
    return [folder / FOLDER / f"{name}.png" for name in drawings.FIGURES]


def _damage(file: Path) -> str:
    """Say why a picture cannot be read; nothing if it can."""
    try:
        with pictures.opened(file) as picture:
            picture.load()
    except Exception as error:  # Pillow raises many kinds
        return str(error) or type(error).__name__
    return ""

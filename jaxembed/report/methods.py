"""Methods: what an objective is, in the words of its file, which is read as text: importing it would load jax."""

import ast
from pathlib import Path

import jaxembed

OBJECTIVES = Path(jaxembed.__file__).parent / "objectives"


def describe(objective: str) -> str:
    """Return the docstring of an objective's file as one paragraph, or say that there is no such file."""
    file = {file.stem: file for file in OBJECTIVES.glob("*.py")}.get(objective)
    if file is None:
        return f"Not in this version of jaxembed (objectives/{objective}.py)."
    return " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split())


def is_unlabelled(objective: str) -> bool:
    """Say whether an objective's description promises to read no labels; a test holds each to it."""
    return "no labels are used" in describe(objective).lower()

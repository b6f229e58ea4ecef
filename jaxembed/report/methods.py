"""Methods: what an objective or a control is, in the words of its file, read as text: importing would load jax."""

import ast
from pathlib import Path

import jaxembed

PACKAGE = Path(jaxembed.__file__).parent


def describe(name: str, *, room: str = "objectives") -> str:
    """Return the docstring of a file in a room as one paragraph, or say that there is no such file."""
    file = {file.stem: file for file in (PACKAGE / room).glob("*.py")}.get(name)
    if file is None:
        return f"Not in this version of jaxembed ({room}/{name}.py)."
    return " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split())


def is_unlabelled(objective: str) -> bool:
    """Say whether an objective's description promises to read no labels; a test holds each to it."""
    return "no labels are used" in describe(objective).lower()

"""The house: which room may import which, what loads without JAX, and names that mean one thing in a file."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxembed"
# From the ground up: a room imports only what is on a lower floor.
FLOORS = (
    ("core",),
    ("cli", "optim", "pictures", "types"),
    ("artifacts", "datasets", "devices"),
    ("kernels",),
    ("augment", "losses", "model"),
    ("encoders", "metrics"),
    ("embed", "figures", "objectives"),
    ("controls",),
    ("doctor", "explore", "export", "report", "run", "search"),
    ("evaluate",),
    ("measure", "train"),
    ("jobs",),
    ("api",),
)
FILES = sorted(
    file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py" and "configs" not in file.parts
)
PROGRAMS = [PACKAGE.parent / "launch.py", *sorted((PACKAGE.parent / "benchmarks").glob("*.py"))]


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """What a file imports from jaxembed, at its top or in a function, by its whole name."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "jaxembed":
            found |= {f"{node.module}.{each.name}" for each in node.names}
    return found


def rooms(file: Path) -> set[str]:
    """The rooms that a file imports."""
    return {name.split(".")[1] for name in imported(file)}


def test_every_room_has_a_floor():
    there = {
        each.stem for each in PACKAGE.iterdir() if each.name not in ("__init__.py", "__main__.py", "__pycache__")
    }
    assert sorted(name for floor in FLOORS for name in floor) == sorted(there)
    assert len(list(there)) <= 30


@pytest.mark.parametrize("name", [name for floor in FLOORS for name in floor])
def test_a_room_imports_only_what_is_on_lower_floors(name):
    below = {each for floor in FLOORS[: next(i for i, f in enumerate(FLOORS) if name in f)] for each in floor}
    above = {str(file): rooms(file) - below - {name} for file in FILES if room(file) == name}
    assert not {file: names for file, names in above.items() if names}


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        ("metrics", {"run", "artifacts", "train", "evaluate"}),
        ("figures", {"run", "train", "evaluate"}),
        ("report", {"run", "train", "evaluate", "datasets", "encoders"}),
    ],
)
def test_what_shows_or_measures_knows_no_run(name, forbidden):
    assert not {
        str(file): rooms(file) & forbidden for file in FILES if room(file) == name and rooms(file) & forbidden
    }


def test_only_the_launcher_imports_jobs():
    assert not [file for file in FILES if room(file) not in ("jobs", "api", "__main__") and "jobs" in rooms(file)]
    assert "jobs" in rooms(PACKAGE.parent / "launch.py")


def test_terminals_files_and_pictures_need_no_jax():
    without = [file for file in FILES if room(file) in ("artifacts", "cli", "metrics", "pictures", "report")]
    names = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in without}
    modules = sorted(
        name.removesuffix(".__init__") for name in names if not name.startswith("jaxembed.metrics.probe")
    )
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\nprint('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_selection_for_other_versions_exists():
    selected = re.findall(r'"(tests/[^":]+)(?:::(\w+))?', (PACKAGE.parent / ".ci" / "short").read_text())
    assert len(selected) > 10
    for file, name in selected:
        assert not name or f"def {name}(" in (PACKAGE.parent / file).read_text(), name


@pytest.mark.parametrize("file", [*FILES, *PROGRAMS], ids=lambda file: str(file.relative_to(PACKAGE.parent)))
def test_no_variable_has_the_name_of_an_imported_module(file):
    tree = ast.parse(file.read_text())
    modules = {name.rpartition(".")[2] for name in imported(file) if is_module(name)}
    owned = {id(each) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for each in node.body}
    owned |= {
        id(each.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, ast.AnnAssign)
    }
    shadowed = {
        name: node.lineno for node in ast.walk(tree) if id(node) not in owned and (name := bound(node)) in modules
    }
    assert not shadowed


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def bound(node: ast.AST) -> str | None:
    """The name that a node binds, if it does."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    return node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else None

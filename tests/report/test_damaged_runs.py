"""Damaged runs: whatever is in their files, they are left out in one line or reported, and the others are reported.

A few examples, the same each time, are part of the suite; more, each time others, are drawn by

  JAXEMBED_EXAMPLES=1000 python -m pytest tests/report/test_damaged_runs.py
"""

import contextlib
import functools
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import finished_runs
import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxembed.artifacts import diagnosis, finished
from jaxembed.artifacts.samples import FILE, Sample
from jaxembed.core.errors import InputError
from jaxembed.report import __main__ as command

EXAMPLES = int(os.environ.get("JAXEMBED_EXAMPLES", "100"))
JSON = ("result.json", "config.json")
FILES = (*JSON, "metrics.jsonl", FILE, diagnosis.FILE, "figures/loss.png")


def examples(count: int) -> hypothesis.settings:
    """Draw so many examples: the same each time in the suite, others each time where more are asked for."""
    derandomize = "JAXEMBED_EXAMPLES" not in os.environ
    checks = list(hypothesis.HealthCheck)
    return hypothesis.settings(
        max_examples=count, derandomize=derandomize, database=None, deadline=None, suppress_health_check=checks
    )


@functools.cache
def template() -> Path:
    """A folder of a whole run, which is copied and never changed."""
    folder = Path(tempfile.mkdtemp()) / "whole"
    run = finished_runs.make(folder)
    (folder / "figures").mkdir()
    shutil.copy(
        Path(__file__).parents[2] / "docs/results/report_mnist/learning_curves_mnist.png", folder / FILES[-1]
    )
    assert run.sample.labels is not None
    return folder


def paths(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """List all places in a JSON value."""
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


def values() -> st.SearchStrategy:
    """Any JSON value."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    leaves |= st.sampled_from(
        [0, -1, 10**40, -(10**400), 1e308, float("nan"), "$$", "中文", "_", "x" * 500, "\udce9"]
    )
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    )


def stored() -> list[tuple[str, str]]:
    """List the arrays of a run: (file, name)."""
    found = np.load(template() / diagnosis.FILE)
    return [(FILE, name) for name in Sample._fields] + [(diagnosis.FILE, name) for name in found]


def fields() -> st.SearchStrategy:
    """Any array, of a shape that a sample may have or of another."""
    lengths = st.sampled_from([0, 1, 2, 3, 5, 7, 8, 9, 30])
    shapes = st.lists(lengths, max_size=5).map(tuple)
    own = st.sampled_from([np.load(template() / file)[name].shape for file, name in stored()])
    kinds = st.sampled_from(
        [np.uint8, np.int32, np.int64, np.float16, np.float32, np.float64, bool, "U3", "S2", complex]
    )
    return st.tuples(kinds, shapes | own).flatmap(
        lambda drawn: arrays.arrays(*drawn, fill=st.nothing() if np.prod(drawn[1]) < 20 else None)
    )


def damages() -> st.SearchStrategy:
    """What is done to a run's folder: (function, its arguments)."""
    trees = {file: json.loads((template() / file).read_text()) for file in JSON}
    trees["metrics.jsonl"] = [json.loads(line) for line in (template() / "metrics.jsonl").read_text().splitlines()]
    places = [(file, path) for file, tree in trees.items() for path in paths(tree)]
    files = st.sampled_from(FILES)
    return st.one_of(
        st.tuples(st.just(remove), files),
        st.tuples(st.just(cut), files, st.floats(0, 1)),
        st.tuples(st.just(overwrite), files, st.binary(max_size=50)),
        st.tuples(st.sampled_from(places), values()).map(lambda drawn: (replace, *drawn[0], drawn[1])),
        st.sampled_from(places).map(lambda place: (replace, *place)),
        st.tuples(st.sampled_from(stored()), fields() | st.none()).map(
            lambda drawn: (set_array, *drawn[0], drawn[1])
        ),
    )


def remove(folder: Path, file: str) -> None:
    (folder / file).unlink(missing_ok=True)


def cut(folder: Path, file: str, share: float) -> None:
    if (folder / file).exists():
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: int(share * len(content))])


def overwrite(folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)


def replace(folder: Path, file: str, path: tuple, *value: Any) -> None:
    """Replace what is at a place of a JSON file, or delete it."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # already damaged otherwise
        texts = (
            (folder / file).read_text().splitlines() if file == "metrics.jsonl" else [(folder / file).read_text()]
        )
        tree = [json.loads(text) for text in texts]
        section: Any = tree if file == "metrics.jsonl" else tree[0]
        for key in path[:-1]:
            section = section[key]
        if value:
            section[path[-1]] = value[0]
        else:
            del section[path[-1]]
        (folder / file).write_text("".join(f"{json.dumps(each)}\n" for each in tree))


def set_array(folder: Path, file: str, name: str, array: np.ndarray | None) -> None:
    with contextlib.suppress(Exception):  # already damaged otherwise
        with np.load(folder / file) as there:
            kept = {key: there[key] for key in there if key != name}
        np.savez(folder / file, **kept | ({} if array is None else {name: array}))


@contextlib.contextmanager
def damaged(changes: list[tuple]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(template(), Path(folder) / "damaged")
        for change, *arguments in changes:
            change(Path(folder) / "damaged", *arguments)
        yield Path(folder)


def problem(folder: Path) -> str | None:
    """Read a run: what is wrong with it, or None."""
    try:
        finished.read(folder)
    except InputError as error:
        return str(error)
    return None


@examples(EXAMPLES)
@hypothesis.given(st.lists(st.deferred(damages), min_size=1, max_size=3))
def test_a_damaged_run_is_read_or_named(changes):
    with damaged(changes) as folder:
        found = problem(folder / "damaged")
        assert found is None or str(folder / "damaged") in found


@examples(max(1, EXAMPLES // 50))
@hypothesis.given(st.lists(st.deferred(damages), min_size=1, max_size=3))
def test_a_damaged_run_never_ends_the_report(changes):
    with damaged(changes) as folder:
        hypothesis.assume(problem(folder / "damaged") is None)
        intact = finished_runs.make(folder / "intact", experiment="intact")
        with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
            status = command.main([str(intact.folder), str(folder / "damaged"), f"--output={folder / 'out'}"])
        lines = [line for line in said.getvalue().splitlines() if line.startswith("report: ")]
        assert status == (1 if lines else 0)
        assert all(str(folder / "damaged") in line for line in lines)
        assert "| intact |" in (folder / "out" / "report.md").read_text(encoding="utf-8")

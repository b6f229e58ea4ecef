"""The notebooks run from the first cell to the last, on small settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
# A few steps are enough to see that a cell works.
SHORT = """
from jaxembed import api
whole = api.train
small = {"train.epochs": 2, "evaluate.linear.epochs": 1, "evaluate.mlp.epochs": 1}
api.train = lambda *arguments, **options: whole(*arguments, **options | small)
"""


def cells(notebook: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_every_cell_runs(notebook, tmp_path):
    code = "\n".join([SHORT, *("".join(cell["source"]) for cell in cells(notebook, "code"))])
    words = [sys.executable, "-c", code]
    environment = os.environ | {"MPLBACKEND": "agg"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_every_cell_was_executed_and_names_no_path_of_a_machine(notebook):
    code = cells(notebook, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    text = json.dumps([cell["outputs"] for cell in code])
    assert '"output_type": "error"' not in text
    assert "/tmp/" not in text
    assert "/home/" not in text

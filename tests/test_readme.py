"""The documents tell the truth: commands name files and keys that exist, numbers are those of the result files."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from jaxembed.artifacts import identity

ROOT = Path(__file__).parents[1]
PAGES = {
    name: (ROOT / name).read_text()
    for name in (
        "README.md",
        ".github/CONTRIBUTING.md",
        "docs/commands.md",
        "docs/controls.md",
        "docs/design.md",
        "docs/encoders.md",
        "docs/extend.md",
        "docs/student_projects.md",
        "docs/results/README.md",
    )
}
LINKS = [(name, link) for name, text in PAGES.items() for link in re.findall(r"\]\(([^)#]+)\)", text)]


def load(name: str) -> ConfigDict:
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


@pytest.mark.parametrize("page", PAGES)
def test_every_named_config_and_key_exists(page):
    text = PAGES[page]
    for name in set(re.findall(r"configs/(\w+)\.py", text)):
        load(name)
    suite = load("suite_mnist")
    for key, value in re.findall(r"--config\.([\w.]+)=([^\s`\"]+)", text):
        if key in suite:
            continue
        here = ConfigDict(identity.current(load("autoencoder_mnist").to_dict()))  # with the options that came later
        # Options of a folder, which other datasets do not have, and one that random weights do without.
        here.data.update({"path": "", "size": 32})
        here.encoder.update({"start": ""})
        for part in key.split("."):
            here = here[part]
        (float if isinstance(here, int) else type(here))(value)


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_every_link_leads_somewhere(page, link):
    assert link.startswith("http") or ((ROOT / page).parent / link).exists()


def test_tables_agree_with_the_result_files():
    done = subprocess.run([sys.executable, ROOT / "docs" / "table.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "all tables are current\n")
    names = {file.parent.name for file in (ROOT / "docs" / "results").rglob("seed*.json")}
    assert names == set(re.findall(r"^\| \[(\w+)\]\(\1\)", PAGES["docs/results/README.md"], re.MULTILINE))
    assert len(re.findall(r"\| \*\*\d\d\.\d\d(?: ± \d\.\d\d)?\*\* \(\d\) ", PAGES["README.md"])) == 12


def test_findings_of_the_readme_agree_with_its_table():
    cells = re.findall(r"\| \*{0,2}(\d\d\.\d\d)(?= |\*)", PAGES["README.md"])
    rows = [[float(cell) for cell in cells[i : i + 6]] for i in (0, 6, 12, 18)]
    autoencoder, simclr, margin, classifier = (row[::2] for row in rows)
    for others in zip(autoencoder, simclr, margin, classifier, strict=True):
        assert max(others) == others[-1]
    assert max(best - near for best, near in zip(classifier, margin, strict=True)) < 4
    assert all(found > other for found, other in zip(simclr, autoencoder, strict=True))
    assert round(simclr[2] - autoencoder[2]) == 19
    assert "by 19 points on CIFAR-10" in PAGES["README.md"]
    autoencoder, simclr, margin, classifier = (row[1::2] for row in rows)
    for others in zip(autoencoder, simclr, margin, classifier, strict=True):
        assert max(others) == others[-1]
    assert [found > other for found, other in zip(simclr, autoencoder, strict=True)] == [True, False, True]
    patches = json.loads((ROOT / "docs/results/controls/fashion_mnist/patches/result.json").read_text())["metrics"]
    knn, mlp = (100 * patches[f"test/{name}_accuracy"] for name in ("knn", "mlp"))
    assert knn > max(autoencoder[1], simclr[1])
    assert mlp > max(row[2] for row in rows[:2])
    assert f"beats both (kNN {knn:.2f}%, MLP {mlp:.2f}%" in " ".join(PAGES["README.md"].split())


def test_every_result_file_can_be_read_by_the_report(tmp_path):
    from jaxembed.artifacts import finished

    files = sorted((ROOT / "docs" / "results").rglob("seed*.json"))
    assert len(files) > 50
    for file in files:
        (tmp_path / "result.json").write_text(file.read_text())
        assert finished.result(tmp_path)["experiment"] == file.parent.name


@pytest.mark.parametrize(
    "config",
    [file for file in sorted((ROOT / "configs").glob("*.py")) if "\nMeasured after one epoch" in file.read_text()],
    ids=lambda file: file.stem,
)
def test_what_a_config_got_in_one_epoch_is_what_its_result_file_says(config):
    way, dataset = re.fullmatch(r"([a-z]+)_(fashion_mnist|cifar)", config.stem).groups()
    record = json.loads((ROOT / "docs" / "results" / "ways" / dataset / f"{way}-1.json").read_text())
    assert record["experiment"] == config.stem
    assert record["epochs"] == 1
    numbers = [100 * record["metrics"][f"validation/{each}_accuracy"] for each in ("knn", "linear")]
    said = re.search(r"kNN ([\d.]+)%, linear probe ([\d.]+)%;\ndocs/ways.md", config.read_text()).groups()
    assert said == tuple(f"{number:.1f}" for number in numbers)


def test_the_quick_start_ends_as_in_the_notebook_that_runs_it():
    notebook = json.loads((ROOT / "notebooks" / "first_embedding.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    printed = {line.rstrip("\n") for output in outputs for line in output.get("text", [])}
    rows = re.findall(r"^  (?:kNN|linear|MLP) +[\d.]+% +[\d.]+%$", PAGES["README.md"], re.MULTILINE)
    assert len(rows) == 3
    assert set(rows) <= printed

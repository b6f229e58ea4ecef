"""The command `jaxembed`: its parts are the programs, and the configs come with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxembed import __main__ as command
from jaxembed import controls, encoders, objectives
from jaxembed.cli import config_file
from jaxembed.core import options
from jaxembed.core.errors import InputError
from jaxembed.embed import frozen
from jaxembed.jobs import listing
from jaxembed.jobs.job import command_of

ROOT = Path(__file__).parents[1]


def test_every_config_of_the_repository_has_a_name():
    there = {file.stem for file in (ROOT / "configs").glob("*.py")} - {"protocols"}
    assert set(config_file.names()) == there
    assert set(listing.listed("configs")) == there


def test_what_is_listed_is_what_there_is():
    assert tuple(listing.listed("encoders")) == options.names(encoders)
    assert tuple(listing.listed("ways")) == options.names(objectives)
    assert tuple(listing.listed("controls")) == options.names(controls)
    assert tuple(listing.listed("pretrained")) == frozen.pretrained()
    assert all(all(listing.listed(kind).values()) for kind in listing.KINDS)


def test_a_file_comes_before_a_name_and_a_near_name_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_file.find("byol_mnist") == config_file.PACKAGED / "byol_mnist.py"
    Path("byol_mnist").touch()
    assert config_file.find("byol_mnist") == Path("byol_mnist")
    with pytest.raises(
        InputError, match=r"no such file \(did you mean 'byol_cifar', which comes with jaxembed\?\)"
    ):
        config_file.find("byol_cifr")


def test_a_config_imports_its_neighbours_before_the_packaged_ones(tmp_path):
    (tmp_path / "protocols.py").write_text("DIGITS = {'own': 1}\n")
    (tmp_path / "mine.py").write_text(
        "from ml_collections import ConfigDict\nfrom configs import protocols, quickstart\n"
        "def get_config():\n    return ConfigDict({'own': protocols.DIGITS, 'k': quickstart.get_config().seed})\n"
    )
    assert config_file.load(tmp_path / "mine.py").to_dict() == {"own": {"own": 1}, "k": 0}
    assert config_file.load(config_file.find("quickstart")).evaluate.neighbours == 5
    assert "configs" not in sys.modules or "own" not in sys.modules["configs"].protocols.DIGITS


def test_a_run_of_a_packaged_config_is_reproduced_by_its_name():
    line = command_of(config_file.find("quickstart"), {"train.epochs": 3}, 1)
    assert line == "jaxembed train quickstart --config.train.epochs=3 --seed=1"
    line = command_of(Path("configs/quickstart.py"), {}, 0)
    assert line == "python launch.py --config=configs/quickstart.py --seed=0"


def test_a_command_that_is_not_there_is_one_line(capsys):
    assert command.main(["trian"]) == 2
    assert capsys.readouterr().err.startswith(
        "jaxembed: there is no command 'trian'; it must be one of train, embed"
    )


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_says_how_it_is_used(name, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: jaxembed {name} ")


def test_training_says_how_it_is_used_and_refuses_in_its_own_name(tmp_path):
    def run(*words):
        line = [sys.executable, "-m", "jaxembed", "train", *words]
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=False)

    helped = run("quickstart", "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "jaxembed train simclr_cifar --config.train.epochs=100" in helped.stdout
    assert "--workdir" in helped.stdout
    refused = run("quickstart", "--config.encoder.latnet=3")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("jaxembed train: config.encoder has no option 'latnet'")

"""Config files: loaded without what Python 3.15 no longer has, overridden, and refused in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from jaxembed.cli import config_file
from jaxembed.core.errors import InputError

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "configs" / "quickstart.py"
WITHOUT_LOAD_MODULE = """
import importlib.abc, importlib.machinery, sys
for each in importlib.machinery.SourceFileLoader.__mro__:
    if "load_module" in vars(each):
        del each.load_module
assert not hasattr(importlib.machinery.SourceFileLoader, "load_module")
"""
PARSE = """
from jaxembed.jobs import launch
launch.define()
from jaxembed.cli import launch_flags
from ml_collections import config_flags
launch_flags.parse(sys.argv)
config, overrides = launch.FLAGS.config, config_flags.get_override_values(launch.FLAGS["config"])
print(config.train.epochs, config.evaluate.mlp.hidden, config.data.fresh, config.is_locked, *overrides)
print(config.data.validation, config.optimizer.learning_rate)
"""


def test_a_config_and_its_overrides_need_no_load_module():
    overrides = ["--config.train.epochs=3", "--config.evaluate.mlp.hidden=(4, 5)", "--config.data.fresh=new"]
    overrides += ["--config.data.validation=0.2", "--config.optimizer.learning_rate=1"]
    config = f"--config=~/{QUICKSTART.relative_to(ROOT)}"
    command = [sys.executable, "-c", WITHOUT_LOAD_MODULE + PARSE, config, *overrides]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    given = "train.epochs evaluate.mlp.hidden data.fresh data.validation optimizer.learning_rate"
    assert done.stdout == f"3 (4, 5) new False {given}\n0.2 1.0\n"


def test_what_follows_a_colon_is_the_argument_of_get_config(tmp_path):
    file = tmp_path / "sized.py"
    file.write_text(
        "from ml_collections import ConfigDict\ndef get_config(size): return ConfigDict({'size': size})\n"
    )
    assert config_file._Parser().parse(f"{file}:a:b").size == "a:b"


REFUSED = {
    "raise ValueError('two\\nlines')": ": ValueError: two\nlines",
    "open('not-there')": ": FileNotFoundError: [Errno 2] No such file or directory: 'not-there'",
    "{}['k']": ": KeyError: 'k'",
    "import os\nos.nothing": ": AttributeError: module 'os' has no attribute 'nothing'",
    "def get_config(name): pass": ": TypeError: get_config() missing 1 required positional argument: 'name'",
    "def get_config(): pass": ": get_config must return a ConfigDict, got NoneType",
    "get_config = None": " has no function get_config",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_file_that_makes_no_config_is_named_with_the_reason(text, tmp_path):
    file = tmp_path / "config.py"
    file.write_text(text)
    with pytest.raises(InputError) as raised:
        config_file.load(file)
    assert str(raised.value) == f"{file}{REFUSED[text]}"


@pytest.mark.parametrize("name", ["", ".", "none.py", "none.py:argument"])
def test_a_file_that_is_not_there_is_named_as_it_was_given(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^--config={name.partition(':')[0]}: there is no such file$"):
        config_file._Parser().parse(name)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (flags.IllegalFlagValueError("flag --seed=x: no"), "flag --seed=x: no"),
        (InputError("config.py has no function get_config"), "config.py has no function get_config"),
        (KeyError("'trian'"), "the config has no key 'trian'"),
        (ValueError("Could not parse 'a b'"), "--config: ValueError: Could not parse 'a b'"),
        (AssertionError(), "--config: AssertionError: "),
    ],
)
def test_a_flag_that_cannot_be_parsed_is_explained(error, text):
    assert config_file.reason(error) == text

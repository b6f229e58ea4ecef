"""The command: a whole run on digits, going on, being finished, and what it says to bad input."""

import errno
import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from conftest import OBJECTIVES
from ml_collections import ConfigDict

import jaxembed.run
import launch
from jaxembed import commands, sample, train
from jaxembed.runs import workdir
from jaxembed.types import InputError

ROOT = Path(launch.__file__).parent
QUICKSTART = ROOT / "configs" / "quickstart.py"
SHORT = [
    f"--config.{key}.epochs={epochs}" for key, epochs in (("train", 2), ("evaluate.linear", 1), ("evaluate.mlp", 1))
]


@pytest.fixture
def config():
    """The quick start, but quicker."""
    spec = importlib.util.spec_from_file_location("quickstart", QUICKSTART)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.train.epochs, config.evaluate.linear.epochs, config.evaluate.mlp.epochs = 2, 1, 1
    return config


@pytest.fixture(autouse=True)
def few_images_are_shown(monkeypatch):
    monkeypatch.setattr(sample, "SHOWN", 40)


def run(config, folder, **options):
    commands.conduct("quickstart", config, folder, command="", data_dir=None, **{"again": False} | options)


def command(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, ROOT / "launch.py", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_leaves_a_complete_folder_and_says_where(tmp_path):
    status, out, err = command(f"--config={QUICKSTART}", *SHORT, "--seed=5", cwd=tmp_path)
    folder = tmp_path / "checkpoints" / "quickstart-seed5"
    assert (status, err) == (0, "")
    assert out.startswith("quickstart: digits × fc × reconstruct, on ")
    assert re.search(r"\n  knn_accuracy +0\.\d{4} +0\.\d{4}\n", out)
    assert re.search(r" images/s \(\d+% of peak\), 0 s left\n", out)
    assert "Files: checkpoints/quickstart-seed5/" in out
    names = {file.name for file in folder.iterdir()}
    files = {"config.json", "metrics.jsonl", "result.json", "sample.npz"}
    assert names == files | {".lock", "checkpoint", "figures"}
    drawn = {"loss", "embeddings", "distances", "neighbours", "confusion", "reconstructions"}
    assert {file.name for file in (folder / "figures").iterdir()} == {f"{name}.png" for name in drawn}
    assert json.loads((folder / "config.json").read_text())["seed"] == 5
    result = json.loads((folder / "result.json").read_text())
    steps = 2 * ((1797 - 360 - 200) // 64)
    identity = {"experiment": "quickstart", "dataset": "digits", "encoder": "fc", "objective": "reconstruct"}
    assert result.items() >= (identity | {"seed": 5, "epochs": 2, "steps": steps}).items()
    assert result["command"] == " ".join(["python launch.py", f"--config={QUICKSTART}", *sorted(SHORT), "--seed=5"])
    assert result["parameters"] == {"encoder": 17616, "head": 17664}
    assert result["versions"].keys() >= {"jax", "flax", "optax", "orbax-checkpoint"}
    assert result["train_seconds"] > 0
    assert result["images_per_second"] > 0
    assert 0 < result["share_of_peak"] < 2
    assert set(result["metrics"]) >= {
        f"{split}/{name}"
        for split in ("validation", "test")
        for name in ("knn_accuracy", "linear_accuracy", "mlp_accuracy", "l1")
    }


def test_a_finished_run_says_so_and_is_measured_again_only_if_asked(config, tmp_path, capsys, monkeypatch):
    run(config, tmp_path)
    result = tmp_path / "result.json"
    first, written = json.loads(result.read_text()), result.stat().st_mtime_ns
    capsys.readouterr()
    run(config, tmp_path)
    assert "quickstart is finished; --evaluate measures it again" in capsys.readouterr().out
    assert result.stat().st_mtime_ns == written
    monkeypatch.setattr(train, "fit", None)  # what is finished is not trained
    run(config, tmp_path, again=True)
    assert result.stat().st_mtime_ns != written
    assert json.loads(result.read_text()) == first


def test_tuning_looks_at_no_test_image_and_the_run_can_be_finished_afterwards(
    config, tmp_path, capsys, monkeypatch
):
    with monkeypatch.context() as patch:
        dataset = jaxembed.run.load(config, data_dir=None)
        unseen = dataset._replace(test=dataset.test._replace(images=None))
        patch.setattr(jaxembed.run, "load", lambda *_, **__: unseen)
        run(config, tmp_path, tune=True)
    shown = capsys.readouterr().out
    tuned = dict(re.findall(r"^  (\w+) +([\d.-]+)$", shown, re.MULTILINE))
    assert " test" not in shown
    assert tuned.keys() >= {"knn_accuracy", "linear_accuracy", "mlp_accuracy", "silhouette", "l1"}
    assert not (tmp_path / "result.json").exists()
    run(config, tmp_path)
    with pytest.raises(InputError, match="--tune is of one run that is not finished"):
        run(config, tmp_path, tune=True)
    metrics = json.loads((tmp_path / "result.json").read_text())["metrics"]
    assert tuned == {name: f"{metrics[f'validation/{name}']:.4f}" for name in tuned}


def test_a_damaged_result_is_named(config, tmp_path):
    run(config, tmp_path)
    (tmp_path / "result.json").write_text('{"experiment"')
    with pytest.raises(InputError, match=r"result.json is damaged: Expecting ':' delimiter"):
        run(config, tmp_path)


def test_a_metric_without_a_finite_value_is_null_and_called_infinite(config, tmp_path, capsys):
    # Steps of no length: every image is embedded by weights that are made 0.
    config.optimizer = {"name": "sgd", "learning_rate": 1e-9, "warmup_epochs": 0.0, "momentum": 0.0}
    config.optimizer.weight_decay = 0.0
    with pytest.MonkeyPatch.context() as patch:
        init = train.init

        def zeros(*arguments, **options):
            state = init(*arguments, **options)
            return state._replace(params=jax.tree.map(lambda leaf: leaf * 0, state.params))

        patch.setattr(train, "init", zeros)
        run(config, tmp_path)
    metrics = json.loads((tmp_path / "result.json").read_text())["metrics"]
    assert metrics["test/cdnv"] is None
    assert metrics["test/recall_at_1"] == 0
    assert re.search(r"\n  cdnv +infinite +infinite\n", capsys.readouterr().out)


def test_a_folder_of_another_config_is_refused_and_left_as_it_was(config, tmp_path):
    run(config, tmp_path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    config.seed, config.encoder.latent = 1, 8
    message = "config.encoder.latent is 16 there, 8 here, config.seed is 0 there, 1 here"
    with pytest.raises(InputError, match=message):
        run(config, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("encoder", "name", "vit", "config.encoder.name must be one of cnn, conv, fc, resnet; got 'vit'"),
        ("encoder", "latent", 0, "config.encoder.latent must be > 0, got 0"),
        ("objective", "name", "byol", "must be one of classify, margin, ntxent, reconstruct; got 'byol'"),
        (
            "objective",
            "augmentation",
            {"translate": 8},
            "config.objective.augmentation.translate: pixels must be",
        ),
        ("objective", "temperature", 0.0, "config.objective.temperature must be > 0, got 0.0"),
        ("optimizer", "name", "adamw", "must be one of sgd, adam, lars, muon; got 'adamw' (did you mean 'adam'?)"),
        ("encoder", "widths", (64, 2.5), "config.encoder.widths must be a tuple of whole numbers, got (64, 2.5)"),
        ("encoder", "dropout", float("nan"), "config.encoder.dropout must be a finite number, got nan"),
        ("optimizer", "warmup_epochs", float("inf"), "config.optimizer.warmup_epochs must be a finite number"),
        ("optimizer", "weight_decay", -1.0, "config.optimizer.weight_decay must be >= 0, got -1.0"),
        ("data", "name", "digit", "did you mean 'digits'?"),
        ("data", "validation", 0, "config.data.validation must be between 1 and 1436, got 0"),
        ("data", "validation", 5, "config.data.validation must be at least the 8 devices, got 5"),
        ("train", "batch_size", 60, "config.train.batch_size must be a multiple of the 8 devices, got 60"),
        ("train", "batch_size", 1240, "must be at most the 1237 train images of digits, got 1240"),
        ("train", "epochs", 0, "config.train.epochs must be > 0, got 0"),
        ("train", "validate_every", -1, "config.train.validate_every must be >= 0, got -1"),
        ("train", "dtype", "float16", "config.train.dtype must be one of float32, bfloat16; got 'float16'"),
        ("evaluate", "views", -1, "config.evaluate.views must be >= 0, got -1"),
        ("evaluate", "augmentation", {"flp": 1}, "an operation of config.evaluate.augmentation must be one of"),
        (
            "evaluate",
            "augmentation",
            {"translate": 8},
            "config.evaluate.augmentation.translate: pixels must be",
        ),
        ("evaluate", "linear", {"hidden": ()}, "config.evaluate.linear has no option 'hidden'"),
        ("evaluate", "neighbours", 0, "config.evaluate.neighbours must be > 0, got 0"),
        ("evaluate", "neighbours", 1238, "must be at most the 1237 train images of digits, got 1238"),
        ("evaluate", "distance", "l2", "must be one of cosine, euclidean; got 'l2'"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_one_line(section, key, value, message, config, tmp_path):
    if key == "temperature":
        config.objective = {"name": "ntxent", "projection": (8,), "augmentation": {}, "temperature": 0.5}
    config[section][key] = value
    with pytest.raises(InputError) as error:
        run(config, tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    # Refused before the folder is taken: the next config finds it free.
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_reconstruct_with_an_encoder_that_has_no_decoder_is_refused(config, tmp_path):
    config.encoder = {"name": "resnet", "depth": 18, "width": 8}
    with pytest.raises(InputError, match="needs an encoder with a decoder, one of conv, fc; got 'resnet'"):
        run(config, tmp_path)


def test_a_config_that_lacks_a_section_or_has_one_too_many_is_refused(config, tmp_path):
    config.unlock()
    config.sede = 1
    with pytest.raises(InputError, match=r"got 'sede' \(did you mean 'seed'\?\)"):
        run(config, tmp_path)
    del config.sede, config.seed
    with pytest.raises(InputError, match="the config lacks seed"):
        run(config, tmp_path)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_jax_would_fold_onto_another_is_refused(seed, config, tmp_path):
    config.seed = seed
    with pytest.raises(InputError, match=r"config.seed must be a whole number from 0 to 2\*\*32 - 1"):
        run(config, tmp_path)


def test_more_blocks_than_the_image_can_be_halved_is_refused(config, tmp_path):
    config.encoder = {
        "name": "cnn",
        "widths": (8, 8, 8, 8),
        "depth": 2,
        "stem": "pooled",
        "latent": 8,
        "dropout": 0.0,
    }
    config.objective = OBJECTIVES["classify"] | {"hidden": (), "dropout": 0.0, "augmentation": {}}
    with pytest.raises(InputError, match=r"config.encoder.widths must have fewer blocks"):
        run(config, tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("left", ["metrics.jsonl", "checkpoint/5/_METADATA", "result.json"])
def test_what_is_left_of_a_run_without_its_config_is_not_gone_on_from(left, config, tmp_path):
    (tmp_path / left).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / left).write_text("{}")
    with pytest.raises(InputError, match=r"holds a run without its config.json"):
        run(config, tmp_path)


def test_a_folder_in_which_no_step_was_taken_is_nobodys(config, tmp_path):
    other = ConfigDict(config.to_dict() | {"seed": 9})
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "config.json").write_text(other.to_json())
    workdir.check(config, tmp_path)


def test_a_folder_is_one_runs_at_a_time(config, tmp_path):
    with workdir.opened(tmp_path), pytest.raises(InputError, match="is in use by another run"):
        run(config, tmp_path)
    run(config, tmp_path)


def test_a_file_system_without_locks_is_said_to_be_one(config, tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match=r"cannot be locked: No locks available; take another disk"):
        run(config, tmp_path)


def test_a_finished_run_without_its_checkpoint_is_not_trained_again_to_evaluate_it(config, tmp_path):
    run(config, tmp_path)
    result = (tmp_path / "result.json").read_text()
    shutil.rmtree(tmp_path / "checkpoint")
    with pytest.raises(InputError, match="has no checkpoint of its last step"):
        run(config, tmp_path, again=True)
    assert (tmp_path / "result.json").read_text() == result


def test_a_stopped_and_a_diverged_run_end_with_their_own_status(tmp_path):
    long = [f"--config={QUICKSTART}", "--config.train.epochs=10000", "--workdir=stopped"]
    process = subprocess.Popen(
        [sys.executable, ROOT / "launch.py", *long], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "stopped" / "metrics.jsonl").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert re.fullmatch(
        r"stopping once the steps under way are saved; a second time stops at once\n"
        r"launch.py: stopped by SIGTERM at step \d+ of 190000, saved; the same command goes on from here\n",
        process.communicate()[1],
    )
    assert process.returncode == 128 + signal.SIGTERM
    steep = [f"--config={QUICKSTART}", "--config.optimizer.learning_rate=1e30", "--workdir=diverged"]
    status, _, err = command(*steep, cwd=tmp_path)
    assert status == 1
    assert re.search(r"the loss is (nan|inf) at step \d+", err.splitlines()[-1])


def test_a_run_that_is_stopped_while_it_is_measured_says_so(tmp_path):
    code = "import os, runpy, signal, sys; from jaxembed import sample\n"
    code += "sample.take = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
    code += f"sys.argv = {['launch.py', f'--config={QUICKSTART}', *SHORT]}\n"
    code += f"runpy.run_path({str(ROOT / 'launch.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == "launch.py: interrupted; the same command goes on from the last checkpoint\n"
    assert not (tmp_path / "checkpoints" / "quickstart" / "result.json").exists()


def test_a_disk_that_is_full_at_the_end_is_one_line(tmp_path):
    code = "import os, runpy, sys; from jaxembed import sample\n"
    code += "def take(*_): raise OSError(28, os.strerror(28), 'sample.npz')\n"
    code += "sample.take = take\n"
    code += f"sys.argv = {['launch.py', f'--config={QUICKSTART}', *SHORT]}\n"
    code += f"runpy.run_path({str(ROOT / 'launch.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (1, "launch.py: [Errno 28] No space left on device: 'sample.npz'\n")


def test_a_disk_that_is_full_at_a_checkpoint_is_one_line(tmp_path):
    # A file may grow to 60 KB, and what a checkpoint is made of is larger.
    limit = ["bash", "-c", 'ulimit -f 60; exec "$@"', "bash", sys.executable, ROOT / "launch.py"]
    arguments = [*limit, f"--config={QUICKSTART}", *SHORT, "--workdir=run"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=False)
    folder = tmp_path / "run" / "checkpoint"
    assert (done.returncode, done.stderr) == (1, f"launch.py: [Errno 27] File too large: '{folder}'\n")


def test_too_little_memory_is_one_line(tmp_path):
    status, _, err = command(f"--config={QUICKSTART}", "--config.encoder.latent=2000000000000", cwd=tmp_path)
    assert status == 1
    assert re.fullmatch(
        r"launch\.py: out of memory on .*CPU, \d+ cores: RESOURCE_EXHAUSTED: Out of memory allocating \d+ bytes; "
        r"a smaller config\.train\.batch_size or config\.encoder may fit, in another --workdir\n",
        err,
    )


def test_a_folder_that_cannot_be_written_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--workdir .*/file/run cannot be written: Not a directory"):
        run(config, tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config is required, such as --config=configs/quickstart.py"),
        (["--config=none.py"], "--config=none.py: there is no such file"),
        (["--config=none.py", "--config.train.epochs=1"], "--config=none.py: there is no such file"),
        (["--config=empty.py"], "empty.py has no function get_config"),
        (["--config=broken.py"], "invalid syntax"),
        (["--config=raises.py"], "ZeroDivisionError: division by zero"),
        (["--config=number.py"], "get_config must return a ConfigDict, got int"),
        (["--config=seedless.py"], "the config lacks seed, data"),
        ([f"--config={QUICKSTART}", "--config.encoder.latnet=3"], 'Did you mean "latent" instead of "latnet"?'),
        ([f"--config={QUICKSTART}", "--config.train.epochs=many"], "flag --config.train.epochs=many: invalid"),
        ([f"--config={QUICKSTART}", "--worckdir=x"], "Unknown command line flag 'worckdir'. Did you mean: workdir"),
        ([f"--config={QUICKSTART}", "--seed=-1"], "flag --seed=-1: -1 is not a non-negative integer"),
        ([f"--config={QUICKSTART}", "left", "over"], "unexpected arguments: left over"),
        ([f"--config={QUICKSTART}", "--tune", "--evaluate"], "--tune is of one run that is not finished"),
        ([f"--config={QUICKSTART}", "--config.encoder.latent=0"], "config.encoder.latent must be > 0, got 0"),
    ],
)
def test_a_command_that_makes_no_sense_is_one_line_and_status_2(arguments, message, tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("def get_config(:\n")
    (tmp_path / "raises.py").write_text("1 / 0\n")
    (tmp_path / "number.py").write_text("def get_config(): return 3\n")
    (tmp_path / "seedless.py").write_text(
        "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict()\n"
    )
    status, out, err = command(*arguments, cwd=tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith("launch.py: ")
    assert err.count("\n") == 1
    assert message in err


def test_help_reads_well_and_needs_no_jax(tmp_path):
    watch = "import sys, runpy; sys.argv = ['launch.py', '--help']\n"
    watch += f"try: runpy.run_path({str(ROOT / 'launch.py')!r}, run_name='__main__')\n"
    watch += "finally: print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "False"
    assert "python launch.py --config=configs/simclr_cifar.py" in done.stdout
    assert "Folder of the run" in done.stdout


def test_a_run_reaches_its_first_step_without_what_only_its_end_needs():
    heavy = ("bokeh", "matplotlib", "reportlab", "scipy", "sklearn", "tensorboardX", "tensorflow_datasets")
    watch = (
        "from jaxembed import commands, suite; import sys; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"

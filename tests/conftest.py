"""Catches classes of bugs in every test: wrong shapes, silent broadcasting, assumptions of one device."""

import gc
import hashlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

os.environ["JAX_NUM_CPU_DEVICES"] = "8"


def compiled() -> Path:
    """Return the folder of compiled programs, which outlives the run; those of another processor are apart."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "jaxembed-tests")
    processor = "".join(line for line in Path("/proc/cpuinfo").read_text().splitlines(True) if "flags" in line)
    return caches / hashlib.sha256(processor.encode()).hexdigest()[:8]


# Compiling takes most of the tests' time, and they compile the same programs each time, as do the commands that
# they start. JAX's key is the program, its options and its own version, so nothing stale is used.
COMPILED = compiled()
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(COMPILED)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# JAX writes an entry in place: a process that reads half of it compiles for itself.
os.environ["PYTHONWARNINGS"] = "ignore:Error reading persistent compilation cache entry:UserWarning"
# Seconds after which an entry that no run has read is removed.
MONTH = 30 * 24 * 3600
# Files of half a minute and more, which are begun first: begun last, one would keep a worker long after the others.
LONGEST = (
    "train/test_every_objective.py",
    "train/test_loop.py",
    "jobs/test_commands.py",
    "measure/test_measure.py",
    "test_launch.py",
    "test_benchmarks.py",
    "report/test_report.py",
    "devices/test_processes.py",
    "report/test_paper.py",
)

import jax
import numpy as np
import pytest
from absl import logging
from jaxtyping import install_import_hook
from ml_collections import ConfigDict
from PIL import Image

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")
# The commands that tests start are optimised as a user's are.
jax.config.update("jax_disable_most_optimizations", True)
install_import_hook("jaxembed", "beartype.beartype").__enter__()

from jaxembed import encoders, objectives
from jaxembed.core import options
from jaxembed.kernels import flops
from jaxembed.run import build
from jaxembed.run.run import Run
from jaxembed.train import session
from jaxembed.types import Batch, Dataset

# As on a terminal, for the tests that send them: nohup and a shell's & have them ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Small versions of everything in the registries, from the files themselves: a new file is tested without an edit.
ENCODERS, OBJECTIVES = (
    {name: {"name": name} | options.find(package, name, what="a name").SMALLEST for name in options.names(package)}
    for package in (encoders, objectives)
)
LINEAR = {"epochs": 20, "batch_size": 16, "learning_rate": 1e-2, "weight_decay": 0.0}


def pytest_configure(config: pytest.Config) -> None:
    """Remove the compiled programs that no run has used for a month; once, not in each worker."""
    if not hasattr(config, "workerinput") and COMPILED.is_dir():
        for entry in COMPILED.iterdir():
            if time.time() - max(entry.stat().st_atime, entry.stat().st_mtime) > MONTH:
                entry.unlink(missing_ok=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """What is imported stays, so that to look for garbage in it, again and again, finds nothing."""
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Three classes of 9×7 images, told apart by a bright row, in splits that no batch size divides."""
    random = np.random.default_rng(0)

    def split(n: int) -> Batch:
        labels = random.integers(0, 3, n).astype(np.int32)
        images = random.integers(0, 100, (n, 9, 7, 1))
        images[np.arange(n), 2 * labels + 1] += 150
        return Batch(images.astype(np.uint8), labels)

    return Dataset("rows", ("low", "middle", "high"), split(75), split(19), split(21))


@pytest.fixture(scope="module", autouse=True)
def compiled_functions_end_with_their_module():
    """JAX's caches of a module's functions take gigabytes, which the next module does not need."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def same_draws_in_any_order(request):
    """Tests share their module's generators, and which have run before in a worker is left to chance."""
    generators = [value for value in vars(request.module).values() if isinstance(value, np.random.Generator)]
    states = [generator.bit_generator.state for generator in generators]
    yield
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state


@pytest.fixture(autouse=True)
def signals_are_handled_as_before():
    """A test may leave a handler, or a signal held back; the next that sends one would not get it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    handlers, mask = list(map(signal.getsignal, numbers)), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    list(map(signal.signal, numbers, handlers))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.fixture(autouse=True)
def warnings_are_logged():
    """A command in another test may have silenced them."""
    logging.set_verbosity(logging.WARNING)


@pytest.fixture(autouse=True)
def no_stopwatch(monkeypatch):
    """Runs do not count their operations, which takes longer than the runs; the commands that tests start do."""
    monkeypatch.setattr(session, "_speed", lambda *_: flops.Speed(flops=1e6, peak=1e12))


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch, tmp_path_factory):
    """What TFDS leaves behind, an empty folder for each dataset that is not prepared yet, goes when pytest's go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def blank_figures(monkeypatch):
    """Laying figures out takes half of a run's end, and has its own tests: where it is not the subject, they are
    drawn, but saved as a blank picture.
    """
    from jaxembed.figures import style

    monkeypatch.setattr(style, "save", lambda _, file: Image.new("L", (8, 8)).save(file))


@pytest.fixture
def config() -> ConfigDict:
    """The tiny classifier's config; tests change what they are about."""
    return tiny()


def tiny() -> ConfigDict:
    """Make the config of a classifier of the tiny dataset that trains in a second."""
    return ConfigDict(
        {
            "seed": 3,
            "data": {"name": "digits", "validation": 200},
            "encoder": ENCODERS["fc"],
            "objective": OBJECTIVES["classify"],
            "optimizer": {"name": "adam", "learning_rate": 3e-3, "warmup_epochs": 1.0, "weight_decay": 0.0},
            "train": {
                "epochs": 3,
                "batch_size": 16,
                "dtype": "float32",
                "log_every": 2,
                "checkpoint_every": 5,
                "validate_every": 1,
            },
            "evaluate": {
                "neighbours": 3,
                "distance": "cosine",
                "views": 0,
                "augmentation": {},
                "linear": LINEAR,
                "mlp": LINEAR | {"hidden": (16,), "dropout": 0.0},
            },
        }
    )


@pytest.fixture(scope="session")
def run(dataset: Dataset) -> Run:
    """The parts of that classifier's run, once, so that its step is traced and compiled once."""
    return build.run(tiny(), dataset)


@pytest.fixture
def browser(tmp_path):
    """A headless Chromium or Chrome that keeps its console."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("needs chromium or google-chrome, and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    quiet = "headless no-sandbox disable-gpu disable-background-networking disable-component-update no-first-run"
    for option in (*quiet.split(), "window-size=1400,900", f"user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(f"--{option}")
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as opened:
        yield opened

"""The functions of the package: what the commands do, from Python or a notebook.

    import jaxembed

    run = jaxembed.train("quickstart", **{"train.epochs": 20})
    run.metrics["test/knn_accuracy"], run.figures["embeddings"], run.history
    vectors = jaxembed.embed(run, "PHOTOS")
    jaxembed.report(run, "checkpoints/margin_mnist")

Where a run is taken, it is a `Run`, a run's folder, an encoder file or the name of a pretrained encoder; paths are
str or pathlib. Other options are those of the command: `overwrite=True` is --overwrite, `count=3` is --count=3.
What a command refuses in a line is an `InputError` with that line.
"""

import asyncio
import importlib
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict
from PIL import Image

from jaxembed import pictures
from jaxembed.artifacts import finished, history
from jaxembed.artifacts.workdir import METRICS
from jaxembed.cli import config_file
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.core.options import choose

if TYPE_CHECKING:
    import pandas

    from jaxembed.artifacts.diagnosis import Diagnosis
    from jaxembed.embed.encoder import Encoder
    from jaxembed.embed.vectors import Vectors

AnyPath = str | os.PathLike


class Figures(Mapping[str, Image.Image]):
    """The figures of a run by name, opened when they are looked up."""

    def __init__(self, folder: Path) -> None:
        """Find the figures in a folder."""
        self.files = {file.stem: file for file in sorted(folder.glob("*.png"))}

    def __getitem__(self, name: str) -> Image.Image:
        """Open a figure."""
        return pictures.open_rgb(self.files[name])

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self.files)

    def __len__(self) -> int:
        """Count the figures."""
        return len(self.files)

    def __repr__(self) -> str:
        """List the names."""
        return f"Figures({', '.join(self.files)})"


class Run:
    """A finished run.

    Attributes:
      folder: its folder.
      record: its result.json.
    """

    def __init__(self, folder: AnyPath) -> None:
        """Open a run; InputError if the folder holds no finished one."""
        self.folder = files.expanded(os.fspath(folder))
        self.record = finished.result(self.folder)

    def __repr__(self) -> str:
        """Say what was trained, and how good it is."""
        said = " × ".join(self.record[each] for each in ("dataset", "encoder", "objective"))
        split = self.record.get("split", "test")
        knn = self.record["metrics"].get(f"{split}/knn_accuracy")
        worth = f", kNN {100 * knn:.2f}% on {split}" if knn is not None else ""
        return f"Run({self.record['experiment']}, seed {self.record['seed']}: {said}{worth}; {self.folder})"

    def __fspath__(self) -> str:
        """Be a path, that of the folder, wherever one is taken."""
        return str(self.folder)

    @property
    def metrics(self) -> dict[str, float | None]:
        """What was measured: `<split>/<metric>` -> number; None where it is infinite."""
        return dict(self.record["metrics"])

    @property
    def figures(self) -> Figures:
        """The figures by name, as PIL images, which a notebook shows."""
        return Figures(self.folder / "figures")

    @cached_property
    def encoder(self) -> "Encoder":
        """The trained encoder, as `jaxembed.load` has it."""
        from jaxembed.embed import frozen  # here, because it imports jax

        return frozen.load(self.folder)

    @property
    def history(self) -> "pandas.DataFrame":
        """The lines of metrics.jsonl, a row for each; needs pandas."""
        return _frame(history.read(self.folder / METRICS))


def config(name: AnyPath, **overrides: Any) -> ConfigDict:
    """Load a config: a file, or the name of one that comes with the package.

    Args:
      name: such as "simclr_cifar", or the path of a file.
      **overrides: values by their dotted names, `**{"train.epochs": 20}`, or sections, `train={"epochs": 20}`.

    Raises:
      InputError: if there is no such config.
    """
    loaded = config_file.load(config_file.find(str(name)))
    for key, value in overrides.items():
        _override(loaded, key, value)
    return loaded


def train(
    experiment: "AnyPath | ConfigDict",
    *,
    workdir: AnyPath | None = None,
    seed: int | None = None,
    name: str | None = None,
    data_dir: AnyPath | None = None,
    track: str = "",
    **overrides: Any,
) -> Run:
    """Train and evaluate a run, or finish one that was stopped, as launch.py does.

    Args:
      experiment: a config, or the name or the file of one.
      workdir: the run's folder; None for checkpoints/<name>, plus -seed<seed> unless the seed is 0.
      seed: the seed; None for the config's.
      name: the experiment's name; None for the config's.
      data_dir: the folder of TFDS datasets; None for the default.
      track: the name of a tracker that gets the metrics as well.
      **overrides: as in `config`.

    Raises:
      InputError: if an option does not fit, or the folder holds a different run.
      Stopped: after an interrupt, once the state is saved.
      Diverged, OutOfMemory, Incomplete: as launch.py ends.
    """
    from jaxembed.jobs import commands, job  # here, because they import jax

    if isinstance(experiment, ConfigDict):
        title, asked = name or "run", ConfigDict(experiment.to_dict(), type_safe=False)
        line = "jaxembed.train(...)"
        for key, value in overrides.items():
            _override(asked, key, value)
    else:
        asked = config(experiment, **overrides)
        title = name or Path(experiment).stem
        seed = asked.seed if seed is None else seed
        line = job.command_of(config_file.find(str(experiment)), overrides, seed)
    asked.seed = asked.seed if seed is None else seed
    default = Path("checkpoints", f"{title}-seed{asked.seed}" if asked.seed else title)
    folder = files.expanded(os.fspath(workdir)) if workdir else default
    where = str(data_dir) if data_dir else None
    commands.train(job.Job(title, job.pinned(asked, folder), folder, line, where, track))
    return Run(folder)


def runs(folder: AnyPath = "checkpoints") -> "pandas.DataFrame":
    """Return the finished runs in a folder, a row for each: what it is, and what was measured; needs pandas.

    Those that cannot be read are left out.
    """
    from jaxembed.report.__main__ import collect

    found, _ = collect([files.expanded(os.fspath(folder))])
    keys = ("experiment", "dataset", "encoder", "objective", "seed", "split")
    return _frame(
        [
            {"folder": str(each.folder)} | {key: each.record[key] for key in keys} | each.record["metrics"]
            for each in found
        ]
    )


def embed(run: AnyPath, source: AnyPath, *, output: AnyPath | None = None, **options: Any) -> "Vectors":
    """Embed a folder of pictures or a dataset, as `jaxembed embed`; write them as well if `output` is given."""
    from jaxembed.embed import __main__ as program
    from jaxembed.embed.vectors import read

    with tempfile.TemporaryDirectory() as temporary:
        file = files.expanded(os.fspath(output)) if output else Path(temporary, "vectors.npz")
        program.main([*_words(run, source), f"--output={file}", *_flags(options)])
        embedded = read(file)
        return embedded if output else embedded._replace(embeddings=embedded.embeddings.copy())


def search(
    run: AnyPath, vectors: AnyPath, *queries: AnyPath, text: str = "", **options: Any
) -> list[dict[str, Any]]:
    """Find the nearest images of some pictures, as `jaxembed search --json`; no contact sheet is written."""
    program = importlib.import_module("jaxembed.search")  # whose name is this function's
    asked = program.parse(
        [*_words(run, vectors, *queries), *([f"--text={text}"] if text else []), *_flags(options)]
    )
    return program.listed(program.find(asked, *program.opened(asked)))


def doctor(
    run: AnyPath, source: AnyPath | None = None, *, output: AnyPath = "doctor", **options: Any
) -> "Diagnosis":
    """List likely errors of a dataset or a folder, as `jaxembed doctor`, and write its tables and picture."""
    from jaxembed.doctor import __main__ as program

    given = [] if source is None else [source]
    return program.examine(
        [*_words(run, *given), f"--output={files.expanded(os.fspath(output))}", *_flags(options)]
    )


def report(*folders: AnyPath, output: AnyPath = "report") -> Path:
    """Compare finished runs, as `jaxembed report`; return the page that is written."""
    from jaxembed.report import __main__ as program

    program.main([*_words(*folders), f"--output={files.expanded(os.fspath(output))}"])
    return files.expanded(os.fspath(output)) / "report.html"


class Explored:
    """A page that a thread of this process serves; a notebook on this machine shows it, others a link.

    Attributes:
      address: where it is; it contains the key that lets a browser in.
    """

    def __init__(self, asked: Any) -> None:
        """Load what is asked for, and serve it once this returns."""
        from jaxembed.explore import __main__ as program

        what = program.opened(asked)
        self.address, self._loop, self._ready = "", None, threading.Event()
        threading.Thread(target=self._serve, args=what, daemon=True).start()
        self._ready.wait()

    def _serve(self, *what: Any) -> None:
        from tornado.ioloop import IOLoop

        from jaxembed.explore import door, server

        asyncio.set_event_loop(asyncio.new_event_loop())
        *_, sockets = what
        guard = door.Door(sockets[0].getsockname()[1], frames=door.NOTEBOOKS)
        server.make(*what, guard)
        self.address, self._loop = guard.address, IOLoop.current()
        self._loop.add_callback(self._ready.set)
        self._loop.start()

    def stop(self) -> None:
        """Stop serving."""
        self._loop.add_callback(self._loop.stop)

    def __repr__(self) -> str:
        """Say where the page is."""
        return f"Explored({self.address})"

    def _repr_html_(self) -> str:
        # The host that a notebook's page usually has: a frame of another one gets no cookies.
        framed = self.address.replace("127.0.0.1", "localhost", 1)
        link = f'<a href="{self.address}" target="_blank">{self.address}</a>'
        return f'<iframe src="{framed}" style="width: 100%; height: 720px; border: 0"></iframe><p>{link}</p>'


def explore(run: AnyPath, source: AnyPath | None = None, **options: Any) -> Explored:
    """Serve a map of images, as `jaxembed explore` does, on a free port and from a thread of this process."""
    from jaxembed.explore import __main__ as program

    given = [] if source is None else [source]
    return Explored(program.parse([*_words(run, *given), "--port=0", *_flags(options)]))


def _override(loaded: ConfigDict, key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        choose(section, loaded, what=f"the section in the override {key!r}")
        loaded = loaded[section]
    if isinstance(value, Mapping) and isinstance(loaded.get(last), ConfigDict):
        for inner, each in value.items():
            _override(loaded[last], inner, each)
    else:
        loaded[last] = value


def _words(*given: AnyPath) -> list[str]:
    return [os.fspath(each) for each in given]


def _flags(options: Mapping[str, Any]) -> list[str]:
    """Write options as a command's arguments."""
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in options.items()
        if value is not False
    ]


def _frame(rows: list[dict[str, Any]]) -> "pandas.DataFrame":
    try:
        import pandas  # here, because it is an extra
    except ImportError as error:
        raise InputError("tables of runs need pandas: pip install 'jaxembed[notebook]'") from error
    return pandas.DataFrame(rows)

"""Files from strangers: none is run, whatever it says it is, and none is written where it should not be."""

import ast
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import archives
import numpy as np
import pytest
from tensorflow_datasets.image_classification.cifar import Cifar10

import jaxembed
from jaxembed import datasets
from jaxembed.artifacts import encoder_file, finished, samples
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import cache, download
from jaxembed.embed import frozen, vectors
from jaxembed.train import checkpoint, start

PACKAGE = Path(jaxembed.__file__).parent


class Malice:
    """An object whose unpickling leaves a trace, and that of an honest file would not."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.fixture
def trace(tmp_path):
    """A file that is there once something has been unpickled: the fixture sees to it that it is not."""
    file = tmp_path / "trace"
    pickle.loads(pickle.dumps(Malice(file)))
    assert file.exists()
    file.unlink()
    yield file
    assert not file.exists()


def archive(file: Path, trace: Path) -> None:
    """Write an .npz whose every array is a pickled object."""
    array = np.empty((), object)
    array[()] = Malice(trace)
    names = dict.fromkeys((*samples.Sample._fields, "embeddings", "names", "about"))
    with zipfile.ZipFile(file, "w") as opened:
        for name in names:
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=True)
            opened.writestr(f"{name}.npy", content.getvalue())


def plain(file: Path, trace: Path) -> None:
    """Write a pickle under a file's name."""
    file.write_bytes(pickle.dumps(Malice(trace)))


@pytest.mark.parametrize("write", [archive, plain])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        (samples.FILE, lambda file: samples.read(file.parent)),
        ("vectors.npz", vectors.read),
        ("vectors.npy", vectors.read),
        ("vectors.parquet", vectors.read),
        (encoder_file.FILE, encoder_file.read),
        (encoder_file.FILE, lambda file: frozen.load(file.parent)),
    ],
    ids=["sample", "vectors.npz", "vectors.npy", "vectors.parquet", "encoder", "run"],
)
def test_no_reader_unpickles(name, read, write, trace, tmp_path):
    write(tmp_path / name, trace)
    with pytest.raises(InputError):
        read(tmp_path / name)


@pytest.mark.parametrize("write", [archive, plain])
def test_a_cache_is_not_unpickled(write, trace, tmp_path):
    write(tmp_path / "stem-key.npz", trace)
    made = {"images": np.arange(3)}
    read = cache.load([tmp_path / "stem"], "key", lambda: made, what="data", check=lambda arrays: None)
    assert read["images"].tolist() == [0, 1, 2]


def test_a_picture_is_not_unpickled(trace, tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    plain(tmp_path / "pictures" / "a.png", trace)
    with pytest.raises(InputError, match="cannot be read"):
        datasets.load(
            {"name": "folder", "path": str(tmp_path / "pictures"), "size": 8, "validation": 0},
            data_dir=None,
            seed=0,
        )


def test_a_checkpoint_is_not_unpickled(trace, tmp_path, run, dataset):
    state = start.initial(run, dataset, seed=3)
    with checkpoint.Checkpoints(tmp_path / "checkpoint") as checkpoints:
        checkpoints.save(state, {})
    for file in (tmp_path / "checkpoint").rglob("*"):
        if file.is_file():
            plain(file, trace)
    with (
        pytest.raises(InputError, match="can be restored"),
        checkpoint.Checkpoints(tmp_path / "checkpoint") as checkpoints,
    ):
        checkpoints.restore(state)


@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_a_record_is_not_unpickled(name, trace, tmp_path):
    for each in ("config.json", "result.json"):
        (tmp_path / each).write_text("{}")
    plain(tmp_path / name, trace)
    with pytest.raises(InputError, match="damaged"):
        finished.read(tmp_path)


def test_the_package_neither_pickles_nor_evaluates_text():
    # Config files are Python, which config_file.py runs; nothing else is.
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"dill", "cloudpickle", "joblib", "marshal", "shelve"}, file
                # Which loads what it knows by name, and calls nothing else.
                assert "pickle" not in names or file.name == "pickled.py", file
                assert "runpy" not in names or file.name == "config_file.py", file
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), file
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), file
                assert node.value.value is False, file


def test_an_archive_writes_nothing_outside(tmp_path):
    folder = tmp_path / "in" / "archives"
    archives.write("cifar10", folder)
    (file,) = folder.iterdir()
    with tarfile.open(file) as opened:
        members = [(member, opened.extractfile(member).read()) for member in opened if member.isfile()]
    with tarfile.open(file, "w:gz") as opened:
        for member, content in [
            *members,
            *((tarfile.TarInfo(name), b"") for name in ("../out", f"{tmp_path}/out")),
        ]:
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        opened.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    classes, (images, _), _ = download._read_cifar(file, Cifar10(data_dir=tmp_path / "data")._cifar_info)
    assert (tuple(classes), len(images)) == (archives.CIFAR_CLASSES, archives.SIZES["train"])
    assert sorted(tmp_path.rglob("*")) == before

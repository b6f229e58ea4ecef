"""Downloads missing datasets and writes them as TFDS would, as ArrayRecord but without TensorFlow.

TFDS's own builders extract and encode with TensorFlow (tensorflow/datasets#11058), so only that part is replaced
here; the names, versions, features, checksums and the writing remain TFDS's.
"""

import contextlib
import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import requests
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image
from tensorflow_datasets.core.download import download_manager, downloader
from tensorflow_datasets.image_classification import cifar, mnist

from jaxembed.core import files, network
from jaxembed.core.errors import InputError

_Examples = Iterator[tuple[int, dict[str, Any]]]
_Arrays = tuple[np.ndarray, np.ndarray]
# Seconds until a server counts as unreachable.
_PATIENCE = 20.0


def prepare(name: str, data_dir: Path) -> Path:
    """Write a dataset's version folder under the data dir, completely or not at all.

    Archives in `<data_dir>/downloads/manual/<name>/` that have their original file names are used instead of a
    download; TFDS checks the SHA-256 of either.

    Args:
      name: one of SOURCES.
      data_dir: created if it does not exist.
    Returns:
      The folder, `<data_dir>/<name>/<version>`.
    Raises:
      InputError: if the data dir cannot be written, the server does not answer, or an archive is damaged.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        files.refuse_read_only(data_dir)
        tempfile.TemporaryFile(dir=data_dir).close()
        return _write(SOURCES[name](data_dir=data_dir), data_dir / "downloads" / "manual" / name)
    except OSError as error:
        raise InputError(
            f"{name} is not prepared, and {data_dir} cannot be written: {error}; use a different --data_dir or "
            "TFDS_DATA_DIR"
        ) from error


def _write(builder: tfds.core.GeneratorBasedBuilder, manual: Path) -> Path:
    """Prepare a dataset with its own manual folder: mnist and fashion_mnist use the same names for archives."""
    config = tfds.download.DownloadConfig(manual_dir=manual, force_checksums_validation=True)
    downloader.MAX_RETRIES = 3  # TFDS's default of ten takes over three minutes, without output
    try:
        for url, info in builder.url_infos.items():
            if not (manual / info.filename).exists():
                network.ask(url, seconds=_PATIENCE)
        builder.download_and_prepare(download_config=config, file_format="array_record")
    except (requests.RequestException, tfds.download.DownloadError) as error:
        archives = ", ".join(info.filename for info in builder.url_infos.values())
        raise InputError(
            f"{builder.name} is not prepared in {builder.data_dir} and cannot be downloaded "
            f"({' '.join(str(error).split())}); copy the prepared folder there, put {archives} into {manual}, "
            "or point --data_dir or TFDS_DATA_DIR at a data dir that already has it"
        ) from error
    except download_manager.NonMatchingChecksumError as error:
        # The first line names the file; the others are for the maintainers of the checksums.
        raise InputError(f"{str(error).splitlines()[0].rstrip(':')}; remove it and try again") from error
    return Path(builder.data_dir)


class _Idx:
    """The four archives of MNIST and of datasets in the same format."""

    def _split_generators(self, dl_manager: Any) -> dict[str, _Examples]:
        paths = dl_manager.download({info.filename: url for url, info in self.url_infos.items()})
        arrays = {name: _read_idx(path) for name, path in paths.items()}
        return {
            split: _examples(arrays[f"{prefix}-images-idx3-ubyte.gz"], arrays[f"{prefix}-labels-idx1-ubyte.gz"])
            for split, prefix in (("train", "train"), ("test", "t10k"))
        }


# TFDS finds the checksums of each class by its __module__ and name.
class _MNIST(_Idx, mnist.MNIST, skip_registration=True):
    __module__, name = mnist.MNIST.__module__, mnist.MNIST.name


class _FashionMNIST(_Idx, mnist.FashionMNIST, skip_registration=True):
    __module__, name = mnist.FashionMNIST.__module__, mnist.FashionMNIST.name


class _Cifar10(cifar.Cifar10, skip_registration=True):
    __module__, name = cifar.Cifar10.__module__, cifar.Cifar10.name

    def _split_generators(self, dl_manager: Any) -> dict[str, _Examples]:
        (url,) = self.url_infos
        classes, train, test = _read_cifar(dl_manager.download(url), self._cifar_info)
        self.info.features["label"].names = classes
        return {
            split: ((key, {**example, "id": f"{split}_{key:05d}"}) for key, example in _examples(*arrays))
            for split, arrays in (("train", train), ("test", test))
        }


SOURCES = {builder.name: builder for builder in (_MNIST, _FashionMNIST, _Cifar10)}


def _examples(images: np.ndarray, labels: np.ndarray) -> _Examples:
    for key, (image, label) in enumerate(zip(images, labels, strict=True)):
        png = io.BytesIO()
        Image.fromarray(image).save(png, format="PNG")
        yield key, {"image": png.getvalue(), "label": int(label)}


def _read_idx(path: os.PathLike) -> UInt8[np.ndarray, "..."]:
    """Read MNIST's format: two zero bytes, the type, the number of axes, their sizes, the data."""
    with _naming(path):
        content = gzip.decompress(Path(path).read_bytes())
        sizes = np.frombuffer(content, ">i4", count=content[3], offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + sizes.nbytes).reshape(sizes)


def _read_cifar(path: os.PathLike, layout: Any) -> tuple[list[str], _Arrays, _Arrays]:
    """Read the class names and both splits; each record is a label and an image [3, 32, 32]."""
    with _naming(path), tarfile.open(path) as archive:
        contents = {file.name: archive.extractfile(file).read() for file in archive if file.isfile()}

        def split(names: list[str]) -> _Arrays:
            content = b"".join(contents[layout.prefix + name] for name in names)
            records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
            return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]

        classes = contents[layout.prefix + layout.label_files[0]].decode().split()
        return classes, split(layout.train_files), split(layout.test_files)


@contextlib.contextmanager
def _naming(path: os.PathLike) -> Iterator[None]:
    """Replace any error from reading a damaged archive with an InputError that names the archive."""
    try:
        yield
    except (OSError, EOFError, ValueError, LookupError, zlib.error, tarfile.TarError) as error:
        raise InputError(f"{path} is damaged ({error!r}); remove it and try again") from error

"""Tiny datasets in the real formats: the archives that are downloaded, and prepared TFDS folders."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download import checksums

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZES = {"train": 10, "test": 4}

Arrays = tuple[np.ndarray, np.ndarray]


def images(n: int, *shape: int, classes: int = 10) -> Arrays:
    """Make n random images and labels; the first pixel counts them, so that they can be told apart."""
    random = np.random.default_rng(n)
    pixels = random.integers(0, 256, (n, *shape), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(n)
    return pixels, random.integers(0, classes, n)


def write(name: str, folder: Path) -> dict[str, Arrays]:
    """Write the archives of a dataset that jaxembed can prepare; return what they hold."""
    folder.mkdir(parents=True)
    return (_write_cifar if name == "cifar10" else _write_idx)(folder)


def url_infos(folder: Path, server: str) -> dict[str, checksums.UrlInfo]:
    """Describe archives as TFDS's table of checksums does."""
    return {f"{server}/{file.name}": checksums.compute_url_info(file) for file in sorted(folder.iterdir())}


def prepare(data_dir: Path, name: str, *, image, label, supervised, splits) -> dict[str, Arrays]:
    """Prepare a dataset that TFDS has no code for; the images have the shape 5×7×3 and three classes."""
    made = {split: images(6 + i, 5, 7, 3, classes=3) for i, split in enumerate(splits)}

    class Custom(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.2.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"picture": image, "kind": label})
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=supervised)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(*arrays) for split, arrays in made.items()}

        def _generate_examples(self, pixels, labels):
            for key, (picture, kind) in enumerate(zip(pixels, labels, strict=True)):
                png = io.BytesIO()
                Image.fromarray(picture).save(png, format="PNG")
                yield key, {"picture": png.getvalue(), "kind": int(kind)}

    Custom.name = name
    Custom(data_dir=data_dir).download_and_prepare(file_format="array_record")
    return made


def _write_idx(folder: Path) -> dict[str, Arrays]:
    made = {split: images(n, 28, 28, 1) for split, n in SIZES.items()}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pixels, labels = made[split]
        for file, array in ((f"{prefix}-images-idx3", pixels[..., 0]), (f"{prefix}-labels-idx1", labels)):
            header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">i4").tobytes()
            (folder / f"{file}-ubyte.gz").write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))
    return made


def _write_cifar(folder: Path) -> dict[str, Arrays]:
    made = {split: images(n, 32, 32, 3) for split, n in SIZES.items()}
    records = {
        split: np.concatenate(
            [labels[:, None].astype(np.uint8), pixels.transpose(0, 3, 1, 2).reshape(len(labels), -1)], axis=1
        )
        for split, (pixels, labels) in made.items()
    }
    files = {f"data_batch_{i + 1}.bin": part.tobytes() for i, part in enumerate(np.split(records["train"], 5))}
    files |= {"test_batch.bin": records["test"].tobytes(), "batches.meta.txt": "\n".join(CIFAR_CLASSES).encode()}
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made

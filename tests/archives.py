"""Tiny datasets in the real formats: the archives that are downloaded, and prepared TFDS folders."""

import gzip
import io
import json
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.core.download import checksums
from tensorflow_datasets.proto import tf_example_pb2

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZES = {"train": 10, "test": 4}

Arrays = tuple[np.ndarray, np.ndarray]
# A dataset that TFDS has no code for, as `prepare` takes it.
TREES = {
    "image": tfds.features.Image(shape=(5, 7, 3)),
    "label": tfds.features.ClassLabel(names=["ash", "beech", "cedar"]),
    "supervised": ("picture", "kind"),
    "splits": ("train", "test"),
}


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
                yield key, {"picture": encode(Image.fromarray(picture)), "kind": int(kind)}

    Custom.name = name
    Custom(data_dir=data_dir).download_and_prepare(file_format="array_record")
    return made


def rewrite(folder: Path, split: str, records: list[tuple[bytes, Any]]) -> None:
    """Replace the records of a split that `prepare` wrote: an encoded image and a label each, right or wrong."""
    (file,) = folder.glob(f"*-{split}.array_record-*")
    writer = array_record_module.ArrayRecordWriter(str(file), "group_size:1")
    for encoded, label in records:
        example = tf_example_pb2.Example()
        example.features.feature["picture"].bytes_list.value.append(encoded)
        kind = example.features.feature["kind"]
        (kind.float_list if isinstance(label, float) else kind.int64_list).value.append(label)
        writer.write(example.SerializeToString())
    writer.close()
    info = json.loads((folder / "dataset_info.json").read_text())
    for each in info["splits"]:
        if each["name"] == split:
            each["shardLengths"] = [str(len(records))]
    (folder / "dataset_info.json").write_text(json.dumps(info))


def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode a picture as a file of a format."""
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return stream.getvalue()


def png16(values: np.ndarray) -> bytes:
    """Encode uint16 [h, w, c] as a PNG with 16 bits a channel, which Pillow cannot write for c > 1."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


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

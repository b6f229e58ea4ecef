"""A dataset by its TFDS name: read from a prepared ArrayRecord folder, which is made first where we can."""

import os
import re
from pathlib import Path

from jaxembed import datasets
from jaxembed.core import files, options
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import description, records
from jaxembed.types import Published


def load(name: str, data_dir: str | None, resident: float) -> Published:
    """Load a dataset by its name, or name/config.

    Args:
      name: prepared under the data dir as ArrayRecord, or one of download.SOURCES, which is then downloaded.
      data_dir: the folder with prepared datasets; None is TFDS_DATA_DIR, or else ~/tensorflow_datasets, as in TFDS.
      resident: GB of decoded train images that may be in memory; more than that stay on disk.
    Raises:
      InputError: if the name is unknown or its data is not available, is no image classification dataset or is
        damaged.
    """
    root = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return records.load(name, _find(name, files.expanded(root)), resident=resident)


def _find(name: str, root: Path) -> Path:
    """Return the version folder of a prepared dataset, preparing it first where we can."""
    prepared = _prepared(root)
    if name in prepared:
        return prepared[name]
    # Imported here because TFDS takes most of a second, and a cached dataset does without it.
    import tensorflow_datasets as tfds

    from jaxembed.datasets.storage import download

    known = dict.fromkeys((*datasets.sources(), *download.SOURCES, *prepared))
    if name not in known and name.split("/")[0] in tfds.list_builders(with_community_datasets=False):
        raise InputError(
            f"{name} is not prepared in {root} (there is: {description.listed(prepared)}); prepare it with "
            f"`tfds build {name} --file_format=array_record --data_dir={root}`, which needs TensorFlow"
        )
    options.choose(name, known, what="config.data.name")
    return download.prepare(name, root)


def _prepared(root: Path) -> dict[str, Path]:
    """Map each name or name/config to its latest version; TFDS writes to a temporary folder and renames it last."""
    described = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    folders = [file.parent for file in described if re.fullmatch(r"\d+\.\d+\.\d+", file.parent.name)]
    folders.sort(key=lambda folder: [int(number) for number in folder.name.split(".")])
    latest = {folder.parent.relative_to(root).as_posix(): folder for folder in folders}
    return dict(sorted(latest.items()))

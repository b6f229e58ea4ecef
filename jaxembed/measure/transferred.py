"""Transferred: another dataset, embedded by the frozen encoder of a run."""

from typing import Any

import numpy as np

from jaxembed import datasets
from jaxembed.artifacts import identity
from jaxembed.core.errors import InputError
from jaxembed.embed import frozen, onnx, sources
from jaxembed.evaluate.evaluation import Embeddings
from jaxembed.measure import embedded
from jaxembed.measure.embedded import Embedded
from jaxembed.types import Batch, Dataset


def make(asked: Any) -> Embedded:
    """Embed the dataset of --on with the encoder of a run."""
    encoder = frozen.load(asked.vectors, onnx.of_arguments(asked))
    saved = identity.current(encoder.saved.config)
    # A published encoder has a distance, but no protocol of its own.
    settings = embedded.PROTOCOL | saved["evaluate"]
    own = asked.on == saved["data"].get("name")
    seed, validation = embedded.divided(asked, saved if own else {"seed": saved.get("seed", 0)})
    section = sources.section(asked.on, encoder.preparation) | {"validation": validation}
    dataset = datasets.load(section, data_dir=asked.data_dir, seed=seed)
    if asked.train is not None:
        dataset = _reduced(dataset, asked.train, seed)
    dataset = encoder.convert(dataset)
    vectors = Embeddings(encoder.embed_splits(dataset))
    kept = {} if asked.train is None else {"train": asked.train}
    config = saved | {
        "data": {"name": asked.on, "validation": validation, "trained_on": saved["data"]} | kept,
        "evaluate": embedded.without_views(settings, asked.distance),
        "seed": seed,
        "name": encoder.name,
    }
    trained_on = encoder.saved.dataset or saved["data"].get("name")
    return Embedded(dataset, vectors, config, encoder.saved.sha256, trained_on)


def _reduced(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Keep some train images, which the seed chooses; InputError unless there are so many."""
    n = len(dataset.train.labels)
    if not 0 < count <= n:
        raise InputError(f"--train must be from 1 to the {n} train images of {dataset.name}, got {count}")
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:count])
    train = Batch(dataset.train.images[rows], dataset.train.labels[rows])
    names = {**dataset.names, "train": dataset.names["train"][rows]} if dataset.names else {}
    return dataset._replace(train=train, names=names)

"""Transferred: another dataset, embedded by the frozen encoder of a run."""

from typing import Any

from jaxembed import datasets
from jaxembed.artifacts import identity
from jaxembed.embed import frozen, sources
from jaxembed.evaluate.evaluation import Embeddings
from jaxembed.measure import embedded
from jaxembed.measure.embedded import Embedded


def make(asked: Any) -> Embedded:
    """Embed the dataset of --on with the encoder of a run."""
    encoder = frozen.load(asked.vectors)
    saved = identity.current(encoder.saved.config)
    own = asked.on == saved["data"]["name"]
    seed, validation = embedded.divided(asked, saved if own else {"seed": saved.get("seed", 0)})
    section = sources.section(asked.on, encoder.shape) | {"validation": validation}
    dataset = encoder.convert(datasets.load(section, data_dir=asked.data_dir, seed=seed))
    vectors = Embeddings(encoder.embed_splits(dataset))
    config = saved | {
        "data": {"name": asked.on, "validation": validation, "trained_on": saved["data"]},
        "evaluate": embedded.without_views(saved["evaluate"], asked.distance),
        "seed": seed,
        "name": encoder.name,
    }
    trained_on = encoder.saved.dataset or saved["data"]["name"]
    return Embedded(dataset, vectors, config, encoder.saved.sha256, trained_on)

"""Finished runs by hand: folders as launch.py leaves them, of 30 tiny images, without a training."""

import json
from pathlib import Path

import numpy as np

from jaxembed.artifacts import diagnosis, finished, samples
from jaxembed.artifacts.diagnosis import Diagnosis, Table
from jaxembed.artifacts.finished import Finished
from jaxembed.artifacts.samples import Sample
from jaxembed.core import files
from jaxembed.evaluate import sampling
from jaxembed.metrics import overlap

CLASSES = ("cat & <dog>", "sea", "sky")


def make(
    folder: Path, *, experiment="one", dataset="rows", seed=0, shape=(9, 7, 1), metrics=None, **options
) -> Finished:
    """Write a run's folder and read it; `metrics` replace some, `options` are keys of config.encoder."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    config = {"seed": seed, "data": {"name": dataset}, "encoder": {"name": "fc", "latent": 4} | options}
    config |= {"objective": {"name": "margin"}, "train": {"epochs": 4, "batch_size": 8}}
    probe = {"epochs": 2, "learning_rate": 0.1}
    protocol = {"neighbours": 3, "distance": "euclidean", "linear": probe, "mlp": probe | {"dropout": 0.0}}
    config |= {"evaluate": protocol | {"views": 4, "augmentation": {"flip": {"p": 0.5}}}}
    measured = {"knn_accuracy": 0.8, "linear_accuracy": 0.7, "mlp_accuracy": 0.75, "map_at_r": 0.5}
    measured |= {"recall_at_1": 0.8, "silhouette": 0.25, "between_distance": 4.0, "distance_ratio": 0.5}
    measured |= {"distance_overlap": 0.4, "cdnv": 0.3, "rankme": 3.5, "trustworthiness": 0.9} | (metrics or {})
    record = {
        "experiment": experiment,
        "command": f"python launch.py --config=configs/{experiment}.py --seed={seed}",
        "dataset": dataset,
        "encoder": "fc",
        "objective": "margin",
        "seed": seed,
        "distance": "euclidean",
        "steps": 12,
        "epochs": 4,
        "device": "CPU, 2 cores",
        "parameters": {"encoder": 1234, "head": 56},
        "train_seconds": 7.5,
        "images_per_second": 123.4,
        "versions": {"jaxembed": "0.1.0", "jax": "0.10.2"},
        "encoder_sha256": f"{experiment}{seed}{options}",
        "collapsed": False,
        "metrics": {f"test/{name}": value for name, value in measured.items()} | {"validation/loss": 0.4},
    }
    record["metrics"]["validation/knn_accuracy"] = 0.82
    for name in ("knn", "linear"):
        few = {"1_label": 0.4, "10_labels": 0.6, "100_labels": 0.7, "1_label_sd": 0.05, "10_labels_sd": 0.02}
        few |= {"100_labels_sd": 0.01}
        defaults = {f"test/{name}_accuracy_{count}": value for count, value in few.items()}
        record["metrics"] = defaults | record["metrics"]
    lines = [
        {"step": step, "epoch": step / 3, "seconds": step / 2, "train/loss": 2 / step} for step in range(1, 13)
    ]
    for step, accuracy in ((3, 0.5), (6, 0.6)):
        seen = {"validation/loss": 0.5, "validation/knn_accuracy": accuracy}
        lines.append({"step": step, "epoch": step / 3, "seconds": step / 2} | seen)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files.write_json(folder / "result.json", record)
    sample = shown(random, shape)
    samples.write(sample, folder)
    diagnosis.write(suspected(sample.images), folder)
    return finished.read(folder)


def suspected(images: np.ndarray) -> Diagnosis:
    """What a doctor might find in those images: three rows of each kind."""
    tables = {}
    for at, (name, kind) in enumerate(diagnosis.KINDS.items()):
        rows = (np.arange(3 * kind.images) + at).reshape(3, kind.images)
        names = np.array([[f"test/{row}" for row in pair] for pair in rows])
        scores = {score: np.array([0.1, 0.2, 0.3], np.float32) for score in kind.scores}
        proposed = (rows[:, 0] + 1) % 3 if name == "labels" else None
        tables[name] = Table(names, rows % 3, scores, images[rows], proposed)
    return Diagnosis(np.array(CLASSES), (30, 30), tables)


def shown(random: np.random.Generator, shape: tuple[int, int, int]) -> Sample:
    """30 images of three classes whose first pixel is their place among the test images."""
    n, across = 30, sampling.ACROSS
    labels = (np.arange(n) % 3).astype(np.int32)
    images = np.zeros((n, *shape), np.uint8)
    images[:, 0, 0] = 5 * np.arange(n)[:, None]
    images[:, 2:, 1:] = np.random.default_rng(0).integers(0, 255, (n, shape[0] - 2, shape[1] - 1, shape[2]))
    points = random.normal(size=(n, 2)) + 4 * np.stack([labels, labels**2], axis=1)
    nearest = np.argsort(((points[:, None] - points[None]) ** 2).sum(-1), axis=1)[:, 1 : 1 + sampling.NEAR]
    grid = images[np.arange(3 * across) % n].reshape(3, across, *shape)
    return Sample(
        classes=np.array(CLASSES),
        rows=np.arange(n) + 100,
        images=images,
        labels=labels,
        predicted=np.where(np.arange(n) % 7 == 0, (labels + 1) % 3, labels),
        points=points.astype(np.float32),
        nearest=nearest,
        edges=np.linspace(0, 8, overlap.BINS + 1),
        same=np.full(overlap.BINS, 0.01),
        different=np.linspace(0, 0.02, overlap.BINS),
        confusion=np.array([[8, 1, 1], [0, 10, 0], [2, 0, 8]], np.int32),
        queries=images[:3],
        query_labels=labels[:3],
        found=images[np.arange(24).reshape(3, 8)],
        found_labels=labels[np.arange(24).reshape(3, 8)],
        seen=images[:across][None].repeat(5, axis=0),
        errors=np.linspace(0.1, 0.4, 3 * across).reshape(3, across),
        originals=grid,
        reconstructions=255 - grid,
    )

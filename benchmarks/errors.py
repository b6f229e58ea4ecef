"""Which way of learning finds the errors of a dataset best? Planted copies and wrong labels, by average precision.

  python -m benchmarks.errors mnist RUN... --output=docs/results/errors/mnist.json

RUN are folders of runs. Copies: 200 train images are put into the test split once more (as they are, moved by 2
pixels, recoloured, or as JPEG), and each test image is paired with its nearest train image; runs that were trained
on the dataset itself count. Wrong labels: 5% of the train labels, in any class or in a similar one; runs that were
trained on those labels (dataset noisy_labels) count, and those that use no labels. The pixels themselves are the
baseline. Three draws each.
"""

import argparse
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from jaxembed import datasets, pictures
from jaxembed.artifacts import identity
from jaxembed.core import files
from jaxembed.datasets import noisy_labels
from jaxembed.devices import mesh
from jaxembed.doctor import duplicates, labels
from jaxembed.embed import frozen
from jaxembed.kernels import nearest, space
from jaxembed.report import methods
from jaxembed.types import Published

COPIES, SHARE, DRAWS, NEIGHBOURS = 200, 0.05, 3, 10
# For each class the one that it is taken for: of MNIST and CIFAR-10 as in section 5 of Patrini et al. 2017
# (arXiv:1609.03683); of Fashion-MNIST what looks alike.
SIMILAR = {
    "mnist": (0, 1, 7, 8, 4, 6, 5, 1, 8, 9),
    "fashion_mnist": (6, 1, 4, 3, 2, 7, 0, 5, 8, 9),
    "cifar10": (0, 1, 0, 5, 7, 3, 6, 7, 8, 1),
}
Embed = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Measure the runs on a dataset, and write the result."""
    parser = argparse.ArgumentParser("python -m benchmarks.errors", description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", choices=SIMILAR)
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    published = datasets.published({"name": options.dataset}, data_dir=None, resident=float("inf"), what="dataset")
    record = {"dataset": options.dataset, "device": mesh.described(), "copies": {}, "labels": {}, "runs": []}
    for name, kind, draw, embed, distance, about in _subjects(options.dataset, options.runs):
        if about:
            record["runs"].append(about)
        if kind is None:
            record["copies"][name] = copies(published, embed, distance=distance)
            print(name, json.dumps(record["copies"][name]), flush=True)
        for each, precisions in wrong_labels(options.dataset, published, embed, kind, draw, name, distance).items():
            record["labels"].setdefault(name, {}).setdefault(each, []).extend(precisions)
            print(name, each, precisions, flush=True)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(options.output, record)


def _subjects(dataset: str, runs: list[str]) -> Iterator[tuple]:
    """Yield (name, kind of its wrong labels or None, their draw, embed, distance, what the run is)."""
    yield "pixels", None, None, lambda images: images.reshape(len(images), -1).astype(np.float32), "euclidean", None
    for folder in runs:
        encoder = frozen.load(folder)
        config = identity.current(encoder.saved.config)
        data, kind, draw = config["data"], None, None
        if data["name"] == "noisy_labels":
            kind, draw, data = "similar" if data["becomes"] else "any", data["draw"], data["of"]
        if data["name"] != dataset:
            raise SystemExit(f"{folder} was trained on {data['name']}")
        about = {"experiment": encoder.name, "seed": config["seed"], "epochs": config["train"]["epochs"]}
        about |= {"labels": kind or "as published", "encoder_sha256": encoder.saved.sha256}
        yield config["objective"]["name"], kind, draw, encoder.embed_pixels, encoder.distance, about


def copies(published: Published, embed: Embed, *, distance: str) -> dict[str, dict[str, list[float]]]:
    """Plant copies, and measure how well the pairs with the least relative distance are those: kind -> metrics."""
    train, test = published.train.images, published.test.images
    parts = [embed(train), embed(test)]
    n, m = len(train), len(test)
    found: dict[str, dict[str, list[float]]] = {}
    pairings = []
    for draw in range(DRAWS):
        chosen = np.random.default_rng(draw).choice(n, COPIES, replace=False)
        for kind, change in KINDS.items():
            copied = change(train[chosen], np.random.default_rng(draw))
            pairings.append((kind, chosen, copied))
            parts.append(embed(copied))
    points = space.of(np.concatenate(parts), distance=distance)
    images = np.concatenate([train, test, *(copied for *_, copied in pairings)])
    # What is from the test split is the same for all.
    tested = _across(points[:n], points[n : n + m])
    for number, (kind, chosen, _) in enumerate(pairings):
        start = n + m + number * COPIES
        planted = _across(points[:n], points[start : start + COPIES])
        planted = planted._replace(rows=planted.rows + np.array([start - n, 0]))
        both = duplicates.Pairs(*(np.concatenate(each) for each in zip(tested, planted, strict=True)))
        order = np.argsort(both.relative, kind="stable")
        ranked = duplicates.Pairs(*(array[order] for array in both))
        confirmed, _ = duplicates.by_pixels(ranked, lambda rows: images[rows])

        def right(each: duplicates.Pairs, chosen: np.ndarray = chosen, start: int = start) -> np.ndarray:
            copy = each.rows[:, 0] - start
            return (copy >= 0) & (chosen[np.maximum(copy, 0)] == each.rows[:, 1])

        metrics = found.setdefault(kind, {"average_precision": [], "recall_at_200": [], "confirmed_at_200": []})
        metrics["average_precision"].append(average_precision(right(ranked), COPIES))
        metrics["recall_at_200"].append(float(right(ranked)[:COPIES].sum() / COPIES))
        metrics["confirmed_at_200"].append(float(right(confirmed)[:COPIES].sum() / COPIES))
    return found


def _across(train: np.ndarray, queries: np.ndarray) -> duplicates.Pairs:
    parts = np.repeat([0, 1], [len(train), len(queries)])
    return duplicates.across(np.concatenate([train, queries]), parts, neighbours=NEIGHBOURS)


def wrong_labels(
    dataset: str, published: Published, embed: Embed, kind: str | None, draw: int | None, name: str, distance: str
) -> dict[str, list[float]]:
    """Measure how well the labels with the least support are the wrong ones: kind -> average precision by draw."""
    if kind is None and name != "pixels" and not methods.is_unlabelled(name):
        return {}
    points = space.of(embed(published.train.images), distance=distance)
    found, _ = nearest.others(points, neighbours=NEIGHBOURS)
    measured: dict[str, list[float]] = {}
    for each, becomes in {"any": (), "similar": SIMILAR[dataset]}.items():
        for number in range(DRAWS):
            if kind in (None, each) and draw in (None, number):
                clean = published.train.labels
                noisy = noisy_labels.mislabel(
                    clean, share=SHARE, classes=len(published.classes), becomes=becomes, draw=number
                )
                support = labels.judge(points, noisy, found).support
                wrong = (noisy != clean)[np.argsort(support, kind="stable")]
                measured.setdefault(each, []).append(average_precision(wrong, int(wrong.sum())))
    return measured


def average_precision(hits: np.ndarray, total: int) -> float:
    """Average the precision at each hit of a ranking; those that are not in it count as 0."""
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precisions[hits].sum() / total)


def _moved(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Move each image by 2 pixels up, down, left or right; what enters has the colour of the edge."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    n, height, width, _ = images.shape
    starts = np.array([(0, 2), (4, 2), (2, 0), (2, 4)])[random.integers(0, 4, n)]
    return np.stack([image[y : y + height, x : x + width] for image, (y, x) in zip(padded, starts, strict=True)])


def _recoloured(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change the contrast of each channel to 0.7 to 1, and brighten it by up to 60 of 255."""
    shape = (len(images), 1, 1, images.shape[3])
    changed = images * random.uniform(0.7, 1.0, shape) + random.uniform(0, 60, shape)
    return np.rint(changed.clip(0, 255)).astype(np.uint8)


def _as_jpeg(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Encode each image as a JPEG of quality 75, Pillow's default."""
    decoded = []
    for image in images:
        pictures.from_array(image).save(stream := io.BytesIO(), "JPEG", quality=75)
        decoded.append(np.asarray(Image.open(stream)).reshape(image.shape))
    return np.stack(decoded)


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "exact": lambda images, random: images,
    "moved": _moved,
    "recoloured": _recoloured,
    "jpeg": _as_jpeg,
}

if __name__ == "__main__":
    main()

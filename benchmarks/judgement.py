"""Does the doctor find what people have found? Its rankings against their judgement of MNIST and CIFAR.

  python -m benchmarks.judgement cifar10 RUN --originals=cifar-10-batches-bin \
    --copies=duplicates_cifar10.csv --labels=cifar10_mturk.json
  python -m benchmarks.judgement mnist RUN --originals=t10k-images-idx3-ubyte.gz --labels=mnist_mturk.json

--copies is ciFAIR's list of test images with a twin in train (Barz & Denzler 2020, meta/ in cvjena/cifair): CSV
with TestID, TrainID and Judgment (0 exact, 1 the same shot, 2 very similar). --labels is what five people each say
of labels that confident learning doubts (Northcutt et al. 2021; mturk/ in cleanlab/label-errors): JSON, a list of
objects with `id`, an index of the test split, and `mturk`, the votes, of which `given` is how many chose the label.
A label is wrong if fewer than three did. Recall counts the first 1,000 rows of the doctor's table, as a user gets
it; the average precision is that of the whole ranking, of labels among those that people judged.

Both count images in the order in which the dataset was published, which a prepared one need not have: --originals
has them in that order, CIFAR's as the folder of its binary version, MNIST's test images as an idx file.
"""

import argparse
import collections
import csv
import gzip
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from benchmarks import errors
from jaxembed import datasets
from jaxembed.artifacts.diagnosis import ROWS, Table
from jaxembed.cli import command
from jaxembed.core.errors import InputError
from jaxembed.doctor import examination
from jaxembed.embed import frozen

# Each dataset's files of a split, and the bytes before an image's pixels.
FILES = {
    "cifar10": {"train": tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test": ("test_batch.bin",)},
    "cifar100": {"train": ("train.bin",), "test": ("test.bin",)},
}
LABELS = {"cifar10": 1, "cifar100": 2}
SHAPES = {"cifar10": (3, 32, 32), "cifar100": (3, 32, 32), "mnist": (28, 28)}
_IDX = 16
# ciFAIR's judgement of images that are only very similar; of five votes for a label, those that make it right.
SIMILAR, RIGHT = 2, 3


class Result(NamedTuple):
    """How well a ranking finds what people have found.

    Attributes:
      kind: what was judged.
      judged: how many images were.
      found: how many of them people found.
      listed: how many of those are in the doctor's table, its first rows.
      precision: the average precision of the whole ranking.
    """

    kind: str
    judged: int
    found: int
    listed: int
    precision: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Examine a dataset by a run, and print what of people's judgement it agrees with."""
    parser = argparse.ArgumentParser("python -m benchmarks.judgement", description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", choices=SHAPES)
    parser.add_argument("run", help="a run's folder, or a pretrained encoder")
    parser.add_argument("--originals", type=Path, required=True, help="the images as they were published")
    parser.add_argument("--copies", type=Path, help="ciFAIR's CSV")
    parser.add_argument("--labels", type=Path, help="cleanlab's JSON")
    parser.add_argument("--data_dir", help=command.DATA_DIR)
    asked = parser.parse_args(arguments)
    if not (asked.copies or asked.labels):
        raise InputError("there must be --copies, --labels or both")
    copies = read_copies(asked.copies) if asked.copies else []
    judged = read_labels(asked.labels) if asked.labels else {}
    encoder = frozen.load(asked.run)
    dataset = datasets.load({"name": asked.dataset, "validation": 0}, data_dir=asked.data_dir, seed=0)
    order = {
        f"{split}/{row}": index
        for split in ("train", "test")
        if split == "test" or copies
        for row, index in enumerate(
            published(asked.dataset, asked.originals, split, getattr(dataset, split).images)
        )
    }
    dataset = encoder.convert(dataset)
    embeddings = encoder.embed_splits(dataset)
    rows = sum(map(len, embeddings.values()))
    found = examination.examine(dataset, embeddings, distance=encoder.distance, rows=rows).tables
    results = [*of_copies(found.get("leaks"), copies, order)] if copies else []
    show(results + ([of_labels(found.get("labels"), judged, order)] if judged else []))


def published(name: str, path: Path, split: str, images: UInt8[np.ndarray, "n h w c"]) -> list[int]:
    """Return the index of each image of a split in the order in which the dataset was published.

    Raises:
      InputError: if the path has not the dataset's files, or an image is not in them.
    """
    places = collections.defaultdict(collections.deque)
    for index, image in enumerate(_originals(name, path, split)):
        places[_digest(image)].append(index)
    found = [places[digest].popleft() if places[digest] else -1 for digest in map(_digest, images)]
    if missing := found.count(-1):
        raise InputError(f"{path} has not {missing:,} of the {len(images):,} images of {name}'s {split} split")
    return found


def read_copies(file: Path) -> list[tuple[int, int, int]]:
    """Read ciFAIR's list: (index in test, index in train, judgement) of each pair; InputError if it is none."""
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        return [(int(row["TestID"]), int(row["TrainID"]), int(row["Judgment"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{file} must be CSV with TestID, TrainID and Judgment: {error}") from error


def read_labels(file: Path) -> dict[int, bool]:
    """Read cleanlab's votes: index in test -> whether the label is wrong; InputError if it holds none."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        return {int(each["id"]): int(each["mturk"]["given"]) < RIGHT for each in record}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} must be JSON, a list of objects with id and mturk.given: {error}") from error


def of_copies(
    ranked: Table | None, judged: Sequence[tuple[int, int, int]], order: Mapping[str, int]
) -> Iterator[Result]:
    """Measure how well pairs across train and test are those that people found, by test image.

    Args:
      ranked: the doctor's pairs; None if there are none.
      judged: index in test, index in train and judgement of each pair.
      order: the published index of each image, by its name in the tables.
    """
    pairs = [(order[f"test/{test}"], order[train]) for test, train in _pairs(ranked)] if ranked else []
    tests = [test for test, _ in pairs]
    same = {test for test, _, judgement in judged if judgement < SIMILAR}
    similar = {test for test, *_ in judged} - same
    # Those that are only similar are neither right nor wrong.
    alone = [test for test in tests if test not in similar]
    yield _result("the same picture in test and train", alone, same, tests[:ROWS])
    yield _result("the same or a very similar one", tests, same | similar, tests[:ROWS])
    twins = {(test, train) for test, train, _ in judged}
    yield _result("the same or a very similar one, with this twin", pairs, twins, pairs[:ROWS])


def of_labels(ranked: Table | None, judged: Mapping[int, bool], order: Mapping[str, int]) -> Result:
    """Measure how well the ranking of labels has those first that people call wrong, among those they judged."""
    rows = list(map(_tested, ranked.names[:, 0].tolist())) if ranked else []
    tests = [None if row is None else order[f"test/{row}"] for row in rows]
    wrong = {index for index, is_wrong in judged.items() if is_wrong}
    result = _result("wrong labels", [index for index in tests if index in judged], wrong, tests[:ROWS])
    return result._replace(judged=len(judged))


def show(results: Sequence[Result]) -> None:
    """Print results as a Markdown table."""
    print("| people's judgement | judged | found by people | by the doctor | recall | average precision |")
    print("|---|---:|---:|---:|---:|---:|")
    for each in results:
        recall = f"{each.listed / each.found:.1%}" if each.found else "–"
        numbers = f"{each.judged:,} | {each.found:,} | {each.listed:,} | {recall} | {each.precision:.1%}"
        print(f"| {each.kind} | {numbers} |")


def _result(kind: str, ranked: Sequence, right: set, listed: Sequence) -> Result:
    hits = np.array([each in right for each in ranked], bool)
    precision = errors.average_precision(hits, len(right)) if right else float("nan")
    return Result(kind, len(right), len(right), len(right & set(listed)), precision)


def _pairs(ranked: Table) -> Iterator[tuple[str, str]]:
    """Yield the row in test and the name in train of each pair."""
    for names in ranked.names.tolist():
        tests = [_tested(name) for name in names]
        if sum(row is not None for row in tests) == 1:
            yield next(row for row in tests if row is not None), names[tests.index(None)]


def _tested(name: str) -> str | None:
    split, _, row = name.partition("/")
    return row if split == "test" else None


def _originals(name: str, path: Path, split: str) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    """Read a split's images in the order in which they were published."""
    shape = SHAPES[name]
    try:
        if name not in FILES:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            yield from np.frombuffer(content, np.uint8, offset=_IDX).reshape(-1, *shape, 1)
            return
        skipped = LABELS[name]
        for file in FILES[name][split]:
            rows = np.frombuffer((path / file).read_bytes(), np.uint8).reshape(-1, skipped + int(np.prod(shape)))
            yield from rows[:, skipped:].reshape(-1, *shape).transpose(0, 2, 3, 1)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--originals {path} has not {name}'s {split} images as published: {error}") from error


def _digest(image: UInt8[np.ndarray, "h w c"]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()


if __name__ == "__main__":
    sys.exit(command.run("judgement", main))

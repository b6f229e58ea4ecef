"""The doctor against people's judgement: files in the published formats, in which what is planted is found."""

import gzip
import json

import numpy as np
import pytest

from benchmarks import judgement
from jaxembed import datasets
from jaxembed.cli import command
from jaxembed.core.errors import InputError
from jaxembed.doctor import examination
from jaxembed.types import Batch, Published

RANDOM = np.random.default_rng(0)
TRAIN, TEST, TWINS = 80, 40, 6
# As in the repository of ciFAIR, and in that of label-errors.
HEAD = "TestID,TrainID,Distance,Judgment\n"


class Pixels:
    """Embeds images as the means of their quarters, which tell the classes and the copies."""

    distance = "euclidean"

    def convert(self, dataset):
        return dataset

    def embed_splits(self, dataset):
        return {split: self.embed(getattr(dataset, split).images) for split in ("train", "test")}

    def embed(self, images):
        n, height, width, channels = images.shape
        blocks = images.reshape(n, 4, height // 4, 4, width // 4, channels).astype(np.float32)
        return blocks.mean(axis=(2, 4)).reshape(n, -1)


def images(count: int, shape: tuple[int, ...], labels) -> np.ndarray:
    noise = RANDOM.integers(0, 60, (count, 4, 4, shape[-1]))
    blocks = np.kron(noise, np.ones((1, shape[0] // 4, shape[1] // 4, 1)))
    return (blocks + 150 * labels[:, None, None, None]).astype(np.uint8)


@pytest.fixture
def planted(monkeypatch):
    """Make a dataset with twins and wrong labels, whose order is not the published one: (train, test, wrong)."""

    def plant(shape):
        labels = [np.arange(count) % 2 for count in (TRAIN, TEST)]
        train, test = (images(len(each), shape, each) for each in labels)
        test[:TWINS] = np.clip(train[:TWINS].astype(int) + 2, 0, 255)  # judged 0 or 1
        wrong = [20, 23, 31]
        given = labels[1].copy()
        given[wrong] = 1 - given[wrong]
        order = [RANDOM.permutation(count) for count in (TRAIN, TEST)]
        published = Published(
            ("a", "b"),
            Batch(train[order[0]], labels[0][order[0]].astype(np.int32)),
            Batch(test[order[1]], given[order[1]].astype(np.int32)),
        )
        monkeypatch.setattr(datasets, "_published", lambda *_: published)
        monkeypatch.setattr(judgement.frozen, "load", lambda run: Pixels())
        return train, test, wrong

    return plant


def votes(file, wrong, right) -> None:
    """Write what five people say of labels."""
    record = [
        {"id": index, "given_original_label": 0, "mturk": {"given": given, "guessed": 5 - given, "neither": 0}}
        for index, given in [*((each, 2) for each in wrong), *((each, 3) for each in right)]
    ]
    file.write_text(json.dumps(record))


def rows(printed: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    return {kind: numbers for kind, *numbers in lines[1:]}


def test_planted_twins_and_wrong_labels_of_cifar_are_found_by_the_published_files(planted, tmp_path, capsys):
    train, test, wrong = planted((32, 32, 3))
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    stored = [np.hstack([np.zeros((len(each), 1), np.uint8), each.transpose(0, 3, 1, 2).reshape(len(each), -1)])
              for each in (train, test)]  # fmt: skip
    for number, part in enumerate(np.split(stored[0], 5), start=1):
        (folder / f"data_batch_{number}.bin").write_bytes(part.tobytes())
    (folder / "test_batch.bin").write_bytes(stored[1].tobytes())
    listed = [f"{index},{index},0.1,{index % 2}\n" for index in range(TWINS)] + ["39,0,0.3,2\n"]
    (tmp_path / "twins.csv").write_text(HEAD + "".join(listed))
    votes(tmp_path / "votes.json", wrong, [7, 8, 9, 10])
    words = ["cifar10", "any", f"--originals={folder}", f"--copies={tmp_path / 'twins.csv'}"]
    assert command.run("judgement", judgement.main, [*words, f"--labels={tmp_path / 'votes.json'}"]) == 0
    found = rows(capsys.readouterr().out)
    assert found["the same picture in test and train"] == ["6", "6", "6", "100.0%", "100.0%"]
    # All 40 test images are in the table, also the one that was planted as similar and is not.
    assert found["the same or a very similar one"][:4] == ["7", "7", "7", "100.0%"]
    assert found["the same or a very similar one, with this twin"][:4] == ["7", "7", "6", "85.7%"]
    assert found["wrong labels"] == ["7", "3", "3", "100.0%", "100.0%"]


def test_wrong_labels_of_mnist_are_counted_in_the_published_order(planted, tmp_path, capsys, monkeypatch):
    _, test, wrong = planted((28, 28, 1))
    (tmp_path / "t10k.gz").write_bytes(gzip.compress(bytes(16) + test.tobytes()))
    # One that people call wrong, and whose label the doctor has no doubt of.
    votes(tmp_path / "votes.json", [*wrong, 12], [7, 8])
    monkeypatch.setattr(judgement, "ROWS", 2)
    words = ["mnist", "any", f"--originals={tmp_path / 't10k.gz'}", f"--labels={tmp_path / 'votes.json'}"]
    assert command.run("judgement", judgement.main, words) == 0
    assert rows(capsys.readouterr().out)["wrong labels"] == ["6", "4", "2", "50.0%", "75.0%"]


def test_a_table_has_as_many_rows_as_are_asked_for():
    batch = Batch(None, (np.arange(30) % 2).astype(np.int32))
    dataset = datasets.Dataset("a", ("a", "b"), batch, None, None)
    points = {"train": RANDOM.normal(size=(30, 4)).astype(np.float32)}
    found = examination.examine(dataset, points, distance="euclidean", rows=3)
    assert {len(table.names) for table in found.tables.values()} == {3}


@pytest.mark.parametrize(
    ("content", "read"),
    [("TestID\n1\n", judgement.read_copies), ('{"id": 1}', judgement.read_labels), ("[1]", judgement.read_labels)],
)
def test_another_file_is_refused_in_one_line(content, read, tmp_path):
    (tmp_path / "file").write_text(content)
    with pytest.raises(InputError, match=r"file must be (CSV|JSON)"):
        read(tmp_path / "file")


def test_images_that_are_not_those_of_the_dataset_are_refused(tmp_path):
    (tmp_path / "t10k").write_bytes(bytes(16) + bytes(784))
    with pytest.raises(InputError, match="has not 1 of the 2 images of mnist's test split"):
        judgement.published("mnist", tmp_path / "t10k", "test", np.zeros((2, 28, 28, 1), np.uint8))
    with pytest.raises(InputError, match=r"--originals .* has not cifar10's test images as published"):
        judgement.published("cifar10", tmp_path, "test", np.zeros((2, 32, 32, 3), np.uint8))

"""The sample: the test images that figures show, and what the run makes of them."""

import numpy as np
import pytest
from conftest import OBJECTIVES
from scipy.spatial.distance import cdist

import jaxembed.run
from jaxembed import evaluate, sample, train
from jaxembed.types import InputError


def taken(config, dataset):
    run = jaxembed.run.build(config, dataset)
    state = train.init(run, dataset, seed=0)
    judgement = evaluate.evaluate(run, state, dataset)
    return judgement, *sample.take(run, state, dataset, judgement)


def test_the_sample_is_of_the_test_split_and_of_its_embedding(config, dataset, monkeypatch):
    monkeypatch.setattr(sample, "SHOWN", 17)
    config.evaluate.distance = "euclidean"
    judgement, shown, metrics = taken(config, dataset)
    assert len(set(shown.rows)) == 17
    np.testing.assert_array_equal(shown.images, dataset.test.images[shown.rows])
    np.testing.assert_array_equal(shown.labels, dataset.test.labels[shown.rows])
    np.testing.assert_array_equal(shown.predicted, judgement.predictions["test"]["knn"][shown.rows])
    distances = cdist(*[judgement.embeddings["test"][shown.rows]] * 2)
    order = np.argsort(distances + np.diag(np.full(17, np.inf)), axis=1)
    np.testing.assert_array_equal(shown.nearest, order[:, : sample.NEAR])
    first, second = np.triu_indices(17, k=1)
    same = shown.labels[first] == shown.labels[second]
    for shares, which in ((shown.same, same), (shown.different, ~same)):
        counts = np.histogram(distances[first, second][which], shown.edges)[0]
        # A distance at an edge may fall to either side of it.
        np.testing.assert_allclose(np.cumsum(shares), np.cumsum(counts) / which.sum(), atol=2 / which.sum())
        assert shares.sum() == pytest.approx(1)
    assert metrics["test/distance_overlap"] == pytest.approx(np.minimum(shown.same, shown.different).sum())
    assert 0.5 < metrics["test/trustworthiness"] <= 1


def test_a_query_of_each_class_finds_its_nearest_train_images_and_the_confusion_is_the_mlps(config, dataset):
    config.evaluate.distance = "euclidean"
    judgement, shown, _ = taken(config, dataset)
    said = judgement.predictions["test"]["mlp"]
    counts = [[np.sum((dataset.test.labels == row) & (said == column)) for column in range(3)] for row in range(3)]
    np.testing.assert_array_equal(shown.confusion, counts)
    assert shown.query_labels.tolist() == [0, 1, 2]
    for query, found, labels in zip(shown.queries, shown.found, shown.found_labels, strict=True):
        row = next(i for i, image in enumerate(dataset.test.images) if (image == query).all())
        distances = cdist(judgement.embeddings["test"][row : row + 1], judgement.embeddings["train"])[0]
        nearest = np.argsort(distances)[: sample.FOUND]
        np.testing.assert_array_equal(found, dataset.train.images[nearest])
        np.testing.assert_array_equal(labels, dataset.train.labels[nearest])


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_views_are_shown_where_training_changes_the_image(objective, config, dataset):
    config.objective = OBJECTIVES[objective]
    run = jaxembed.run.build(config, dataset)
    seen = sample._seen(run, train.init(run, dataset, seed=0), dataset)
    assert seen.shape == (1 + sample.VIEWS, sample.ACROSS, 9, 7, 1)
    np.testing.assert_array_equal(seen[0], dataset.train.images[: sample.ACROSS])
    assert len({view.tobytes() for view in seen}) > 1


def test_without_augmentation_there_are_no_views_to_show(config, dataset):
    config.objective.augmentation = {}
    run = jaxembed.run.build(config, dataset)
    assert sample._seen(run, train.init(run, dataset, seed=0), dataset) is None


def test_an_autoencoder_shows_its_best_median_and_worst_reconstructions(config, dataset):
    config.objective = OBJECTIVES["reconstruct"]
    judgement, shown, _ = taken(config, dataset)
    assert shown.reconstructions.shape == (3, sample.ACROSS, 9, 7, 1)
    errors = np.abs(shown.reconstructions / 255 - shown.originals / 255).mean(axis=(2, 3, 4))
    np.testing.assert_allclose(errors, shown.errors, atol=2 / 255)
    # 21 images: the best and the worst 8 do not overlap, and the median ones lie between.
    assert (np.diff(shown.errors, axis=1) >= 0).all()
    assert shown.errors[0, -1] < shown.errors[2, 0]
    assert shown.errors[0].mean() < shown.errors[1].mean() < shown.errors[2].mean()
    assert shown.errors[0].mean() < judgement.metrics["test/l1"] < shown.errors[2].mean()


def test_a_sample_is_read_as_it_was_written(config, dataset, tmp_path):
    _, shown, _ = taken(config, dataset)
    assert shown.reconstructions is None  # a classifier makes none
    sample.write(shown, tmp_path)
    back = sample.read(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [sample.FILE]
    assert back.reconstructions is None
    for name in set(sample.Sample._fields) - {"errors", "originals", "reconstructions"}:
        np.testing.assert_array_equal(getattr(back, name), getattr(shown, name))


def test_no_sample_and_a_damaged_one_are_named(tmp_path):
    with pytest.raises(InputError, match=r"has no sample\.npz; launch.py --evaluate writes it"):
        sample.read(tmp_path)
    (tmp_path / sample.FILE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"sample.npz is damaged"):
        sample.read(tmp_path)


@pytest.mark.parametrize("n", [2, 3, 5, 60])
@pytest.mark.parametrize("d", [1, 2, 55])
def test_a_picture_can_be_made_of_few_points_and_of_few_dimensions(n, d):
    picture, trust = sample._tsne(np.random.default_rng(0).normal(size=(n, d)).astype(np.float32))
    assert picture.shape == (n, 2)
    assert np.isfinite(picture).all()
    assert 0 <= trust <= 1


def test_a_collapsed_embedding_has_a_picture_and_distances():
    picture, _ = sample._tsne(np.zeros((20, 4), np.float32))
    assert np.isfinite(picture).all()
    edges, same, different = sample._distances(np.zeros((4, 4), np.float32), np.array([0, 0, 1, 1]))
    assert edges[-1] == 1
    assert same[0] == different[0] == 1

"""The sample: the test images that figures show, and what the run makes of them."""

import numpy as np
import pytest
from conftest import OBJECTIVES
from scipy.spatial.distance import cdist

from jaxembed.artifacts import samples
from jaxembed.evaluate import evaluation, sampling
from jaxembed.run import build
from jaxembed.train import start


def taken(config, dataset):
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=0)
    evaluated = evaluation.evaluate(run, state, dataset)
    return evaluated, *sampling.take(run, state, dataset, evaluated)


def test_sample_is_taken_from_the_test_split_and_its_embedding(config, dataset, monkeypatch):
    monkeypatch.setattr(sampling, "SIZE", 17)
    config.evaluate.distance = "euclidean"
    evaluated, shown, metrics = taken(config, dataset)
    assert len(set(shown.rows)) == 17
    np.testing.assert_array_equal(shown.images, dataset.test.images[shown.rows])
    np.testing.assert_array_equal(shown.labels, dataset.test.labels[shown.rows])
    np.testing.assert_array_equal(shown.predicted, evaluated.predictions["test"]["knn"][shown.rows])
    distances = cdist(*[evaluated.embeddings["test"][shown.rows]] * 2)
    order = np.argsort(distances + np.diag(np.full(17, np.inf)), axis=1)
    np.testing.assert_array_equal(shown.nearest, order[:, : sampling.NEAR])
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
    evaluated, shown, _ = taken(config, dataset)
    predicted = evaluated.predictions["test"]["mlp"]
    counts = [
        [np.sum((dataset.test.labels == row) & (predicted == column)) for column in range(3)] for row in range(3)
    ]
    np.testing.assert_array_equal(shown.confusion, counts)
    assert shown.query_labels.tolist() == [0, 1, 2]
    for query, found, labels in zip(shown.queries, shown.found, shown.found_labels, strict=True):
        row = next(i for i, image in enumerate(dataset.test.images) if (image == query).all())
        distances = cdist(evaluated.embeddings["test"][row : row + 1], evaluated.embeddings["train"])[0]
        nearest = np.argsort(distances)[: sampling.FOUND]
        np.testing.assert_array_equal(found, dataset.train.images[nearest])
        np.testing.assert_array_equal(labels, dataset.train.labels[nearest])


def test_a_confusion_matrix_of_too_many_classes_is_left_out(config, dataset, monkeypatch, tmp_path):
    _, shown, _ = taken(config, dataset)
    monkeypatch.setattr(samples, "CONFUSED", 2)
    samples.write(shown, tmp_path)
    assert samples.read(tmp_path).confusion is None  # of an earlier version
    assert taken(config, dataset)[1].confusion is None


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_views_are_shown_where_training_changes_the_image(objective, config, dataset):
    config.objective = OBJECTIVES[objective]
    run = build.run(config, dataset)
    seen = sampling._seen(run, start.initial(run, dataset, seed=0), dataset)
    assert seen.shape == (1 + sampling.VIEWS, sampling.ACROSS, 9, 7, 1)
    np.testing.assert_array_equal(seen[0], dataset.train.images[: sampling.ACROSS])
    assert len({view.tobytes() for view in seen}) > 1


def test_without_augmentation_there_are_no_views_to_show(config, dataset):
    config.objective.augmentation = {}
    run = build.run(config, dataset)
    assert sampling._seen(run, start.initial(run, dataset, seed=0), dataset) is None


def test_an_autoencoder_shows_its_best_median_and_worst_reconstructions(config, dataset):
    config.objective = OBJECTIVES["reconstruct"]
    evaluated, shown, _ = taken(config, dataset)
    assert shown.reconstructions.shape == (3, sampling.ACROSS, 9, 7, 1)
    errors = np.abs(shown.reconstructions / 255 - shown.originals / 255).mean(axis=(2, 3, 4))
    np.testing.assert_allclose(errors, shown.errors, atol=2 / 255)
    # 21 images: the best and the worst 8 do not overlap, and the median ones lie between.
    assert (np.diff(shown.errors, axis=1) >= 0).all()
    assert shown.errors[0, -1] < shown.errors[2, 0]
    assert shown.errors[0].mean() < shown.errors[1].mean() < shown.errors[2].mean()
    assert shown.errors[0].mean() < evaluated.metrics["test/l1"] < shown.errors[2].mean()


def test_a_sample_is_read_as_it_was_written(config, dataset, tmp_path):
    _, shown, _ = taken(config, dataset)
    assert shown.reconstructions is None  # a classifier makes none
    samples.write(shown, tmp_path)
    back = samples.read(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [samples.FILE]
    assert back.reconstructions is None
    for name in set(samples.Sample._fields) - {"errors", "originals", "reconstructions"}:
        np.testing.assert_array_equal(getattr(back, name), getattr(shown, name))

"""Evaluation against scikit-learn, exact over ragged batches, and frozen."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ENCODERS, OBJECTIVES
from numpy.linalg import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from jaxembed.core.errors import Diverged
from jaxembed.evaluate import evaluation, forward
from jaxembed.kernels import chunked, nearest
from jaxembed.metrics import knn, probe
from jaxembed.run import build
from jaxembed.train import start

RANDOM = np.random.default_rng(1)


def blobs(n: int, spread: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    labels = RANDOM.integers(0, 4, n).astype(np.int32)
    centres = np.random.default_rng(2).normal(size=(4, 6)) * 2
    return (centres[labels] + RANDOM.normal(size=(n, 6)) * spread + 5).astype(np.float32), labels


@pytest.mark.parametrize("distance", sorted(nearest.DISTANCES))
@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("queries", [3, 500, 777])
def test_knn_is_scikit_learns(distance, k, queries):
    train_rows, labels = blobs(300)
    query_rows, _ = blobs(queries)
    theirs = KNeighborsClassifier(k, metric=distance, algorithm="brute").fit(train_rows, labels)
    ours = knn.classify(train_rows, labels, query_rows, neighbours=k, distance=distance)
    assert (ours == theirs.predict(query_rows)).all()


@pytest.mark.parametrize(("m", "k"), [(1024, 5), (192, 7), (64, 64), (128, 128), (64, 1)])
def test_the_largest_are_those_of_top_k_ties_included(m, k):
    rows = jnp.asarray(np.random.default_rng(m).integers(-20, 20, (50, m)), jnp.float32)
    np.testing.assert_array_equal(nearest._largest(rows, k), jax.lax.top_k(rows, k)[1])


@pytest.mark.parametrize("distance", sorted(nearest.DISTANCES))
def test_the_nearest_come_nearest_first(distance):
    train_rows, labels = blobs(300)
    query_rows, _ = blobs(13)
    theirs = KNeighborsClassifier(5, metric=distance, algorithm="brute").fit(train_rows, labels)
    ours = nearest.find(train_rows, query_rows, neighbours=5, distance=distance)
    assert (ours == theirs.kneighbors(query_rows, return_distance=False)).all()


def test_knn_of_equal_rows_is_the_lowest_class_and_no_nan():
    ones = np.ones((6, 3), np.float32)
    labels = np.array([2, 1, 2, 1, 0, 0])
    for distance in nearest.DISTANCES:
        predicted = knn.classify(ones, labels, ones, neighbours=6, distance=distance)
        assert (predicted == 0).all()


KEY = jax.random.key(0)
SETTINGS = probe.Settings(hidden=(), dropout=0.0, epochs=60, batch_size=64, learning_rate=0.1, weight_decay=0.0)


def test_the_linear_probe_comes_as_far_as_logistic_regression():
    train_rows, labels = blobs(1000, spread=3)
    test_rows, test_labels = blobs(1000, spread=3)
    classify = probe.fit(jax.random.key(0), train_rows, labels, classes=4, settings=SETTINGS)
    theirs = LogisticRegression(C=np.inf, max_iter=1000).fit(train_rows, labels)
    agreement = np.mean(classify(test_rows) == theirs.predict(test_rows))
    assert agreement > 0.97
    assert np.mean(classify(test_rows) == test_labels) > 0.5


def test_the_mlp_probe_learns_what_no_line_can():
    points = RANDOM.normal(size=(2000, 2)).astype(np.float32)
    labels = (points[:, 0] * points[:, 1] > 0).astype(np.int32)
    settings = probe.Settings(
        hidden=(32,), dropout=0.0, epochs=60, batch_size=64, learning_rate=0.02, weight_decay=0.0
    )
    linear = probe.fit(jax.random.key(0), points, labels, classes=2, settings=SETTINGS)
    mlp = probe.fit(jax.random.key(0), points, labels, classes=2, settings=settings)
    assert np.mean(linear(points) == labels) < 0.7
    assert np.mean(mlp(points) == labels) > 0.95


def test_dropout_keeps_a_probe_from_memorising_noise():
    rows, labels = RANDOM.normal(size=(300, 20)).astype(np.float32), RANDOM.integers(0, 4, 300).astype(np.int32)

    def by_heart(dropout: float) -> float:
        settings = probe.Settings(
            hidden=(64,), dropout=dropout, epochs=60, batch_size=50, learning_rate=0.02, weight_decay=0.0
        )
        return np.mean(probe.fit(jax.random.key(0), rows, labels, classes=4, settings=settings)(rows) == labels)

    assert by_heart(0.0) > 0.95
    assert by_heart(0.8) < 0.8


@pytest.mark.parametrize(("best", "views"), [(0.0, 1), (0.5, 1), (0.5, 3)])
def test_a_probe_chooses_the_weight_decay_by_images_that_it_has_no_view_of(best, views, monkeypatch):
    labels = RANDOM.integers(0, 4, 40)
    # The first column is the class, the second another class, the third the image.
    rows = np.tile(np.stack([labels, (labels + 1) % 4, np.arange(40)], axis=1).astype(np.float32), (views, 1))
    trained = []

    def train(network, settings, key, rows, labels, decay):
        trained.append((rows, decay))
        return decay

    def predict(network, params, rows):
        return jnp.where(params == best, rows[:, 0], rows[:, 1]).astype(int)

    monkeypatch.setattr(probe, "_train", train)
    monkeypatch.setattr(probe, "_predict", predict)
    monkeypatch.setattr(probe, "_standardiser", lambda rows: lambda rows: rows)
    settings = replace(SETTINGS, weight_decays=(0.5, 2.0))
    classify = probe.fit(KEY, rows, np.tile(labels, views), classes=4, settings=settings, views=views)
    *turns, (everything, decay) = trained
    assert (decay, len(everything)) == (best, 40 * views)
    assert [len(kept) for kept, _ in turns] == [36 * views] * 10
    held = [np.setdiff1d(np.arange(40), kept[:, 2]) for kept, _ in turns]
    assert [len(each) for each in held] == [4] * 10
    np.testing.assert_array_equal(np.sort(np.concatenate(held)), np.arange(40))
    np.testing.assert_array_equal(classify(rows), np.tile(labels, views))
    trained.clear()
    probe.fit(KEY, rows[:9], labels[:9], classes=4, settings=settings)
    assert [decay for _, decay in trained] == [0.0]


def test_a_probe_does_not_care_for_scale_offset_or_a_dead_dimension():
    train_rows, labels = blobs(500)
    scales = np.array([1e-3, 1.0, 1e3, 1e4, 1.0, 1e-2])
    moved = np.concatenate([train_rows * scales + 5 * scales, np.full((500, 1), 0.1)], axis=1).astype(np.float32)
    one = probe.fit(jax.random.key(0), train_rows, labels, classes=4, settings=SETTINGS)
    other = probe.fit(jax.random.key(0), moved, labels, classes=4, settings=SETTINGS)
    assert np.mean(one(train_rows) == labels) == pytest.approx(np.mean(other(moved) == labels), abs=0.02)


def test_a_constant_dimension_is_dead_however_many_rows_there_are():
    # The float32 mean of as many rows is 0.100045.
    constant, informative = np.full((45_000, 1), 0.1, np.float32), np.zeros((45_000, 1), np.float32)
    informative[::2] = 1
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "_train", lambda network, settings, key, rows, *_: seen.append(rows))
        probe.fit(
            jax.random.key(0),
            np.concatenate([constant, informative], axis=1),
            np.zeros(45_000, np.int32),
            classes=2,
            settings=SETTINGS,
        )
    np.testing.assert_array_equal(seen[0][:, 0], 0)
    np.testing.assert_allclose(np.abs(seen[0][:, 1]), 1)


@pytest.mark.parametrize("size", [1, 4, 10, 16])
def test_chunks_lose_no_row_and_add_none(size):
    array = np.arange(20).reshape(10, 2)
    seen = []

    def double(chunk):
        seen.append(len(chunk["x"]))
        return {"y": jnp.asarray(chunk["x"]) * 2}

    np.testing.assert_array_equal(chunked.apply(double, {"x": array}, size=size)["y"], array * 2)
    assert set(seen) == {size}


@pytest.mark.parametrize("encoder", ["cnn", "fc"])
def test_embedding_is_exact_over_a_ragged_last_chunk(encoder, config, dataset, monkeypatch):
    config.encoder = ENCODERS[encoder]
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=0)
    whole = forward.embed(run, state, dataset.train.images)
    monkeypatch.setattr(forward, "CHUNK", 16)
    assert whole.shape[0] == 75
    np.testing.assert_allclose(forward.embed(run, state, dataset.train.images), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((3000, 32, 32, 3), 1000), ((5, 28, 28, 1), 8), ((3000, 224, 224, 3), 160), ((9, 4096, 4096, 3), 8)],
)
def test_images_are_embedded_in_chunks_of_as_many_as_fit(shape, rows, run):
    assert run.mesh.size == 8
    assert forward.chunk(run, np.broadcast_to(np.uint8(0), shape)) == rows


def test_what_an_objective_reports_is_exact_over_a_ragged_last_chunk(run, dataset, monkeypatch):
    state = start.initial(run, dataset, seed=0)
    whole = forward.reports(run, state, dataset.test, "test")
    monkeypatch.setattr(forward, "CHUNK", 8)
    assert forward.reports(run, state, dataset.test, "test") == pytest.approx(whole)
    # 21 images: a multiple of 1/21, not of 1/24.
    assert (whole["test/accuracy"] * 21) % 1 == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("objective", "own"),
    [("reconstruct", {"l1"}), ("classify", {"accuracy"}), ("ntxent", set()), ("margin", set()), ("dino", set())],
)
def test_every_objective_is_measured_by_the_same_protocol(objective, own, config, dataset):
    config.objective = OBJECTIVES[objective]
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=0)
    before = forward.fingerprint(run.weights(state))
    metrics, embeddings, predictions, sha256 = evaluation.evaluate(run, state, dataset)
    judged = {"knn_accuracy", "linear_accuracy", "mlp_accuracy", "map_at_r", "recall_at_1", "silhouette"} | own
    assert {f"test/{name}" for name in judged} <= set(metrics)
    assert {name: len(points) for name, points in embeddings.items()} == {"train": 75, "validation": 19, "test": 21}
    for name in ("validation", "test"):
        for judge, said in predictions[name].items():
            assert np.mean(said == getattr(dataset, name).labels) == metrics[f"{name}/{judge}_accuracy"]
    assert {f"validation/{name}" for name in judged | {"loss"}} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())
    assert forward.fingerprint(run.weights(state)) == before == sha256


@pytest.fixture(params=[{"mirrored": True}, {"shifted": 2}, {"mirrored": True, "shifted": 1}], ids="-".join)
def varied(request, config, dataset):
    """A run whose head sees variants of each image, and which: 1 or -1 for mirrored, steps down and right."""
    config.objective.update(request.param)
    steps = range(-request.param.get("shifted", 0), request.param.get("shifted", 0) + 1)
    signs = (1, -1) if "mirrored" in request.param else (1,)
    return build.run(config, dataset), list(itertools.product(signs, steps, steps))


def test_reports_see_the_mean_over_an_images_variants_and_the_embedding_is_the_images_own(run, varied, dataset):
    seeing, variants = varied
    state = start.initial(run, dataset, seed=0)
    images = dataset.test.images
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    _, height, width, _ = images.shape
    own = forward.embed(run, state, images)
    moved = [padded[:, 2 + down :, 2 + right :][:, :height, :width][:, :, ::sign] for sign, down, right in variants]
    mean = np.mean([forward.embed(run, state, variant) for variant in moved], axis=0)
    np.testing.assert_allclose(forward.embed(seeing, state, images), own, atol=1e-6)
    scored = []

    def score(seen):
        rows = seen.outputs.prediction
        return {"accuracy": rows[:, 0], "other": scored.append(rows) or rows[:, 1]}

    spied = seeing._replace(objective=seeing.objective._replace(score=score))
    head = run.model.bind({"params": state.params}).head
    plain, expected = (head(jnp.array(seen), train=False) for seen in (own, mean))
    reported = forward.reports(spied, state, dataset.test, "test")["test/accuracy"]
    np.testing.assert_allclose(reported, expected[:, 0].mean(), atol=1e-6)
    assert not np.allclose(plain[:, 0].mean(), reported, atol=1e-4)


def test_the_validation_loss_has_no_variants_as_the_train_loss_has_none(run, varied, dataset):
    seeing, _ = varied
    state = start.initial(run, dataset, seed=0)
    plain, varying = (evaluation.validate(each, state, dataset) for each in (run, seeing))
    assert plain["validation/loss"] == varying["validation/loss"]


def test_probes_learn_from_the_views_that_the_protocol_asks_for(config, dataset, monkeypatch):
    config.evaluate.update({"views": 2, "augmentation": {"flip": {"p": 1}}})
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=0)
    seen = []
    fit = probe.fit
    monkeypatch.setattr(probe, "fit", lambda key, *rows, **given: seen.append(rows) or fit(key, *rows, **given))
    evaluation.evaluate(run, state, dataset, splits=("validation",))
    train_split = dataset.train
    plain, mirrored = (forward.embed(run, state, train_split.images[:, :, ::step]) for step in (1, -1))
    for embeddings, labels in seen:
        np.testing.assert_allclose(embeddings, np.concatenate([plain, mirrored, mirrored]), atol=1e-5)
        np.testing.assert_array_equal(labels, np.concatenate(3 * [train_split.labels]))
    assert len(seen) == 2


def test_no_two_views_are_alike(config, dataset):
    config.evaluate.update({"views": 2, "augmentation": {"noise": {"deviation": 0.1}}})
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=0)
    rows = evaluation.Frozen(run, state, dataset, ()).augmented()
    assert len(np.unique(rows.round(6), axis=0)) == 3 * len(np.unique(dataset.train.images, axis=0))


def test_the_fingerprint_sees_a_changed_weight_and_a_changed_statistic(config, dataset):
    config.encoder = ENCODERS["cnn"]
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=0)
    other = state._replace(stats=jax.tree.map(lambda leaf: leaf + 1e-3, state.stats))
    third = state._replace(params=jax.tree.map(lambda leaf: leaf + 1e-3, state.params))
    assert len({forward.fingerprint(run.weights(each)) for each in (state, other, third)}) == 3


def test_a_layer_whose_variance_was_rounded_away_is_named(run, dataset, monkeypatch, caplog):
    monkeypatch.setattr(evaluation, "of_embeddings", lambda *_: evaluation.Evaluation({}, {}, {}))
    statistics = {"encoder": {"BatchNorm_2": {"mean": jnp.array([0.0, 1e4]), "var": jnp.ones(2)}}}
    state = start.initial(run, dataset, seed=0)._replace(stats=statistics)
    evaluation.evaluate(run, state, dataset, splits=())
    assert "variance in encoder/BatchNorm_2 by over 1%" in caplog.text


def test_an_evaluation_that_changes_the_encoder_fails(run, dataset, monkeypatch):
    prints = iter(["before", "after"])
    monkeypatch.setattr(forward, "fingerprint", lambda _: next(prints))
    with pytest.raises(RuntimeError, match="changed"):
        evaluation.evaluate(run, start.initial(run, dataset, seed=0), dataset)


def test_an_embedding_that_is_no_number_is_named(run, dataset):
    state = start.initial(run, dataset, seed=0)
    state = state._replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
    with pytest.raises(Diverged, match="the embeddings of 21 of 21 images are not finite"):
        forward.embed(run, state, dataset.test.images)


def test_each_split_is_measured_by_itself(run, dataset):
    state = start.initial(run, dataset, seed=0)
    metrics = evaluation.evaluate(run, state, dataset).metrics
    for name in ("validation", "test"):
        split = getattr(dataset, name)
        points = forward.embed(run, state, split.images)
        assert metrics[f"{name}/silhouette"] == pytest.approx(
            silhouette_score(points, split.labels, metric=lambda a, b: norm(a / norm(a) - b / norm(b))),
            abs=1e-5,
        )


def test_validation_repeats_itself(run, dataset):
    state = start.initial(run, dataset, seed=0)
    assert evaluation.validate(run, state, dataset) == evaluation.validate(run, state, dataset)

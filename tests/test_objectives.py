"""Every objective in the folder keeps the contract; each one's own promises are tested below it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ENCODERS, OBJECTIVES
from numpy.testing import assert_allclose

from jaxembed import encoders, losses, model, objectives
from jaxembed.core import options
from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.types import Batch, Outputs, Seen, Task

NAMES = options.names(objectives)
SHAPE = (9, 7, 1)


@pytest.fixture(scope="module")
def batch() -> Batch:
    images = np.random.default_rng(5).random((8, *SHAPE), np.float32)
    return Batch(images, np.array([0, 1, 2, 0, 1, 0, 2, 1]))


def make(objective: str, **options: object):
    task = Task(encoders.make(ENCODERS["fc"]), SHAPE, 3)
    return task.encoder, objectives.make(OBJECTIVES[objective] | options, task)


def views(objective, key: int, batch: Batch):
    return jax.device_get(jax.jit(objective.views)(jax.random.key(key), batch))


def score(name: str, embedding: np.ndarray, prediction: np.ndarray, batch: Batch, **options: object) -> dict:
    _, objective = make(name, **options)
    return jax.device_get(jax.jit(objective.score)(Seen(Outputs(embedding, prediction), batch)))


def test_every_objective_has_a_tiny_version_for_the_tests():
    assert set(NAMES) == set(OBJECTIVES)


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_scores_every_row_with_a_finite_loss_that_has_a_gradient(name, batch):
    encoder, objective = make(name)
    embedder = model.Embedder(encoder, objective.head)

    @jax.jit
    def trained(batch):
        images, target = objective.views(jax.random.key(1), batch)
        first, other = (embedder.init(jax.random.key(seed), images, train=False) for seed in (2, 3))
        teacher = embedder.apply(other, images, train=False) if objective.teacher else None
        memory = objective.memory(jax.random.key(4))

        def loss(params):
            outputs = embedder.apply(first | {"params": params}, images, train=False)
            seen = Seen(outputs, target, teacher, memory, jax.random.key(5), 0.5)
            scores = objective.score(seen)
            assert set(objective.reports) <= set(scores)
            assert all(values.shape in ((), (len(images),)) for values in scores.values())
            assert jax.tree.map(jnp.shape, objective.remember(seen)) == jax.tree.map(jnp.shape, memory)
            return scores["loss"].mean()

        return jax.value_and_grad(loss)(first["params"])

    value, gradient = trained(batch)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient["encoder"]))


@pytest.mark.parametrize("name", NAMES)
def test_views_are_a_function_of_the_key_and_stay_in_range(name, batch):
    _, objective = make(name)
    once, again, other = (views(objective, key, batch)[0] for key in (1, 1, 2))
    assert (once == again).all()
    assert (once != other).any()
    assert once.min() >= 0
    assert once.max() <= 1


def test_reconstruct_corrupts_what_the_network_sees_but_not_what_it_is_scored_against(batch):
    _, objective = make("reconstruct", augmentation={"flip": {"p": 1.0}}, corruption={"noise": {"deviation": 0.2}})
    seen, target = views(objective, 1, batch)
    assert_allclose(target.images, batch.images[:, :, ::-1])
    assert 0.05 < np.abs(seen - target.images).mean() < 0.3


def test_reconstruct_loses_the_mean_absolute_error_and_shows_collapse(batch):
    black = score("reconstruct", np.ones((8, 6)), np.zeros_like(batch.images), batch)
    assert_allclose(black["loss"], batch.images.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert_allclose(black["spread"], 0, atol=1e-6)
    perfect = score("reconstruct", np.ones((8, 6)), batch.images, batch)
    assert_allclose(perfect["l1"], 0)
    assert_allclose(perfect["spread"].mean(), 1, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - set(encoders.with_decoder())))
def test_reconstruct_refuses_an_encoder_without_a_decoder(name):
    with pytest.raises(InputError, match=f"needs an encoder with a decoder, one of conv, fc; got '{name}'"):
        objectives.make(OBJECTIVES["reconstruct"], Task(encoders.make(ENCODERS[name]), SHAPE, 3))


def test_classify_predicts_one_logit_a_class_and_counts_what_is_right(batch):
    logits = np.eye(3)[[0, 1, 2, 0, 0, 0, 0, 0]] * 5
    scores = score("classify", np.ones((8, 6)), logits, batch)
    assert_allclose(scores["accuracy"], [1, 1, 1, 1, 0, 1, 0, 0])
    assert_allclose(scores["loss"], jax.jit(losses.cross_entropy)(logits, batch.labels))


def test_ntxent_shows_every_image_twice_with_its_two_views_half_a_batch_apart(batch):
    _, objective = make("ntxent", augmentation={"noise": {"deviation": 0.02}})
    images, _ = views(objective, 1, batch)
    assert len(images) == 16
    assert (images[:8] != images[8:]).any()
    assert_allclose(images[:8], batch.images, atol=0.15)
    assert_allclose(images[8:], batch.images, atol=0.15)


def test_ntxent_scores_the_projection_and_watches_the_embedding(batch):
    projection = np.random.default_rng(0).normal(size=(16, 4))
    scores = score("ntxent", np.ones((16, 6)), projection, batch, temperature=0.2)
    assert_allclose(scores["loss"], jax.jit(partial(losses.ntxent, temperature=0.2))(projection))
    assert_allclose(scores["spread"], 0, atol=1e-6)


@pytest.mark.parametrize(("tile", "memory", "expected"), [(0, 4095, 1024), (0, 4097, 0), (5, 1e12, 5)])
def test_ntxent_takes_tiles_where_it_must_or_is_told(tile, memory, expected, monkeypatch):
    # Nine rows: three copies of their similarities are 972 bytes, the quarter of 3,888.
    tiles = []
    monkeypatch.setattr(mesh, "memory", lambda: memory * 3888 / 4096)
    monkeypatch.setattr(losses, "ntxent", lambda rows, **_: tiles.append(0) or jnp.zeros(9))
    monkeypatch.setattr(losses, "ntxent_tiled", lambda rows, *, tile, **_: tiles.append(tile) or jnp.zeros(9))
    made = objectives.make(OBJECTIVES["ntxent"] | {"tile": tile}, Task(encoders.make(ENCODERS["fc"]), (8, 8, 1), 0))
    outputs, target = Outputs(np.ones((9, 4)), np.ones((9, 4))), Batch(np.ones((9, 8, 8, 1)), np.zeros(9, int))
    jax.eval_shape(made.score, Seen(outputs, target))
    assert tiles == [expected]


def test_margin_weighs_the_two_kinds_of_pair_equally(batch):
    rows, labels = np.random.default_rng(0).normal(size=(8, 4)), batch.labels
    same, different, active = [], [], []
    for i in range(8):
        for j in range(8):
            distance = np.linalg.norm(rows[i] - rows[j])
            if i != j and labels[i] == labels[j]:
                same.append(distance**2 / 2)
            if labels[i] != labels[j]:
                different.append(max(0, 2.5 - distance) ** 2 / 2)
                active.append(distance < 2.5)
    scores = score("margin", rows, rows, batch, margin=2.5)
    assert_allclose(scores["loss"].mean(), (np.mean(same) + np.mean(different)) / 2, rtol=1e-5)
    assert 0 < np.mean(active) < 1
    assert_allclose(scores["active"].mean(), np.mean(active), rtol=1e-5)


@pytest.mark.parametrize("labels", [np.zeros(8, int), np.arange(8)], ids=["one class", "no pair of a class"])
def test_margin_is_finite_where_a_kind_of_pair_is_missing(batch, labels):
    _, objective = make("margin")

    def loss(rows, target):
        return objective.score(Seen(Outputs(rows, rows), target))["loss"].mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(np.ones((8, 4)), batch._replace(labels=labels))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_margin_shows_collapse(batch):
    scores = score("margin", np.ones((8, 4)), np.ones((8, 4)), batch)
    assert_allclose(scores["spread"], 0, atol=1e-6)
    assert_allclose(scores["active"].mean(), 1, rtol=1e-6)


def test_margin_takes_no_shift_for_a_collapse(batch):
    rows = np.eye(8, 4) * 3
    here, far = (score("margin", rows + shift, rows + shift, batch, margin=2.0) for shift in (0.0, 50.0))
    assert_allclose(here["spread"], far["spread"], rtol=1e-4)
    assert_allclose(here["spread"], np.linalg.norm(rows - rows.mean(axis=0, keepdims=True), axis=1) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ntxent", {"name": "simclr"}, "one of arcface, barlow, byol, .*; got 'simclr'"),
        ("ntxent", {"temperature": 0.0}, "config.objective.temperature must be > 0, got 0.0"),
        ("margin", {"margin": -1.0}, "config.objective.margin must be > 0, got -1.0"),
        ("classify", {"hidden": (0,)}, "config.objective.hidden must be > 0"),
        ("classify", {"dropout": -0.1}, "config.objective.dropout must be in .0, 1., got -0.1"),
        ("classify", {"shifted": -1}, "config.objective.shifted must be >= 0, got -1"),
        ("classify", {"shifted": 7}, "config.objective.shifted must be less than the image's 7, got 7"),
        ("classify", {"augmentation": {"flop": 0.5}}, "did you mean 'flip'"),
        ("reconstruct", {"corruption": {"noise": {"deviation": -1.0}}}, "config.objective.corruption"),
        ("byol", {"views": 1}, "config.objective.views must be >= 2, got 1"),
        ("byol", {"decay": 1.01}, r"config.objective.decay must be in \[0, 1\], got 1.01"),
        ("byol", {"projection": ()}, "config.objective.projection must not be empty"),
        ("byol", {"second": {"solarize": {"p": 0.2}}}, "an operation of config.objective.second must be one of"),
        ("moco", {"queue": 0}, "config.objective.queue must be > 0, got 0"),
        ("dino", {"teacher_temperature": 0.0}, "config.objective.teacher_temperature must be > 0, got 0.0"),
        ("sigreg", {"regularisation": 2.0}, r"config.objective.regularisation must be in \[0, 1\], got 2.0"),
        ("arcface", {"margin": 1.6}, r"config.objective.margin must be in \[0, 1.5708\], got 1.6"),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused_in_one_line(name, options, message):
    with pytest.raises(InputError, match=message) as error:
        make(name, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("classes", [0, 1])
@pytest.mark.parametrize("name", ["arcface", "classify", "margin", "supcon", "triplet"])
def test_a_way_that_goes_by_classes_needs_two(name, classes):
    task = Task(encoders.make(ENCODERS["fc"]), SHAPE, classes)
    with pytest.raises(InputError, match=f"'{name}' needs images of at least 2 classes, got {classes or 'none'}"):
        objectives.make(OBJECTIVES[name], task)


def test_every_other_view_may_differ_and_labels_go_with_their_rows(batch):
    # The mirror image first, its negative second.
    made = objectives.several_views({"flip": {"p": 1.0}}, {"solarise": {"p": 1.0, "threshold": 0.0}}, count=3)
    images, target = jax.device_get(jax.jit(made)(jax.random.key(1), batch))
    mirrored = batch.images[:, :, ::-1]
    assert_allclose(images, np.concatenate([mirrored, 1 - mirrored, mirrored]), atol=1e-6)
    assert target.labels.tolist() == [*batch.labels] * 3


def test_rows_are_compared_with_all_other_views_of_their_image():
    rows, targets = np.random.default_rng(2).normal(size=(2, 12, 4)).astype(np.float32)
    across = jax.jit(partial(objectives.across_views, losses.negative_cosine, count=3))(rows, targets)
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (rows, targets))
    for row in range(12):
        others = [column for column in range(12) if column % 4 == row % 4 and column != row]
        assert_allclose(across[row], np.mean([-one[row] @ other[column] for column in others]), rtol=1e-5)


def test_a_decay_rises_from_its_value_to_1():
    rising = jax.jit(partial(objectives.rising, 0.9))
    assert_allclose([rising(share) for share in (0.0, 0.5, 1.0)], [0.9, 0.95, 1.0], rtol=1e-6)


def test_moco_forgets_the_oldest_first():
    _, objective = make("moco", queue=12)
    memory, made = objective.memory(jax.random.key(0)), np.random.default_rng(4).normal(size=(4, 4, 4))
    assert_allclose(np.linalg.norm(memory.keys, axis=1), 1, rtol=1e-5)
    remember = jax.jit(objective.remember)
    for rows in made.astype(np.float32):
        outputs = Outputs(rows, rows)
        memory = remember(Seen(outputs, None, outputs, memory))
    unit = made / np.linalg.norm(made, axis=2, keepdims=True)
    assert_allclose(memory.keys, np.concatenate([unit[3], unit[1], unit[2]]), rtol=1e-5)
    assert int(memory.next) == 4


def test_dino_is_its_teacher_and_its_centre_follows_the_teachers_mean():
    _, objective = make("dino", centre_decay=0.75)
    assert objective.evaluates_teacher
    rows = np.random.default_rng(4).normal(size=(8, 6)).astype(np.float32)
    outputs = Outputs(rows, rows)
    centre = jax.jit(objective.remember)(Seen(Outputs(rows, -rows), None, outputs, jnp.ones(6)))
    assert_allclose(centre, 0.75 + 0.25 * rows.mean(axis=0), rtol=1e-5)


def test_simsiam_holds_what_it_predicts_still():
    _, objective = make("simsiam")
    made = model.Predicted(*np.random.default_rng(3).normal(size=(2, 8, 4)).astype(np.float32))

    def loss(made):
        return objective.score(Seen(Outputs(made.prediction, made), None))["loss"].mean()

    slopes = jax.jit(jax.grad(loss))(made)
    assert_allclose(slopes.projection, 0)
    assert np.abs(slopes.prediction).max() > 1e-3

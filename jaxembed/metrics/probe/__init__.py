"""Probes: a classifier trained on frozen embeddings, linear or with a hidden layer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxembed import losses, model
from jaxembed.core.bounds import Fraction, NonNegative, NonNegatives, Positive, PositiveFloat, SomeWidths
from jaxembed.core.keys import Key

# Rows of which a copy in float64 is held at a time.
CHUNK = 10_000
# Of so many images, one is held out to choose a weight decay by; and how many are, by turns if they are fewer.
HELD, ENOUGH = 10, 1000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What config.evaluate.linear and .mlp say: AdamW with a cosine schedule over standardised embeddings.

    Attributes:
      hidden: widths of the hidden layers; none for the linear probe.
      dropout: probability of dropping a hidden unit.
      epochs: passes over the embeddings.
      batch_size: rows a step, at most the number of rows.
      learning_rate: the initial learning rate, which falls to 0 as half a cosine.
      weight_decay: the decoupled weight decay.
      weight_decays: others that are tried; the one that is best on images held out is used for all of them.
    """

    hidden: tuple[int, ...]
    dropout: float
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    weight_decays: tuple[float, ...] = ()


def linear(
    *,
    epochs: Positive,
    batch_size: Positive,
    learning_rate: PositiveFloat,
    weight_decay: NonNegative,
    weight_decays: NonNegatives = (),
) -> Settings:
    """Make the settings of a linear probe."""
    trained = dict(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay)
    return Settings(hidden=(), dropout=0.0, weight_decays=weight_decays, **trained)


def mlp(
    *,
    hidden: SomeWidths,
    dropout: Fraction,
    epochs: Positive,
    batch_size: Positive,
    learning_rate: PositiveFloat,
    weight_decay: NonNegative,
) -> Settings:
    """Make the settings of a probe with hidden layers."""
    trained = dict(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay)
    return Settings(hidden=hidden, dropout=dropout, **trained)


def fit(
    key: Key,
    embeddings: Float[np.ndarray, "m d"],
    labels: Int[np.ndarray, " m"],
    *,
    classes: int,
    settings: Settings,
    views: int = 1,
) -> Callable[[Float[np.ndarray, "n d"]], Int[np.ndarray, " n"]]:
    """Train a classifier on frozen embeddings.

    The embeddings are standardised by their own mean and standard deviation; a dimension that never varies
    becomes 0.

    Args:
      key: the key that draws the initial weights and the permutations.
      embeddings: [m, d] float.
      labels: [m] int.
      classes: how many classes there are.
      settings: its hidden layers, and how it is trained.
      views: rows of each image: after a view of all images come those of the next.

    Returns:
      the trained probe: embeddings [n, d] -> classes [n].
    """
    standardise = _standardiser(embeddings)
    classifier = network(settings, classes)
    given = classifier, settings, key, standardise(embeddings), labels
    params = _train(*given, _weight_decay(*given, views=views))

    def classify(rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
        return np.asarray(_predict(classifier, params, standardise(rows)))

    return classify


def network(settings: Settings, classes: int) -> model.MLP:
    """Make the network of a probe: standardised embeddings -> a logit for each class."""
    return model.MLP((*settings.hidden, classes), settings.dropout)


def _standardiser(
    embeddings: Float[np.ndarray, "m d"],
) -> Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n d"]]:
    """Make the function that standardises rows as these would be."""
    # float64: over 50,000 rows a float32 mean is so far off that a constant dimension seems to vary.
    mean = embeddings.mean(axis=0, keepdims=True, dtype=np.float64)
    squares = sum(np.square(embeddings[chunk] - mean).sum(axis=0, keepdims=True) for chunk in _chunks(embeddings))
    deviation = np.sqrt(squares / len(embeddings))
    scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)

    def standardise(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        standardised = np.empty(rows.shape, np.float32)
        for chunk in _chunks(rows):
            standardised[chunk] = (rows[chunk] - mean) / scale
        return standardised

    return standardise


def _chunks(rows: np.ndarray) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, len(rows), CHUNK)]


def _weight_decay(
    network: model.MLP,
    settings: Settings,
    key: Key,
    rows: Float[np.ndarray, "m d"],
    labels: Int[np.ndarray, " m"],
    *,
    views: int,
) -> float:
    """Return the weight decay with which a probe of most images is best on the others, the first of equals."""
    images = len(rows) // views
    held = images // HELD
    if not settings.weight_decays or not held:
        return settings.weight_decay
    decays = settings.weight_decay, *settings.weight_decays
    place, right = np.random.default_rng(0).permutation(images), np.zeros(len(decays), int)
    for turn in range(min(HELD, -(-ENOUGH // held))):
        kept = np.tile(place // held != turn, views)
        train = partial(_train, network, settings, key, rows[kept], labels[kept])
        predicted = jax.vmap(partial(_predict, network), (0, None))(jax.vmap(train)(jnp.array(decays)), rows[~kept])
        right += np.sum(np.asarray(predicted) == labels[~kept], axis=1)
    return decays[int(np.argmax(right))]


@partial(jax.jit, static_argnums=(0, 1))
def _train(
    network: model.MLP,
    settings: Settings,
    key: Key,
    rows: Float[Array, "m d"],
    labels: Int[Array, " m"],
    weight_decay: ArrayLike,
) -> optax.Params:
    batch_size = min(settings.batch_size, len(rows))
    steps = len(rows) // batch_size
    schedule = optax.cosine_decay_schedule(settings.learning_rate, settings.epochs * steps)
    optimizer = optax.adamw(schedule, weight_decay=weight_decay)
    init_key, order_key = jax.random.split(key)
    params = network.init(init_key, rows[:1], train=False)

    def step(carry, given):
        params, opt_state = carry
        batch, dropout_key = given

        def loss(params):
            logits = network.apply(params, rows[batch], train=True, rngs={"dropout": dropout_key})
            return losses.cross_entropy(logits, labels[batch]).mean()

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def epoch(carry, epoch_key):
        # Rows that do not fill a last batch are left out of this epoch; the next permutation leaves out others.
        order = jax.random.permutation(epoch_key, len(rows))[: steps * batch_size]
        # 2, because 0 and 1 give the keys into which the permutation splits the epoch's.
        dropout_keys = jax.random.split(jax.random.fold_in(epoch_key, 2), steps)
        return jax.lax.scan(step, carry, (order.reshape(steps, batch_size), dropout_keys))

    keys = jax.random.split(order_key, settings.epochs)
    (params, _), _ = jax.lax.scan(epoch, (params, optimizer.init(params)), keys)
    return params


@partial(jax.jit, static_argnums=0)
def _predict(network: model.MLP, params: optax.Params, rows: Float[Array, "n d"]) -> Int[Array, " n"]:
    return jnp.argmax(network.apply(params, rows, train=False), axis=1)

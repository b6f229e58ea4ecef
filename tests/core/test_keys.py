"""Keys: one layout of the root key, whose values older runs have, and no key twice."""

import jax
import numpy as np

from jaxembed.core import keys


def data(key) -> tuple[int, ...]:
    return tuple(np.asarray(jax.random.key_data(key)).ravel().tolist())


def test_division_of_the_root_key_is_unchanged():
    # A split into three, then numbers folded in: what runs before the module existed were trained with.
    root = jax.random.key(7)
    init, order, steps = jax.random.split(root, 3)
    expected = (init, order, steps, *(jax.random.fold_in(root, number) for number in (3, 4, 5)))
    assert [data(key) for key in keys.divide(root)] == [data(key) for key in expected]
    assert data(keys.epoch(root, 2)) == data(jax.random.fold_in(order, 2))
    own = jax.random.fold_in(steps, 5)
    expected = (*jax.random.split(own), jax.random.fold_in(own, 2**32 - 1))
    assert [data(key) for key in keys.step(root, 5)] == [data(key) for key in expected]


def test_no_key_is_used_twice():
    root = jax.random.key(7)
    used = [*keys.divide(root), *(keys.epoch(root, epoch) for epoch in range(3))]
    used += [key for step in range(3) for key in keys.step(root, step)]
    assert len({data(key) for key in used}) == len(used)


def test_the_probes_have_keys_that_no_seed_changes():
    linear, mlp = jax.random.split(jax.random.key(0))
    assert [data(key) for key in keys.probes()] == [data(linear), data(mlp)]
    assert [data(key) for key in keys.probe_views(2)] == [
        data(key) for key in jax.random.split(jax.random.key(1), 2)
    ]
    assert len(keys.probe_views(0)) == 0

"""Steps: one for every objective, compiled with the loop that takes several in one call of the device."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Int

from jaxembed import model
from jaxembed.core import keys
from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.kernels import compiler, flops
from jaxembed.run.run import Run
from jaxembed.train import gradcache, teacher
from jaxembed.train.feed import Epoch, Fed
from jaxembed.types import Batch, Images, Outputs, Seen, State


@partial(compiler.compiled, static_argnums=0, donate_argnums=1)
def advance(run: Run, state: State, fed: Fed, count: Int[ArrayLike, ""]) -> tuple[State, dict[str, Array]]:
    """Take `count` steps within one epoch on the device; the scores are their means.

    The number of steps is an argument, not a constant: every call runs the same compiled program.
    """
    return several(run, count, state, fed)


def several(run: Run, count: Int[ArrayLike, ""], state: State, fed: Fed) -> tuple[State, dict[str, Array]]:
    """Take `count` steps; not compiled yet."""

    def body(_, carry):
        state, sums = carry
        state, scores = train_step(run, state, fed)
        return state, jax.tree.map(jnp.add, sums, scores)

    shapes = jax.eval_shape(partial(train_step, run), state, fed)[1]
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    state, sums = jax.lax.fori_loop(0, count, body, (state, zeros))
    return state, jax.tree.map(lambda total: total / count, sums)


def train_step(run: Run, state: State, fed: Fed) -> tuple[State, dict[str, Array]]:
    """Gather, view, embed, score, and take one step of the optimizer: the same for every objective.

    Args:
      run: what stays the same.
      state: the state at step s.
      fed: the train split with the epoch's order of it, or the batches of some steps; uint8.

    Returns:
      the state at step s + 1 and the mean of each score over the batch.
    """
    step_keys = keys.step(state.key, state.step)
    raw = _batch(run, state.step, fed)
    batch = Batch(model.pixels(raw.images), raw.labels)
    views, target = run.objective.views(step_keys.views, mesh.split(run.mesh, batch))
    views = mesh.split(run.mesh, run.resize(views))

    with mesh.around(run.mesh):  # the backward pass as well
        taught, teacher_stats = teacher.outputs(run, state, views, step_keys.dropout)
        known = dict(target=target, teacher=taught, memory=state.memory, key=step_keys.score)
        seen = partial(Seen, **known, progress=state.step / run.total_steps)
        gradients, (scores, outputs), stats = _gradients(run, state, views, seen, step_keys.dropout)
        memory = _remember(run, seen(outputs), gradients)
    learned = run.model.learning(state.params)
    updates, opt_state = run.optimizer.update(gradients, state.opt_state, learned)
    params = {**state.params, **optax.apply_updates(learned, updates)}
    followed = teacher.follow(run, state, params, teacher_stats)
    state = State(state.step + 1, state.key, params, {**state.stats, **stats}, opt_state, followed, memory)
    return mesh.whole(run.mesh, (state, scores))


def _batch(run: Run, step: Int[Array, ""], fed: Fed) -> Batch:
    """Take the batch of a step, uint8."""
    if isinstance(fed, Epoch):
        size = run.training.batch_size
        rows = jax.lax.dynamic_slice_in_dim(fed.order, step % run.steps_per_epoch * size, size)
        return Batch(fed.images.images[rows], fed.images.labels[rows])
    return jax.tree.map(partial(jax.lax.dynamic_index_in_dim, index=step - fed.first, keepdims=False), fed.batches)


def _gradients(
    run: Run, state: State, views: Images, seen: Callable[[Outputs], Seen], key: Key
) -> tuple[Any, tuple[dict[str, Array], Outputs], Any]:
    """Return the mean loss's gradients, the mean scores with the outputs, and new statistics: of what learns."""
    learned = run.model.learning(state.params)

    def forward(params: Any, rows: Images, key: Key) -> tuple[Outputs, Any]:
        return run.learn(state.stats, {**state.params, **params}, rows, key)

    def loss(outputs: Outputs) -> tuple[Array, tuple[dict[str, Array], Outputs]]:
        scores = {name: jnp.mean(values) for name, values in run.score(seen(outputs)).items()}
        return scores["loss"], (scores, outputs)

    def whole(params: Any) -> tuple[Array, tuple[tuple[dict[str, Array], Outputs], Any]]:
        outputs, stats = forward(params, views, key)
        value, others = loss(outputs)
        return value, (others, stats)

    if size := run.training.chunk:
        return gradcache.gradients(forward, loss, learned, views, key, size=size, devices=run.mesh)
    gradients, (others, stats) = jax.grad(whole, has_aux=True)(learned)
    return gradients, others, stats


def _remember(run: Run, seen: Seen, gradients: Any) -> Any:
    """Return the objective's memory after a step."""
    if not jax.tree.leaves(seen.memory):
        return ()
    # Adding this 0 says that the gradients come first, which read the memory: XLA then writes it in place, where it
    # would copy all of it twice.
    zero = 0 * jnp.sum(jax.tree.leaves(gradients)[0])
    outputs, taught = jax.tree.map(lambda rows: rows + zero, (seen.outputs, seen.teacher))
    return run.objective.remember(seen._replace(outputs=outputs, teacher=taught))


def operations(run: Run, state: State, fed: Fed) -> float | None:
    """Count the floating-point operations of one step, augmentation and optimizer included, as `speed.flops`."""
    run = run._replace(mesh=mesh.make([mesh.host()]))
    return flops.count(partial(train_step, run), state, fed)

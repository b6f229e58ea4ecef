"""The teacher: a network whose weights are a moving average of those that learn.

Source: Tarvainen & Valpola 2017, arXiv:1703.01780, eq. (2); as in He et al. 2020 and Grill et al. 2020.
"""

from functools import partial
from typing import Any

import optax

from jaxembed.core.keys import Key
from jaxembed.run.run import Run
from jaxembed.train import gradcache
from jaxembed.types import Images, Outputs, State, Weights


def outputs(run: Run, state: State, views: Images, key: Key) -> tuple[Outputs | None, Any]:
    """Compute what the teacher makes of the views that are learnt from, and new statistics of what learns.

    The gradients are those by the network's own parameters, so none goes through the teacher.

    Args:
      run: its objective says whether there is a teacher; without one, (None, ()).
      state: the state that has its weights.
      views: those that the network learns from.
      key: the dropout's key.
    """
    if not run.objective.teacher:
        return None, ()
    forward = partial(run.learn, state.teacher.stats)
    if size := run.training.chunk:
        return gradcache.outputs(forward, state.teacher.params, views, key, size=size, devices=run.mesh)
    return forward(state.teacher.params, views, key)


def follow(run: Run, state: State, params: Any, stats: Any) -> Weights | tuple[()]:
    """Move the teacher's parameters towards new ones of the network, by the decay of the next step.

    Args:
      run: its objective says whether there is a teacher, and the decay.
      state: the state before the step.
      params: the network's parameters after it.
      stats: the new statistics of the teacher's BatchNorm, of what learns.
    """
    if not run.objective.teacher:
        return ()
    decay = run.objective.teacher((state.step + 1) / run.total_steps)
    new, old = map(run.model.learning, (params, state.teacher.params))
    moved = optax.incremental_update(new, old, 1 - decay)
    return Weights({**state.teacher.params, **moved}, {**state.teacher.stats, **stats})

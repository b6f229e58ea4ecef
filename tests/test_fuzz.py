"""Configs of every kind: each builds a run that takes a step, or is refused in one line.

They are made from the registries themselves, so that a new encoder, objective, optimizer or augmentation is here
without being named; then some of their values are replaced by others. With more examples, each taking a step:
`FUZZ=500 python -m pytest tests/test_fuzz.py`.
"""

import contextlib
import copy
import inspect
import math
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import jax
import jax.numpy as jnp
from conftest import ENCODERS, LINEAR, OBJECTIVES
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from jaxembed import augment, encoders, objectives, optim
from jaxembed.core import options
from jaxembed.core.bounds import Bound, Length, Section
from jaxembed.core.errors import InputError, OutOfMemory
from jaxembed.metrics import probe
from jaxembed.run import build, memory
from jaxembed.run.training import Training
from jaxembed.train import feed, start, steps
from jaxembed.types import Dataset

MORE = int(os.environ.get("FUZZ", "0"))
# Seconds for an example; compiling takes most of them.
SECONDS = 60
FUZZ = settings(
    derandomize=not MORE, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)
WHOLE = [0, -1, 64, 65536, 2**31 - 1, 2**31, 2**32, 2**63, -(2**63) - 1, 10**400, -(10**5000)]
REAL = [-0.0, 0.5, 1e-320, 1e-30, 1e30, 1e38, 1e308, -1e308, math.inf, -math.inf, math.nan]
OTHER = [True, False, None, "", "cnn", "two\nlines", b"bytes", (), (0,), (3, 2**63), (10**5000,), ("a", 1.5), [3]]
ODD = st.one_of(
    st.sampled_from(WHOLE),
    st.sampled_from(REAL),
    st.sampled_from(OTHER),
    st.integers(),
    st.floats(),
    st.lists(st.integers(-2, 10**6), max_size=400).map(tuple),
    st.text(max_size=8),
    st.sampled_from([{}, {"name": "fc"}, {"name": 10**5000}, {"p": 0.5}, {"a": {"b": {}}}]),
)


def interval(bounds: Sequence[str]) -> tuple[float, float]:
    """Return the numbers between which bounds, such as `> 0`, keep a number."""
    low, high = -math.inf, math.inf
    for bound in bounds:
        numbers = [float(number) for number in re.findall(r"-?\d[\d.e+-]*", bound)]
        if bound.startswith("in "):
            low, high = max(low, numbers[0]), min(high, numbers[1])
        elif bound.startswith(">"):
            low = max(low, numbers[0])
        elif bound.startswith("<"):
            high = min(high, numbers[0])
    return low, high


def values(annotation: Any) -> st.SearchStrategy:
    """Make values that fit an annotation, mostly small ones."""
    kind, *limits = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    words = [each.words for each in limits if isinstance(each, Bound)]
    low, high = interval(words)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind == Section:
        return augmentations()
    if kind is float:
        said = " ".join(words)
        ends = {"exclude_min": "(" in said or "> " in said, "exclude_max": ")" in said}
        return st.floats(max(low, -10), min(high, 10), **ends)
    least = 0 if low < 0 or ">= 0" in words else math.floor(low) + 1
    small = st.integers(least, least + 8)
    shortest = max([each.least for each in limits if isinstance(each, Length)], default=0)
    return small if kind is int else st.lists(small, min_size=shortest, max_size=3).map(tuple)


@st.composite
def section(draw: Callable, function: Callable, smallest: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make options of a function, about half of them those that the tests use anyway."""
    made = dict(smallest or {})
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and (parameter.name not in made or draw(st.booleans())):
            made[parameter.name] = draw(values(parameter.annotation))
    for high in (name for name in made if name.startswith("max_")):
        low = high.replace("max_", "min_")
        made[low], made[high] = sorted((made[low], made[high]))
    return made


def augmentations() -> st.SearchStrategy:
    operations = {name: section(operation) for name, operation in augment.OPERATIONS.items()}
    return st.fixed_dictionaries({}, optional=operations).map(lambda made: dict(list(made.items())[:2]))


def registered(package: Any, smallest: Mapping[str, Any]) -> st.SearchStrategy:
    """Make sections that name a file of a registry."""
    makes = {name: options.find(package, name, what="a name").make for name in options.names(package)}
    return st.one_of([section(make, smallest[name]) for name, make in makes.items()])


def optimizers() -> st.SearchStrategy:
    schedule = {"learning_rate": 1e-3, "warmup_epochs": 0.5}
    return st.sampled_from(sorted(optim.OPTIMIZERS)).flatmap(
        lambda name: section(optim.OPTIMIZERS[name], {"name": name} | schedule)
    )


def fitting() -> st.SearchStrategy:
    """Make configs of which each value fits by itself."""
    training = {"epochs": 2, "batch_size": 16, "log_every": 2, "checkpoint_every": 5, "validate_every": 1}
    training |= {"chunk": 0, "statistics": "batch", "resident": 8.0, "dtype": "float32"}
    training |= {"early_side": 0, "early_share": 0.0}
    probes = {
        "linear": section(probe.linear, LINEAR),
        "mlp": section(probe.mlp, LINEAR | {"hidden": (8,), "dropout": 0.0}),
    }
    evaluation = {"neighbours": 3, "distance": "cosine", "views": 0, "augmentation": {}, "linear": {}, "mlp": {}}
    return st.fixed_dictionaries(
        {
            "seed": st.integers(0, 2**32 - 1),
            "data": st.just({"name": "rows"}),
            "encoder": registered(encoders, ENCODERS),
            "objective": registered(objectives, OBJECTIVES),
            "optimizer": optimizers(),
            "train": st.one_of(st.just(training), section(Training, training)),
            "evaluate": st.builds(
                lambda made, **parts: made | parts, st.just(evaluation), augmentation=augmentations(), **probes
            ),
        }
    )


# Made once, because importing the registries' files in the middle of an example would be taken for chance.
FITTING = fitting()


@st.composite
def changed(draw: Callable, most: int) -> dict[str, Any]:
    """Make configs of which up to `most` values are replaced, deleted or added."""
    config = copy.deepcopy(draw(FITTING))
    for _ in range(draw(st.sampled_from(range(most, -1, -1)))):
        parent, key = draw(st.sampled_from(places(config)))
        change = draw(st.sampled_from(["replace", "replace", "replace", "delete", "add"]))
        if change == "delete":
            del parent[key]
        else:
            parent[key if change == "replace" else "unknown"] = draw(ODD)
        if not config:
            break
    return config


def places(tree: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """List where there is a value: the section and the key."""
    inner = [place for value in tree.values() if isinstance(value, dict) for place in places(value)]
    return [(tree, key) for key in tree] + inner


@contextlib.contextmanager
def limited(seconds: int):
    """Raise a TimeoutError after some seconds, whatever is running."""

    def late(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(config: dict[str, Any], dataset: Dataset, *, step: bool) -> str:
    """Build a run, and let it take a step if it is small; return how far it came."""
    with limited(SECONDS):
        try:
            section = ConfigDict(config)
            build.check(section)
            run = build.run(section, dataset)
        except (InputError, OutOfMemory) as error:
            return refused(str(error))
        params = jax.tree.leaves(memory.shapes(run.model, jnp.zeros((1, *dataset.train.images.shape[1:]))).params)
        if not step or len(params) > 70 or sum(leaf.size for leaf in params) > 1e6:
            return "built"
        state = start.initial(run, dataset, seed=section.seed)
        with feed.opened(run, dataset.train) as images:
            state, _ = steps.advance(run, state, images.take(state.key, 0, 1), 1)
        assert int(state.step) == 1
        return "stepped"


def refused(text: str) -> str:
    assert len(text.splitlines()) == 1
    assert len(text) < 1000
    return "refused"


@settings(FUZZ, max_examples=40)
@given(config=changed(3))
def test_any_config_is_built_or_refused_in_one_line(config, dataset):
    attempt(config, dataset, step=False)


@settings(FUZZ, max_examples=MORE or 3)
@given(config=changed(1))
def test_a_run_that_is_built_takes_a_step(config, dataset):
    event(attempt(config, dataset, step=True))
    if MORE:
        jax.clear_caches()  # hundreds of compiled programs are more mappings than Linux gives a process

"""Image embeddings, learned in fourteen ways in pure JAX: a run is dataset × encoder × objective.

  run = jaxembed.train("quickstart")
  vectors = jaxembed.load("checkpoints/quickstart").embed(["a.jpg", "b.png"])

`train`, `embed`, `search`, `doctor`, `report` and `explore` are functions, those of `jaxembed.api`, as well as the
rooms of these names; `config`, `runs` and `Run` are only there. Nothing heavy is imported before it is used.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jaxembed.cli import signals

if TYPE_CHECKING:
    from jaxembed.api import InputError, Run, config, doctor, embed, explore, report, runs, search, train
    from jaxembed.embed.encoder import Encoder

__version__ = "0.1.0"
__all__ = [
    "InputError",
    "Run",
    "config",
    "doctor",
    "embed",
    "explore",
    "load",
    "pretrained",
    "report",
    "runs",
    "search",
    "train",
]
ROOMS = ("doctor", "embed", "explore", "report", "search", "train")

signals.begin_module()  # here, because what a program is in is imported before itself


def pretrained() -> tuple[str, ...]:
    """List the names that `load` knows: encoders that are part of the package, and published ones."""
    from jaxembed.embed import frozen  # here, because it imports jax, which reports do not need

    return frozen.pretrained()


def load(run: "str | os.PathLike", **asked: Any) -> "Encoder":
    """Load the encoder of a finished run, a pretrained encoder by name or file, as `frozen.load` does.

    Args:
      run: a run folder, an encoder file, a published model's file or folder, an ONNX file, or a name.
      **asked: how an ONNX encoder is used, where its file does not say it: size, mean, std, interpolation and
        output_name, as in `onnx.Asked`.
    """
    from jaxembed.embed import frozen, onnx

    return frozen.load(run, onnx.make(**asked))


class _Package(ModuleType):
    """The package: a room that is imported can be called, if a function of `jaxembed.api` has its name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ROOMS and type(value) is ModuleType:
            value.__class__ = _Room
        super().__setattr__(name, value)


class _Room(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module("jaxembed.api"), name)(*args, **kwargs)


def __getattr__(name: str) -> Any:
    if name in ROOMS:
        return importlib.import_module(f"jaxembed.{name}")
    if name in __all__:
        return getattr(importlib.import_module("jaxembed.api"), name)
    raise AttributeError(f"module 'jaxembed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package

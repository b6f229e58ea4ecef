"""Software: what a process computes with, as notes: versions of libraries, options of JAX, hashes of files."""

import hashlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import jax

PACKAGE = Path(__file__).parents[1]
# What takes part in a run's numbers, and what the extras bring.
LIBRARIES = (
    *("jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu", "numpy", "ml-dtypes"),
    *("flax", "optax", "orbax-checkpoint", "ml-collections", "grain", "array-record", "tensorflow-datasets"),
    *("pillow", "scipy", "scikit-learn", "jax2onnx", "onnxruntime", "tensorboardX", "usearch"),
)
OPTIONS = (
    *("jax_platforms", "jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl"),
    *("jax_threefry_partitionable", "jax_random_seed_offset", "jax_numpy_dtype_promotion"),
)
VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")


def notes() -> dict[str, str]:
    """Note the versions, the options and the hashes."""
    versions = {"Python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}
    options = {name: repr(getattr(jax.config, name, None)) for name in OPTIONS}
    variables = {name: repr(os.environ.get(name, "")) for name in VARIABLES}
    hashes = {f"SHA-256 of {name}": hashlib.sha256(file.read_bytes()).hexdigest()[:16] for name, file in _sources()}
    return versions | options | variables | hashes


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _sources() -> Iterator[tuple[str, Path]]:
    """List the source files of the program and of this package, which holds every encoder and objective."""
    program = getattr(sys.modules["__main__"], "__file__", None)
    if program:
        yield Path(program).name, Path(program)
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(PACKAGE.parent).as_posix(), file

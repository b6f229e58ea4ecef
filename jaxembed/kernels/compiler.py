"""The library that computes a program's matmuls and convolutions on a CPU: the fastest one that XLA can call."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jaxlib.version

from jaxembed.devices import mesh

# XLA's choice since JAX 0.10 is YNNPACK, whose convolutions are 1.5 to 3 times slower in training than Eigen's. Its
# matmuls are faster than Eigen's, but mixed with Eigen's convolutions they make a step slower.
YNNPACK = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
EIGEN = {"xla_cpu_experimental_ynn_fusion_type": ""}
ONEDNN = {"xla_cpu_experimental_onednn_custom_call": True, **EIGEN}
# The first version whose compiler calls oneDNN when asked to.
SINCE = (0, 11, 2)


def compiled(function: Callable[..., Any], *, static_argnums: int | tuple[int, ...], **options: Any) -> Callable:
    """Compile as `jax.jit` does with these options, on a CPU with the library that is fastest for what is computed.

    Static arguments choose the network: whether it has convolutions is asked once for each of them.
    """
    static = (static_argnums,) if isinstance(static_argnums, int) else static_argnums
    traced = jax.jit(function, static_argnums=static, **options)

    libraries: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        # At the first call, not before: asking for the backend starts it.
        if jax.default_backend() != "cpu":
            return traced(*arguments)
        network = tuple(arguments[number] for number in static)
        if network not in libraries:
            # Traced once only: both share what JAX remembers of the function.
            library = fastest(convolutions="conv_general_dilated" in str(traced.trace(*arguments).jaxpr))
            libraries[network] = jax.jit(function, static_argnums=static, compiler_options=library, **options)
        return libraries[network](*arguments)

    return call


def unoptimised() -> dict[str, Any] | None:
    """Return the compiler options for a program that is run once on the host, where that has a CPU."""
    return {"xla_backend_optimization_level": 0} if mesh.host().platform == "cpu" else None


def fastest(*, convolutions: bool) -> dict[str, Any]:
    """Return the compiler options for the fastest library on a CPU, for a program with or without convolutions."""
    if calls_onednn():
        return ONEDNN
    return EIGEN if convolutions else YNNPACK


def calls_onednn() -> bool:
    """Return whether a program on a CPU calls oneDNN, as none can that goes into a cache of compiled programs."""
    return jaxlib.version.__version_info__ >= SINCE and not jax.config.jax_compilation_cache_dir

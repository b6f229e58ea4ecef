"""The library of a program on a CPU: which one is chosen, and that its numbers are the same."""

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np
import pytest
from jax import lax
from jax.experimental.compilation_cache import compilation_cache

from jaxembed.kernels import compiler, convolution

OLD, NEW = (0, 10, 2), compiler.SINCE


@pytest.fixture
def without_cache():
    """The tests have a cache of compiled programs, where a user has none."""
    folder = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", folder)
    compilation_cache.reset_cache()


@pytest.mark.parametrize(
    ("version", "convolutions", "expected"),
    [
        (OLD, True, compiler.EIGEN),
        (OLD, False, compiler.YNNPACK),
        (NEW, True, compiler.ONEDNN),
        (NEW, False, compiler.ONEDNN),
    ],
)
def test_the_library_depends_on_the_version_and_on_convolutions(
    version, convolutions, expected, without_cache, monkeypatch
):
    monkeypatch.setattr(jaxlib.version, "__version_info__", version)
    assert compiler.fastest(convolutions=convolutions) == expected


def test_with_a_cache_of_compiled_programs_onednn_is_not_used(monkeypatch):
    monkeypatch.setattr(jaxlib.version, "__version_info__", NEW)
    assert jax.config.jax_compilation_cache_dir
    assert compiler.fastest(convolutions=True) == compiler.EIGEN


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_each_network_is_compiled_for_its_library_and_only_on_a_cpu(backend, monkeypatch):
    given, jit = [], jax.jit

    def compiling(function, compiler_options="none", **rest):
        given.append(compiler_options)
        return jit(function, **rest)

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "jit", compiling)
    monkeypatch.setattr(compiler, "fastest", lambda *, convolutions: {"convolutions": convolutions})

    def apply(size, images):
        if size:
            kernel = jnp.ones((size, size, 1, 1))
            images = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=convolution.LAYOUT)
        return images.sum()

    compiled = compiler.compiled(apply, static_argnums=0)
    assert [float(compiled(size, jnp.ones((1, 2, 2, 1)))) for size in (0, 1, 0, 1)] == [4, 4, 4, 4]
    ours = [{"convolutions": False}, {"convolutions": True}]
    assert given == ["none", *(ours if backend == "cpu" else [])]


@pytest.mark.parametrize(
    "options", [compiler.YNNPACK, compiler.EIGEN, compiler.ONEDNN], ids=["ynnpack", "eigen", "onednn"]
)
def test_the_numbers_are_those_of_xlas_own_and_repeat_bit_for_bit(options, without_cache):
    """A layer of each kind, value and gradients: strided, Winograd's and 1×1 convolutions, and a matmul."""
    random = np.random.default_rng(0)
    shapes = [(5, 11, 9, 3), (4, 4, 3, 64), (3, 3, 64, 64), (1, 1, 64, 32), (32, 7)]
    arrays = [
        jnp.asarray(random.normal(size=shape) / np.sqrt(np.prod(shape[:-1])), jnp.float32) for shape in shapes
    ]

    def loss(convolve, images, first, second, third, matrix):
        maps = convolve(images, first, (2, 2))
        maps = convolve(jax.nn.relu(maps), second, (1, 1))
        maps = convolve(maps, third, (2, 2))
        return jnp.sum(jnp.sin(maps.mean((1, 2)) @ matrix))

    def ours(images, kernel, strides):
        return convolution._convolve(images, kernel, strides, ((1, 1), (1, 1)))

    def plain(images, kernel, strides):
        return lax.conv_general_dilated(
            images, kernel, strides, ((1, 1), (1, 1)), dimension_numbers=convolution.LAYOUT
        )

    def gradients(convolve):
        return jax.value_and_grad(lambda *arrays: loss(convolve, *arrays), argnums=(0, 1, 2, 3, 4))

    compiled = jax.jit(gradients(ours), compiler_options=options)
    once, again = (jax.tree.leaves(compiled(*arrays)) for _ in range(2))
    for one, other, theirs in zip(once, again, jax.tree.leaves(gradients(plain)(*arrays)), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, theirs, atol=1e-5 * np.abs(theirs).max())

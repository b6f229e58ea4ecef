"""Winograd's minimal filtering: 3×3 convolutions of stride 1 with a quarter of the multiplications.

Tiles of 6×6 pixels and kernels are each transformed to 36 numbers, with a few additions per number. In that
form a convolution is 36 matmuls over the channels, whose results are transformed to 4×4 outputs. The transforms
lose one digit: in float32 an output's error is about 1e-5 of the largest one, and bfloat16 has no digit to spare.

Source: Lavin & Gray 2016, arXiv:1509.09308, F(4×4, 3×3), section 4.3.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float

Pads = tuple[tuple[int, int], tuple[int, int]]
# The size of the points of one chunk of images, inputs and outputs together, such that they stay in a processor's
# cache; and the smallest number of tiles in a chunk for which a matmul is efficient.
CHUNK_BYTES, CHUNK_TILES = 12e6, 256

# Rows: the 6 points; columns: the 6 pixels of a tile, or the 3 of a kernel.
PIXELS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32) / 24
# Rows: the 36 points of a tile, those of a column together; columns: the 9 weights of a kernel.
WEIGHTS = np.einsum("yp,xq->xypq", KERNEL, KERNEL).reshape(36, 9)
# Rows: the 4 outputs of a tile; columns: the 6 points.
OUTPUTS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def convolve(
    images: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], pads: Pads
) -> Float[Array, "n H W o"]:
    """Convolve n float32 images, padded by (top, bottom), (left, right), with a kernel."""
    # One matmul with a constant: as two small products, one along each axis, it takes a fifth of ResNet18's step.
    transformed = jnp.matmul(WEIGHTS, kernel.reshape(9, -1)).reshape(36, *kernel.shape[2:])
    height, width = (size + sum(pad) - 2 for size, pad in zip(images.shape[1:3], pads, strict=True))

    def chunk(images: Float[Array, "m h w i"]) -> Float[Array, "m H W o"]:
        points = _points(images, pads, height, width)
        products = _matmul(points.reshape(36, -1, points.shape[-1]), transformed, 2, 1)
        return _outputs(products.reshape(*points.shape[:-1], -1))[:, :height, :width]

    chunks = _chunks(len(images), height * width, sum(kernel.shape[2:]))
    if chunks == 1:
        return chunk(images)
    outputs = lax.map(chunk, images.reshape(chunks, -1, *images.shape[1:]))
    return outputs.reshape(len(images), height, width, -1)


def kernel_gradient(
    images: Float[Array, "n h w i"], gradient: Float[Array, "n H W o"], pads: Pads
) -> Float[Array, "3 3 i o"]:
    """Return the gradient with respect to the kernel, given that with respect to the outputs of `convolve`."""
    n, height, width, outputs = gradient.shape
    inputs = images.shape[-1]

    def add(index: ArrayLike, total: Float[Array, "36 i o"]) -> Float[Array, "36 i o"]:
        points = _points(images[index], pads, height, width)
        tiles = _tiles(pad(gradient[index], ((0, -height % 4), (0, -width % 4))), OUTPUTS.T)
        return total + _matmul(points.reshape(36, -1, inputs), tiles.reshape(36, -1, outputs), 1, 1)

    chunks = _chunks(n, height * width, inputs + outputs)
    images = images.reshape(chunks, -1, *images.shape[1:])
    gradient = gradient.reshape(chunks, -1, *gradient.shape[1:])
    zeros = jnp.zeros((36, inputs, outputs))
    total = add(0, zeros) if chunks == 1 else lax.fori_loop(0, chunks, add, zeros)
    return jnp.matmul(WEIGHTS.T, total.reshape(36, -1)).reshape(3, 3, inputs, outputs)


def _chunks(n: int, pixels: int, channels: int) -> int:
    """Return the number of equal chunks into which to divide n images."""
    tiles = max(CHUNK_TILES, CHUNK_BYTES / (4 * 36 * channels))
    fitting = tiles / (pixels / 16)
    return next(chunks for chunks in range(1, n + 1) if n % chunks == 0 and (n // chunks <= fitting or chunks == n))


def _points(images: Float[Array, "n h w c"], pads: Pads, height: int, width: int) -> Float[Array, "6 6 n y x c"]:
    """Cut padded images into tiles of 6×6 pixels, 4 apart, that cover the outputs; transform them to points."""
    (top, bottom), (left, right) = pads
    return _tiles(pad(images, ((top, bottom - height % -4), (left, right - width % -4))), PIXELS)


def _tiles(images: Float[Array, "n h w c"], matrix: np.ndarray) -> Float[Array, "6 6 n y x c"]:
    """Multiply the pixels of all tiles, which are 4 apart, by the matrix: first along y, then along x."""
    for axis in (1, 3):
        images = _mix(matrix, _every_fourth(images, matrix.shape[1], axis))
    return images


def _every_fourth(images: Array, count: int, axis: int) -> list[Array]:
    """Return pixels 0, 1, ... of all tiles along an axis."""
    tiles = (images.shape[axis] - (count - 4)) // 4
    return [lax.slice_in_dim(images, start, start + 4 * tiles - 3, 4, axis) for start in range(count)]


def _outputs(products: Float[Array, "6 6 n y x c"]) -> Float[Array, "n h w c"]:
    """Transform the points of each tile to its 4×4 outputs, and join the tiles."""
    columns = _mix(OUTPUTS, list(products))
    pixels = _mix(OUTPUTS, [columns[:, point] for point in range(6)])
    four, _, n, rows, tiles, channels = pixels.shape
    return pixels.transpose(2, 3, 0, 4, 1, 5).reshape(n, four * rows, four * tiles, channels)


def _mix(matrix: np.ndarray, arrays: Sequence[Array]) -> Array:
    """Multiply a small matrix, whose entries are mostly 0 or 1, by a column of arrays."""
    rows = []
    for row in matrix.tolist():
        terms = [
            array if factor == 1 else factor * array for factor, array in zip(row, arrays, strict=True) if factor
        ]
        rows.append(sum(terms[1:], terms[0]))
    # Stacked, because XLA fuses nothing into a stack; otherwise it recomputes each of 36 points from all pixels.
    return jnp.stack(rows)


def pad(images: Float[Array, "n h w c"], pads: Pads) -> Float[Array, "n H W c"]:
    """Add rows and columns of zeros; a negative number takes away."""
    return lax.pad(images, jnp.zeros((), images.dtype), ((0, 0, 0), *((*pad, 0) for pad in pads), (0, 0, 0)))


def _matmul(first: Array, second: Array, first_axis: int, second_axis: int) -> Array:
    """Multiply 36 matrices by 36 others, contracting one axis of each."""
    return lax.dot_general(first, second, (((first_axis,), (second_axis,)), ((0,), (0,))))

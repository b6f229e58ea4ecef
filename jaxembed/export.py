"""Export a trained encoder for use outside jaxembed.

  jaxembed export checkpoints/simclr_cifar --format=safetensors --output=simclr.safetensors
  jaxembed export simclr_mnist --format=onnx --output=simclr.onnx

safetensors: the parameters and the config; load it with jaxembed.load. onnx and stablehlo: the computation from
uint8 images [n, h, w, c] of the encoder's size, for any batch size n, to float32 embeddings [n, d]; pixel scaling
is included. ONNX needs jax2onnx (pip install 'jaxembed[onnx]'); the file says in its metadata how pictures become
images, and NAME.test.npz has two images and their embeddings, to check another program with. Load StableHLO with
jax.export.deserialize; JAX guarantees compatibility for six months.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError, JaxembedError

if TYPE_CHECKING:
    import numpy as np

    from jaxembed.embed.frozen import FrozenEncoder

FORMATS = ("safetensors", "onnx", "stablehlo")
# How far apart the same embeddings may be in another program, as a share of the largest number.
_CLOSE = 1e-3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed export`."""
    parser = command.parser("export", __doc__)
    parser.add_argument("run", type=command.source, help=command.RUN)
    parser.add_argument("--format", choices=FORMATS, required=True, help="output format")
    parser.add_argument("--output", type=command.path, required=True, help="file to write")
    parser.add_argument("--overwrite", action="store_true", help=command.OVERWRITE)
    options = parser.parse_args(arguments)
    for file in (options.output, *([test_file(options.output)] if options.format == "onnx" else [])):
        command.check_output(file, overwrite=options.overwrite)

    from jaxembed.devices import mesh  # here, because these import jax
    from jaxembed.embed import frozen
    from jaxembed.embed.frozen import FrozenEncoder

    mesh.check_devices()
    encoder = FrozenEncoder(frozen.saved(options.run))
    write = {"safetensors": _safetensors, "onnx": _onnx, "stablehlo": _stablehlo}[options.format]
    write(encoder, options.output)
    h, w, c = encoder.shape
    written = files.printable(f"{options.output}: {encoder.name}")
    print(f"{written}, uint8 [n, {h}, {w}, {c}] to float32 [n, {encoder.dimension}]")


def _safetensors(encoder: "FrozenEncoder", file: Path) -> None:
    from jaxembed.artifacts import encoder_file

    encoder_file.write(encoder.saved, file)


def _stablehlo(encoder: "FrozenEncoder", file: Path) -> None:
    import jax

    batch = jax.export.symbolic_shape("n")[0]
    images = jax.ShapeDtypeStruct((batch, *encoder.shape), "uint8")
    exported = jax.export.export(jax.jit(_function(encoder)), platforms=("cpu", "cuda", "tpu"))(images)
    with files.replacing(file) as stream:
        stream.write(exported.serialize())


def _onnx(encoder: "FrozenEncoder", file: Path) -> None:
    try:
        import jax2onnx
    except ImportError as error:
        raise InputError("--format=onnx needs jax2onnx: pip install 'jaxembed[onnx]'") from error
    import jax
    import numpy as np

    from jaxembed.embed.onnx import metadata

    function, images = _function(encoder), _test_images(encoder)
    embeddings = np.asarray(jax.jit(function)(images))
    proto = jax2onnx.to_onnx(
        function,
        [jax.ShapeDtypeStruct(("n", *encoder.shape), "uint8")],
        model_name=encoder.name,
        input_names=[metadata.INPUT],
        output_names=[metadata.OUTPUT],
    )
    content = metadata.write(proto, encoder.saved)
    _check(encoder.name, content, images, embeddings)
    with files.replacing(file) as stream, files.replacing(test_file(file)) as test_stream:
        stream.write(content)
        np.savez_compressed(test_stream, images=images, embeddings=embeddings)
    print(f"{files.printable(test_file(file))}: two images and their embeddings, to check another program with")


def test_file(file: Path) -> Path:
    """Return the file of the images and embeddings that come with an ONNX file."""
    return file.with_suffix(".test.npz")


def _test_images(encoder: "FrozenEncoder") -> "np.ndarray":
    """Make two images without symmetries, uint8 [2, h, w, c]: ramps, which differ by channel, and noise."""
    import numpy as np

    y, x, channel = np.indices(encoder.shape)
    ramps = (y * (channel + 1) * 255 // encoder.shape.height + x * 100 // encoder.shape.width) % 256
    return np.stack([ramps, np.random.default_rng(0).integers(0, 256, encoder.shape)]).astype(np.uint8)


def _check(name: str, content: bytes, images: "np.ndarray", embeddings: "np.ndarray") -> None:
    """Raise a JaxembedError unless ONNX Runtime computes the embeddings from a file's content."""
    import numpy as np

    from jaxembed.embed.onnx import Asked
    from jaxembed.embed.onnx.encoder import OnnxEncoder

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "encoder.onnx")
        file.write_bytes(content)
        computed = OnnxEncoder(file, Asked()).embed_pixels(images)
    apart = np.abs(computed - embeddings).max() / np.abs(embeddings).max()
    if not apart <= _CLOSE:
        raise JaxembedError(f"{name} was exported, but ONNX Runtime computes embeddings that differ by {apart:.1g}")


def _function(encoder: "FrozenEncoder") -> Callable:
    """Make the function that is exported: plain convolutions, and float32 throughout."""
    import jax

    from jaxembed import model
    from jaxembed.kernels import convolution

    # On a single device, however many there are here.
    weights = jax.tree.map(jax.numpy.asarray, jax.device_get(encoder.weights))

    def embed(images: jax.Array) -> jax.Array:
        with convolution.defined():
            return encoder.module.apply(weights, model.pixels(images), train=False)

    return embed


if __name__ == "__main__":
    sys.exit(command.run("export", main))

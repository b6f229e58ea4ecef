"""Export a trained encoder for use outside jaxembed.

  python -m jaxembed.export checkpoints/simclr_cifar --format=safetensors --output=simclr.safetensors
  python -m jaxembed.export simclr_mnist --format=onnx --output=simclr.onnx

safetensors: the parameters and the config; load it with jaxembed.load. onnx and stablehlo: the computation from
uint8 images [n, h, w, c] of the encoder's size, for any batch size n, to float32 embeddings [n, d]; pixel scaling
is included. ONNX needs jax2onnx (pip install 'jaxembed[onnx]'). Load StableHLO with jax.export.deserialize; JAX
guarantees compatibility for six months.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError

if TYPE_CHECKING:
    from jaxembed.embed.frozen import FrozenEncoder

FORMATS = ("safetensors", "onnx", "stablehlo")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m jaxembed.export`."""
    parser = command.parser("export", __doc__)
    parser.add_argument("run", type=command.source, help=command.RUN)
    parser.add_argument("--format", choices=FORMATS, required=True, help="output format")
    parser.add_argument("--output", type=command.path, required=True, help="file to write")
    parser.add_argument("--overwrite", action="store_true", help=command.OVERWRITE)
    options = parser.parse_args(arguments)
    command.check_output(options.output, overwrite=options.overwrite)

    from jaxembed.embed import frozen  # here, because it imports jax

    encoder = frozen.load(options.run)
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

    images = jax.ShapeDtypeStruct(("n", *encoder.shape), "uint8")
    exported = jax2onnx.to_onnx(_function(encoder), [images], model_name=encoder.name)
    with files.replacing(file) as stream:
        stream.write(exported.SerializeToString())


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

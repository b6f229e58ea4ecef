"""How many images a second published encoders embed at 224 pixels: here, in PyTorch and in ONNX Runtime, by turns.

  python -m benchmarks.encoders --output=docs/speed/encoders.json

All have random weights of the true shapes. PyTorch is eager, channels_last, without gradients; ONNX Runtime has its
CPU provider with all optimisations. Needs more: pip install -e ".[bench,onnx]" timm
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxembed import encoders
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core import files
from jaxembed.devices import mesh
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.encoders.published.weights import IMAGENET_DEVIATION, IMAGENET_MEAN
from jaxembed.pictures import Preparation, Shape

SIDE = 224
PIXELS = {"mean": IMAGENET_MEAN, "deviation": IMAGENET_DEVIATION}
VIT = {
    **{"name": "vit", "patch": 14, "grid": 16, "width": 384, "depth": 12, "heads": 6, "hidden": 1536},
    **{"pool": "token", "registers": 0, "layer_scale": 1.0, "epsilon": 1e-6, "activation": "gelu"},
    **{"prenorm": False, "projection": 0, "positions": "bicubic", "remat": False},
}
# Of each encoder: its options here, and timm's name and options.
NETWORKS = {
    "efficientnet_lite0": (
        {"name": "efficientnet_lite", "width": 1.0, "depth": 1.0, "head": 1280},
        ("tf_efficientnet_lite0", {}),
    ),
    "dinov2_small": (VIT, ("vit_small_patch14_dinov2", {"img_size": SIDE})),
    "resnet18": ({"name": "resnet", "depth": 18, "width": 64, "stem": "large"}, ("resnet18", {})),
}
Embed = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Time the encoders, and write the result."""
    parser = argparse.ArgumentParser("python -m benchmarks.encoders", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=32, help="in a round")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (asked.images, SIDE, SIDE, 3), np.uint8)
    rates = {name: race(name, images, asked.rounds) for name in asked.only}
    about = {"device": mesh.described(), "images": asked.images, "rounds": asked.rounds, "side": SIDE}
    files.write_json(asked.output, about | {"images_per_second": rates})
    for name, each in rates.items():
        print(name, each)


def race(name: str, images: np.ndarray, rounds: int) -> dict[str, float]:
    """Return the images a second of each, the median over rounds in which each has a turn."""
    embedders = {"jaxembed": ours(name), **peers(name, images)}
    for embed in embedders.values():
        embed(images)  # which compiles
    seconds: dict[str, list[float]] = {kind: [] for kind in embedders}
    for _ in range(rounds):
        for kind, embed in embedders.items():
            start = time.perf_counter()
            embed(images)
            seconds[kind].append(time.perf_counter() - start)
    return {kind: round(len(images) / statistics.median(each), 2) for kind, each in seconds.items()}


def ours(name: str) -> Embed:
    """Make an encoder as `jaxembed.load` does, with random weights."""
    section = NETWORKS[name][0] | PIXELS
    module = encoders.make(section)
    image = jax.random.uniform(jax.random.key(0), (1, SIDE, SIDE, 3))
    variables = jax.device_get(jax.jit(lambda: module.init(jax.random.key(1), image, train=False))())
    config = {"encoder": section, "train": {"dtype": "float32"}, "evaluate": {"distance": "cosine"}}
    weights = variables["params"], variables.get("batch_stats", {})
    preparation = Preparation(Shape(SIDE, SIDE, 3))
    return FrozenEncoder(SavedEncoder(name, config, preparation, "", *weights)).embed_pixels


def peers(name: str, images: np.ndarray) -> dict[str, Embed]:
    """Make timm's network in PyTorch and in ONNX Runtime; both take the pixels as they are here."""
    import onnxruntime
    import timm
    import torch

    architecture, options = NETWORKS[name][1]
    network = timm.create_model(architecture, num_classes=0, exportable=True, **options).eval()
    network.requires_grad_(False)
    mean, deviation = (torch.tensor(each).reshape(1, 3, 1, 1) for each in PIXELS.values())

    class Scaled(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return network((pixels.float() / 255 - mean) / deviation)

    scaled = Scaled()
    channels_last = scaled.to(memory_format=torch.channels_last)
    content = io.BytesIO()
    example = torch.zeros((1, 3, SIDE, SIDE), dtype=torch.uint8)
    axes = {"pixels": {0: "n"}, "embedding": {0: "n"}}
    names = {"input_names": ["pixels"], "output_names": ["embedding"], "dynamic_axes": axes}
    torch.onnx.export(scaled, (example,), content, dynamo=False, **names)
    session = onnxruntime.InferenceSession(content.getvalue(), providers=["CPUExecutionProvider"])

    def torch_embed(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # which is channels_last
            return channels_last(batch).numpy()

    def onnx_embed(pixels: np.ndarray) -> np.ndarray:
        return session.run(None, {"pixels": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})[0]

    return {"pytorch": torch_embed, "onnxruntime": onnx_embed}


if __name__ == "__main__":
    main()

"""ResNet 18, 34 and 50 of timm's (Wightman et al. 2021, arXiv:2110.00476) or torchvision's, Apache-2.0 and BSD.

What is matched are timm's resnet18, resnet34 and resnet50, before their classifier. A file of torchvision's has the
same arrays, but must be in a folder with a config.json that says how pictures are prepared.
"""

from jaxembed.encoders.published import weights
from jaxembed.encoders.published.weights import Arrays, Converted, Model, Source
from jaxembed.encoders.resnet import BLOCKS

TITLE = "a ResNet"
NAMES = {
    f"resnet{depth}": Source(
        f"https://huggingface.co/timm/resnet{depth}.a1_in1k",
        "model.safetensors",
        megabytes,
        "Apache-2.0",
        "ImageNet",
    )
    for depth, megabytes in ((18, 47), (34, 87), (50, 102))
}


def recognises(arrays: Arrays) -> bool:
    """Return whether these are the arrays of a ResNet with the stem for large images."""
    return "layer1.0.conv1.weight" in arrays and "conv1.weight" in arrays


def convert(model: Model) -> Converted:
    """Convert its arrays; what is missing or too much is a KeyError or a ValueError."""
    arrays = dict(model.arrays)
    counts = tuple(
        len({name.split(".")[1] for name in arrays if name.startswith(f"layer{stage}.")}) for stage in range(1, 5)
    )
    kind, convolutions = ("Bottleneck", 3) if "layer1.0.conv3.weight" in arrays else ("Block", 2)
    depths = [
        depth for depth, blocks in BLOCKS.items() if blocks == counts and (depth == 50) == (convolutions == 3)
    ]
    if not depths:
        raise ValueError(f"its stages must have the blocks of a ResNet 18, 34 or 50, got {counts}")
    given = {"Conv_0": ("conv1", "bn1")}
    blocks = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(counts[stage - 1])]
    for index, name in enumerate(blocks):
        layers = [(f"{name}.conv{each}", f"{name}.bn{each}") for each in range(1, convolutions + 1)]
        if f"{name}.downsample.0.weight" in arrays:
            layers.append((f"{name}.downsample.0", f"{name}.downsample.1"))
        given |= {f"{kind}_{index}/Conv_{layer}": names for layer, names in enumerate(layers)}
    params, stats = weights.normalised(arrays, given)
    others = [name for name in arrays if not name.startswith("fc.")]
    if others:
        raise ValueError(f"it also has {others[0]!r}, which such an encoder does not")
    mean, deviation, preparation, _ = weights.of_timm(model)
    width = params["Conv_0/kernel"].shape[-1]
    section = {"name": "resnet", "depth": depths[0], "width": width, "stem": "large"}
    return Converted(section | {"mean": mean, "deviation": deviation}, preparation, params, stats)

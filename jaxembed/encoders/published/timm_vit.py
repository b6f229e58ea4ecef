"""A vision transformer of timm's: supervised ones, MAE, DINOv2 again; from a model folder with its config.json.

What is matched is timm's VisionTransformer, with positions resampled by its `dynamic_img_size`.
"""

from jaxembed.encoders.published import layouts, weights
from jaxembed.encoders.published.weights import Arrays, Converted, Model, Source

TITLE = "a ViT of timm's"
NAMES: dict[str, Source] = {}


def recognises(arrays: Arrays) -> bool:
    """Return whether these are the arrays of a ViT of timm's with a class token."""
    return layouts.TIMM.token in arrays and "blocks.0.attn.qkv.weight" in arrays


def convert(model: Model) -> Converted:
    """Convert its arrays; what is missing or too much is a KeyError or a ValueError."""
    shapes, params = layouts.convert(model.arrays, layouts.TIMM, ignored=_is_head)
    mean, deviation, preparation, name = weights.of_timm(model)
    options = {
        "name": "vit",
        **shapes,
        "pool": "token",
        # Its CLIP towers are the only ones that normalise before the first block.
        "epsilon": 1e-5 if shapes["prenorm"] else 1e-6,
        "activation": "quick_gelu" if "quickgelu" in name else "gelu",
        "positions": "antialiased",
        "remat": False,
        "mean": mean,
        "deviation": deviation,
    }
    return Converted(options, preparation, params, {})


def _is_head(name: str) -> bool:
    return name.startswith(("head.", "fc_norm.", "head_drop."))

"""DINOv2: vision transformers that learned without labels (Oquab et al. 2024, arXiv:2304.07193), Apache-2.0.

What is matched are the classes Dinov2Model and Dinov2WithRegistersModel of transformers: positions are resampled to
the number of patches, without antialiasing, but with registers with it; Facebook's own code resamples by a factor
with an offset of 0.1 instead. The embedding is the class token.
"""

from jaxembed.encoders.published import layouts, weights
from jaxembed.encoders.published.weights import Arrays, Converted, Model, Source
from jaxembed.pictures import Preparation, Shape

TITLE = "DINOv2"
_HUB = "https://huggingface.co/facebook/"
NAMES = {
    name: Source(_HUB + repository, "model.safetensors", megabytes, "Apache-2.0", "LVD-142M")
    for name, repository, megabytes in (
        ("dinov2_small", "dinov2-small", 88),
        ("dinov2_base", "dinov2-base", 346),
        ("dinov2_small_registers", "dinov2-with-registers-small", 88),
        ("dinov2_base_registers", "dinov2-with-registers-base", 346),
    )
}
# Of its preprocessor_config.json.
PREPARATION = Preparation(Shape(224, 224, 3), side=256, interpolation="bicubic")


def recognises(arrays: Arrays) -> bool:
    """Return whether these are the arrays of a DINOv2 of transformers."""
    return layouts.DINOV2.token in arrays and "encoder.layer.0.layer_scale1.lambda1" in arrays


def convert(model: Model) -> Converted:
    """Convert its arrays; what is missing or too much is a KeyError or a ValueError."""
    shapes, params = layouts.convert(model.arrays, layouts.DINOV2, ignored=_is_ignored)
    said = model.configs.get("config.json", {})
    preparation, standardised = weights.prepared(
        model, PREPARATION, weights.IMAGENET_MEAN, weights.IMAGENET_DEVIATION
    )
    options = {
        "name": "vit",
        **shapes,
        "pool": "token",
        "epsilon": said.get("layer_norm_eps", 1e-6),
        "activation": said.get("hidden_act", "gelu"),
        "positions": "antialiased" if shapes["registers"] else "bicubic",
        "remat": False,
        **standardised,
    }
    options["heads"] = said.get("num_attention_heads", shapes["heads"])
    return Converted(options, preparation, params, {})


def _is_ignored(name: str) -> bool:
    return name == "embeddings.mask_token"  # of pretraining

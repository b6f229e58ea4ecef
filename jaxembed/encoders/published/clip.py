"""CLIP: towers for images and texts with one embedding (Radford et al. 2021, arXiv:2103.00020), MIT.

What is matched are transformers' CLIPVisionModelWithProjection and open_clip's CLIP. The embedding is the projected
class token.
"""

from jaxembed.encoders.published import clip_text, layouts, weights
from jaxembed.encoders.published.weights import Arrays, Converted, Model, Source
from jaxembed.pictures import Preparation, Shape

TITLE = "CLIP"
NAMES = {
    name: Source(f"https://huggingface.co/timm/{repository}", "open_clip_model.safetensors", 605, "MIT", "WIT-400M")
    for name, repository in (
        ("clip_vit_b32", "vit_base_patch32_clip_224.openai"),
        ("clip_vit_b16", "vit_base_patch16_clip_224.openai"),
    )
}
PREPARATION = Preparation(Shape(224, 224, 3), side=224, interpolation="bicubic")
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# Begins the names of arrays of the vision tower in transformers' layout; in open_clip's they begin with "visual.".
_VISION = ("vision_model.", "visual_projection.")


def recognises(arrays: Arrays) -> bool:
    """Return whether these are the arrays of a CLIP of transformers or open_clip."""
    return layouts.CLIP.token in arrays or layouts.OPEN_CLIP.token in arrays


def convert(model: Model) -> Converted:
    """Convert the arrays of its vision tower; what is missing or too much is a KeyError or a ValueError."""
    is_open = layouts.OPEN_CLIP.token in model.arrays
    layout, ignored = (layouts.OPEN_CLIP, _is_open_text) if is_open else (layouts.CLIP, _is_text)
    shapes, params = layouts.convert(model.arrays, layout, ignored=ignored)
    preparation, standardised = weights.prepared(model, PREPARATION, MEAN, DEVIATION)
    options = {
        "name": "vit",
        **shapes,
        "pool": "token",
        "epsilon": 1e-5,
        "activation": _activation(model, is_open=is_open),
        "positions": "bicubic",
        "remat": False,
        **standardised,
    }
    has_text = clip_text.layout(model.arrays) is not None
    return Converted(options, preparation, params, {}, has_text=has_text)


def _activation(model: Model, *, is_open: bool) -> str:
    """Return the activation that the model's config names, by default that of OpenAI's weights."""
    if is_open:
        said = model.configs.get("open_clip_config.json", {}).get("model_cfg")
        return "quick_gelu" if said is None or said.get("quick_gelu") else "gelu"
    return model.configs.get("config.json", {}).get("vision_config", {}).get("hidden_act", "quick_gelu")


def _is_open_text(name: str) -> bool:
    return not name.startswith("visual.")


def _is_text(name: str) -> bool:
    return not name.startswith(_VISION) or name.endswith("position_ids")

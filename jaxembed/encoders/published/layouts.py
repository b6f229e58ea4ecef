"""Layouts: how libraries name the arrays of a vision transformer, and its arrays as those of encoders/vit."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxembed.encoders.published.weights import Arrays

# Of all published ones.
HEAD = 64


class Layout(NamedTuple):
    """The names of the arrays; those with weights and biases without `.weight` and `.bias`.

    Attributes:
      token: of the class token.
      registers: of the register tokens; empty where the layout has none.
      positions: of the learned positions, first those of the class token unless there are only the patches'.
      patches: of the patches' convolution.
      prenorm: of the LayerNorm before the first block; empty where the layout has none.
      norm: of the last LayerNorm.
      projection: of the linear embedding at the end; empty where the layout has none.
      block: of a block, with its number to be filled in.
      norms: in a block, of its two.
      qkv: in a block, of the attention's inputs: one for all three, or one each.
      out: in a block, of the attention's output.
      scales: in a block, of the factors on its two branches; empty where the layout has none.
      mlp: in a block, of its two layers.
    """

    token: str
    registers: str
    positions: str
    patches: str
    prenorm: str
    norm: str
    projection: str
    block: str
    norms: tuple[str, str]
    qkv: tuple[str, ...]
    out: str
    scales: tuple[str, ...]
    mlp: tuple[str, str]

    @property
    def is_open_clip(self) -> bool:
        """Whether it is open_clip's, in which the names of a few arrays do not end in ".weight"."""
        return self.qkv[0].endswith("_")


DINOV2 = Layout(
    token="embeddings.cls_token",
    registers="embeddings.register_tokens",
    positions="embeddings.position_embeddings",
    patches="embeddings.patch_embeddings.projection",
    prenorm="",
    norm="layernorm",
    projection="",
    block="encoder.layer.{}.",
    norms=("norm1", "norm2"),
    qkv=tuple(f"attention.attention.{each}" for each in ("query", "key", "value")),
    out="attention.output.dense",
    scales=("layer_scale1.lambda1", "layer_scale2.lambda1"),
    mlp=("mlp.fc1", "mlp.fc2"),
)
CLIP = Layout(
    token="vision_model.embeddings.class_embedding",
    registers="",
    positions="vision_model.embeddings.position_embedding.weight",
    patches="vision_model.embeddings.patch_embedding",
    prenorm="vision_model.pre_layrnorm",
    norm="vision_model.post_layernorm",
    projection="visual_projection",
    block="vision_model.encoder.layers.{}.",
    norms=("layer_norm1", "layer_norm2"),
    qkv=tuple(f"self_attn.{each}_proj" for each in "qkv"),
    out="self_attn.out_proj",
    scales=(),
    mlp=("mlp.fc1", "mlp.fc2"),
)
OPEN_CLIP = Layout(
    token="visual.class_embedding",
    registers="",
    positions="visual.positional_embedding",
    patches="visual.conv1",
    prenorm="visual.ln_pre",
    norm="visual.ln_post",
    projection="visual.proj",
    block="visual.transformer.resblocks.{}.",
    norms=("ln_1", "ln_2"),
    qkv=("attn.in_proj_",),
    out="attn.out_proj",
    scales=(),
    mlp=("mlp.c_fc", "mlp.c_proj"),
)
TIMM = Layout(
    token="cls_token",
    registers="reg_token",
    positions="pos_embed",
    patches="patch_embed.proj",
    prenorm="norm_pre",
    norm="norm",
    projection="",
    block="blocks.{}.",
    norms=("norm1", "norm2"),
    qkv=("attn.qkv",),
    out="attn.proj",
    scales=("ls1.gamma", "ls2.gamma"),
    mlp=("mlp.fc1", "mlp.fc2"),
)


def convert(
    arrays: Arrays, layout: Layout, *, ignored: Callable[[str], bool]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Convert the arrays of a vision transformer.

    Args:
      arrays: the arrays by their published names.
      layout: how they are named.
      ignored: whether an array of a name is no part of the encoder.

    Returns:
      the options of config.encoder that the arrays' shapes tell, and the parameters by path.

    Raises:
      KeyError: naming an array that is missing.
      ValueError: if shapes do not fit, or there are arrays that the encoder does not have.
    """
    taken = Taken(arrays)
    params = _begin(taken, layout) | end(taken, layout)
    width = params["token"].shape[1]
    if others := [name for name in arrays if name not in taken.names and not ignored(name)]:
        raise ValueError(f"it also has {others[0]!r}, which such an encoder does not")
    options = {
        "patch": len(params["patches/kernel"]),
        "grid": len(params["positions"]),
        "width": width,
        "depth": depth(arrays, layout),
        "heads": max(1, width // HEAD),
        "hidden": params["block_0/expand/kernel"].shape[1],
        "registers": len(params.get("registers", ())),
        "layer_scale": float("block_0/scale_1" in params),
        "prenorm": "prenorm/scale" in params,
        "projection": params["projection/kernel"].shape[1] if layout.projection else 0,
    }
    return options, params


def depth(arrays: Arrays, layout: Layout) -> int:
    """Count the blocks."""
    begin = layout.block.partition("{")[0]
    return sum(name.startswith(begin) and name.endswith(f".{layout.norms[0]}.weight") for name in arrays)


def end(taken: "Taken", layout: Layout) -> dict[str, np.ndarray]:
    """Convert the blocks and what follows them; KeyError as `convert`."""
    params = _norm(taken, layout.norm, "norm")
    for index in range(depth(taken.arrays, layout)):
        params |= _block(taken, layout, index)
    if layout.projection:
        kernel = taken[layout.projection] if layout.is_open_clip else taken[f"{layout.projection}.weight"].T
        params["projection/kernel"] = kernel
    return params


class Taken:
    """Arrays in float32, and the names of those that were taken."""

    def __init__(self, arrays: Arrays) -> None:
        """Begin with none taken."""
        self.arrays, self.names = arrays, set()

    def __getitem__(self, name: str) -> np.ndarray:
        """Take an array."""
        array = self.arrays[name]
        self.names.add(name)
        return array.astype(np.float32)


def _begin(taken: Taken, layout: Layout) -> dict[str, np.ndarray]:
    """Convert what makes tokens of an image, up to the first block."""
    patches = taken[f"{layout.patches}.weight"]
    width = len(patches)
    params = {"patches/kernel": patches.transpose(2, 3, 1, 0)}
    if f"{layout.prenorm}.weight" in taken.arrays:
        params |= _norm(taken, layout.prenorm, "prenorm")
    else:
        params["patches/bias"] = taken[f"{layout.patches}.bias"]
    token, positions = taken[layout.token].reshape(1, -1), taken[layout.positions].reshape(-1, width)
    if _is_square(len(positions) - 1):  # the first is the class token's, a constant that is added to it
        token, positions = token + positions[:1], positions[1:]
    grid = round(len(positions) ** 0.5)
    params |= {"token": token, "positions": positions.reshape(grid, grid, width)}
    if layout.registers in taken.arrays:
        params["registers"] = taken[layout.registers].reshape(-1, width)
    return params


def _block(taken: Taken, layout: Layout, index: int) -> dict[str, np.ndarray]:
    """Convert a block; the attention's three inputs become one."""
    given, ours = layout.block.format(index), f"block_{index}/"
    dot = "" if layout.is_open_clip else "."
    kinds = [[taken[f"{given}{name}{dot}{kind}"] for name in layout.qkv] for kind in ("weight", "bias")]
    kernel, bias = (np.concatenate(kind) for kind in kinds)
    params = {f"{ours}attention/qkv/kernel": kernel.T, f"{ours}attention/qkv/bias": bias}
    for name, layer in zip((layout.out, *layout.mlp), ("attention/out", "expand", "reduce"), strict=True):
        params |= {
            f"{ours}{layer}/kernel": taken[f"{given}{name}.weight"].T,
            f"{ours}{layer}/bias": taken[f"{given}{name}.bias"],
        }
    for number, name in enumerate(layout.norms, start=1):
        params |= _norm(taken, given + name, f"{ours}norm_{number}")
    for number, name in enumerate(layout.scales, start=1):
        if given + name in taken.arrays:
            params[f"{ours}scale_{number}"] = taken[given + name]
    return params


def _norm(taken: Taken, given: str, ours: str) -> dict[str, np.ndarray]:
    return {f"{ours}/scale": taken[f"{given}.weight"], f"{ours}/bias": taken[f"{given}.bias"]}


def _is_square(number: int) -> bool:
    return round(number**0.5) ** 2 == number

"""CLIP text towers with random weights, by the names that open_clip and transformers give them, without either."""

import json
import zlib
from pathlib import Path

import numpy as np
import safetensors.numpy

# Of ViT-B/32 and ViT-B/16; and one that costs nothing.
TRUE = {"vocabulary": 49408, "context": 77, "width": 512, "heads": 8, "depth": 12, "projection": 512}
TINY = {"vocabulary": 540, "context": 20, "width": 32, "heads": 4, "depth": 3, "projection": 16}
LIBRARIES = ("open_clip", "transformers")
_OPEN_CLIP = {
    "ln_1": "w",
    "attn.in_proj_": "3w w",
    "attn.out_proj": "w w",
    "ln_2": "w",
    "mlp.c_fc": "4w w",
    "mlp.c_proj": "w 4w",
}
_TRANSFORMERS = {
    "layer_norm1": "w",
    "self_attn.q_proj": "w w",
    "self_attn.k_proj": "w w",
    "self_attn.v_proj": "w w",
    "self_attn.out_proj": "w w",
    "layer_norm2": "w",
    "mlp.fc1": "4w w",
    "mlp.fc2": "w 4w",
}


def shapes(library: str, *, vocabulary, context, width, heads, depth, projection) -> dict[str, tuple[int, ...]]:
    """List the shapes of the text tower's arrays by their names."""
    if library == "open_clip":
        block, own = "transformer.resblocks.{}.", _OPEN_CLIP
        made = {"token_embedding.weight": (vocabulary, width), "positional_embedding": (context, width)}
        made |= {"text_projection": (width, projection), "ln_final.weight": (width,), "ln_final.bias": (width,)}
    else:
        block, own = "text_model.encoder.layers.{}.", _TRANSFORMERS
        embeddings = "text_model.embeddings.{}_embedding.weight".format
        made = {embeddings("token"): (vocabulary, width), embeddings("position"): (context, width)}
        made |= {f"text_model.final_layer_norm.{each}": (width,) for each in ("weight", "bias")}
        made |= {"text_projection.weight": (projection, width)}
    for layer in range(depth):
        for name, sides in own.items():
            shape = tuple(width * int(side.removesuffix("w") or 1) for side in sides.split())
            name = block.format(layer) + name + ("" if name.endswith("_") else ".")
            made |= {f"{name}weight": shape, f"{name}bias": shape[:1]}
    return made


def random(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw an array that depends on its name only."""
    draws = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    if "embedding" in name:
        return draws / 2
    if len(shape) == 1:
        return draws / 10 + ("bias" not in name)
    inputs = shape[:1] if name in ("text_projection", "visual.proj") else shape[1:]
    return draws / np.float32(np.sqrt(np.prod(inputs)))


def arrays(library: str, **sizes: int) -> dict[str, np.ndarray]:
    """Draw the arrays of a text tower."""
    return {name: random(name, shape) for name, shape in shapes(library, **sizes).items()}


def config(library: str, activation: str, **sizes: int) -> dict:
    """Write a text tower's config as the library does."""
    if library == "open_clip":
        names = {"context_length": "context", "vocab_size": "vocabulary", "layers": "depth"}
        text = {name: sizes[names.get(name, name)] for name in (*names, "width", "heads")}
        model = {"embed_dim": sizes["projection"], "quick_gelu": activation == "quick_gelu", "vision_cfg": {}}
        return {"model_cfg": model | {"text_cfg": text}}
    names = {
        "vocab_size": "vocabulary",
        "hidden_size": "width",
        "num_hidden_layers": "depth",
        "num_attention_heads": "heads",
        "max_position_embeddings": "context",
        "projection_dim": "projection",
    }
    text = {name: sizes[ours] for name, ours in names.items()}
    text |= {"intermediate_size": 4 * sizes["width"], "hidden_act": activation}
    return {"model_type": "clip", "projection_dim": sizes["projection"], "text_config": text}


def tokenizer() -> tuple[dict[str, int], list[str]]:
    """Make a vocabulary of bytes and a few words, and its merges: 540 tokens, the last two are start and end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(each) for each in printable] + [chr(256 + each) for each in range(256 - len(printable))]
    merges = ["d o", "do g</w>", "c a", "ca t</w>", "b e", "be a", "c h</w>", "bea ch</w>", "o n</w>", "i n</w>"]
    merges += ["p h", "o t", "ph ot", "phot o</w>", "o f</w>", "t h", "th e</w>", "r e", "re d</w>", "b l"]
    merges += ["bl u", "blu e</w>", "s e", "se a</w>", "a n", "an d</w>"]
    words = [*letters, *(f"{each}</w>" for each in letters), *(each.replace(" ", "") for each in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}, merges


def image_tower(projection: int, *, width: int = 32, patch: int = 56) -> dict[str, tuple[int, ...]]:
    """List the shapes of open_clip's smallest image tower for 224 pixels."""
    grid = 224 // patch
    made = {"class_embedding": (width,), "positional_embedding": (grid**2 + 1, width), "proj": (width, projection)}
    made |= {f"ln_{name}.{each}": (width,) for name in ("pre", "post") for each in ("weight", "bias")}
    made |= {"conv1.weight": (width, 3, patch, patch)}
    blocks = shapes("open_clip", vocabulary=1, context=1, width=width, heads=1, depth=1, projection=1)
    made |= {name: shape for name, shape in blocks.items() if "resblocks" in name}
    return {f"visual.{name}": shape for name, shape in made.items()}


def write(folder: Path, library: str = "transformers", *, activation="quick_gelu", files="one", **sizes) -> Path:
    """Write a model folder as the hub lays it out, with the tokenizer in one file or in two."""
    sizes = TINY | sizes
    folder.mkdir(parents=True, exist_ok=True)
    begins = "open_clip_" if library == "open_clip" else ""
    content = arrays(library, **sizes)
    if library == "open_clip":
        content |= {name: random(name, shape) for name, shape in image_tower(sizes["projection"]).items()}
    safetensors.numpy.save_file(content, folder / f"{begins}model.safetensors")
    text = config(library, activation, **sizes)
    (folder / f"{begins}config.json").write_text(json.dumps(text))
    vocabulary, merges = tokenizer()
    if files == "one":
        model = {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": vocabulary, "merges": merges}
        (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": model}))
    else:
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    return folder

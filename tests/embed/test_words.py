"""Words: texts are embedded with pictures, search them, and label them."""

import json
import shutil
import sys

import clip_folders
import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from jaxembed import search
from jaxembed.artifacts import encoder_file
from jaxembed.cli import command
from jaxembed.core.errors import InputError
from jaxembed.embed import __main__ as embed
from jaxembed.embed import frozen, vectors, words
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.encoders.published import clip_text
from jaxembed.encoders.published.text_tower import Tower
from jaxembed.figures import caption

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CLIP with both towers, as timm's folders on the hub: the image tower is in a file of its own also."""
    folder = clip_folders.write(tmp_path_factory.mktemp("hub") / "clip", "open_clip")
    safetensors.numpy.save_file({"cls_token": np.zeros((1, 1, 3), np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"architecture": "vit_base_patch32_clip_224"}')
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return frozen.load(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(8):
        pixels = RANDOM.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((20, 20)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def output(folder, photos, tmp_path_factory):
    file = tmp_path_factory.mktemp("vectors") / "x.npz"
    embed.main([str(folder), str(photos), f"--output={file}"])
    return file


def test_an_encoder_of_one_folder_has_images_and_words(encoder, folder, tmp_path):
    assert encoder.has_words
    assert encoder.dimension == 16
    image = RANDOM.integers(0, 256, (30, 40, 3), np.uint8)
    assert encoder.embed([image]).shape == encoder.embed_text("a dog").shape == (1, 16)
    # A file has neither a tokenizer nor a config, and an encoder that is written is one of images.
    alone = frozen.load(shutil.copy(folder / "open_clip_model.safetensors", tmp_path / "clip.safetensors"))
    np.testing.assert_allclose(alone.embed([image]), encoder.embed([image]), atol=1e-5)
    encoder_file.write(encoder.saved, tmp_path / "encoder.safetensors")
    for other in (alone, frozen.load(tmp_path / "encoder.safetensors")):
        with pytest.raises(InputError, match="has no words; those with words: clip_vit_b32, clip_vit_b16"):
            other.embed_text("a dog")


def test_a_text_has_one_embedding_alone_and_among_others(encoder, folder):
    texts = ["a dog on a beach", "the cat", "the cat " * 6, *(f"a photo of the {each}" for each in "abcdefgh")]
    together = encoder.embed_text(texts)
    assert together.shape == (len(texts), 16)
    assert together.dtype == np.float32
    for text, row in zip(texts[:3], together, strict=False):
        np.testing.assert_allclose(encoder.embed_text(text), row[None], atol=1e-5)
    tower, params, tokenizer = clip_text.read(folder)
    tokens, _ = tokenizer.encode(texts, tower.context)
    expected = jax.jit(tower.apply)({"params": params}, tokens)
    np.testing.assert_allclose(together, expected, atol=1e-5 * np.abs(together).max())
    np.testing.assert_allclose(encoder.embed_text("  THE\ncat"), together[1:2], atol=1e-5)
    assert encoder.embed_text([]).shape == (0, 16)
    assert np.abs(together - together[:1]).max(axis=1)[1:].min() > 0.1


def test_a_text_that_is_too_long_is_cut_off_and_named(encoder, capsys):
    # 3 tokens each, of which 18 fit.
    cut = encoder.embed_text(["the dog and " * 20, "the dog and " * 6])
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-5)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == 'cut off after 18 tokens: "the dog and the dog and the dog and the …"'


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_text_must_have_a_letter(text, encoder):
    with pytest.raises(InputError, match="a text must have at least one letter, got"):
        encoder.embed_text(["a dog", text])


def test_an_encoder_without_words_says_which_have_them():
    encoder = frozen.load("quickstart")
    assert not encoder.has_words
    with pytest.raises(InputError, match="quickstart has no words; those with words: clip_vit_b32, clip_vit_b16"):
        encoder.embed_text("a dog")


@pytest.mark.parametrize("library", clip_folders.LIBRARIES)
def test_a_folder_of_either_library_is_read(library, tmp_path):
    folder = clip_folders.write(tmp_path, library, activation="gelu", files="two")
    tower, params, tokenizer = clip_text.read(folder)
    assert tower == Tower(**clip_folders.TINY, activation="gelu")
    assert tokenizer.end == 539
    name = "token_embedding.weight" if library == "open_clip" else "text_model.embeddings.token_embedding.weight"
    drawn = clip_folders.random(name, (540, 32))
    np.testing.assert_array_equal(params["tokens"]["embedding"], drawn)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_read(dtype, tmp_path):
    whole = clip_text.read(clip_folders.write(tmp_path)).params
    arrays = clip_folders.arrays("transformers", **clip_folders.TINY)
    halves = {name: array.astype(dtype) for name, array in arrays.items()}
    # As files of earlier versions have it.
    halves["text_model.embeddings.position_ids"] = np.arange(20)[None]
    safetensors.numpy.save_file(halves, tmp_path / "model.safetensors")
    _, params, _ = clip_text.read(tmp_path)
    for found, expected in zip(jax.tree.leaves(params), jax.tree.leaves(whole), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)


def changed(folder, file, change):
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))


def without(name):
    def change(arrays):
        del arrays[name]

    return change


def cut(name):
    return lambda arrays: arrays.update({name: arrays[name][1:].copy()})


def poison(name):
    return lambda arrays: arrays[name].__setitem__(5, np.nan)


BLOCK, TOKENS = "text_model.encoder.layers.1.", "text_model.embeddings.token_embedding.weight"
WEIGHTS = {
    "an array is missing": (without(f"{BLOCK}mlp.fc1.bias"), f"it lacks '{BLOCK}mlp.fc1.bias'"),
    "a key is missing": (without(f"{BLOCK}self_attn.k_proj.bias"), f"it lacks '{BLOCK}self_attn.k_proj.bias'"),
    "a block is missing": (
        lambda arrays: [arrays.pop(name) for name in list(arrays) if ".layers.2." in name],
        "it must have 3 layers, got 2",
    ),
    "the projection is missing": (without("text_projection.weight"), "it lacks 'text_projection.weight'"),
    "the tower is missing": (without(TOKENS), "has no text tower"),
    "a row is missing": (cut(f"{BLOCK}mlp.fc1.bias"), "block_1/expand/bias must be (128,), got (127,)"),
    "a number is not finite": (poison(f"{BLOCK}mlp.fc1.bias"), "block_1/expand/bias holds numbers that are not"),
    "there are no numbers": (lambda arrays: arrays.update({TOKENS: np.zeros((540, 0), np.float32)}), "divide the"),
    "tokens are missing": (cut(TOKENS), "the tokenizer has 540 tokens and the text tower 539"),
    "a dimension is missing": (cut("text_projection.weight"), "embeds texts in 15 dimensions, but images in 16"),
}
CONFIGS = {
    "layers": (lambda text: text.update(num_hidden_layers=4), "it must have 4 layers, got 3"),
    "heads": (lambda text: text.update(num_attention_heads=5), "heads must divide the width, 32, got 5"),
    "no number": (lambda text: text.update(num_attention_heads="x"), "heads must divide the width, 32, got x"),
    "another GELU": (lambda text: text.update(hidden_act="relu"), "must be quick_gelu or gelu, got relu"),
    "epsilon": (lambda text: text.update(layer_norm_eps=1e-6), "layer_norm_eps must be 1e-05"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_do_not_fit_are_one_line(name, tmp_path):
    change, problem = WEIGHTS[name]
    file = clip_folders.write(tmp_path) / "model.safetensors"
    arrays = safetensors.numpy.load_file(file)
    change(arrays)
    safetensors.numpy.save_file(arrays, file)
    encoder = FrozenEncoder(frozen.saved("quickstart")._replace(text=tmp_path))
    with pytest.raises(InputError) as caught:
        encoder.embed_text("a dog")
    assert problem in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_does_not_fit_is_one_line(name, tmp_path):
    change, problem = CONFIGS[name]
    clip_folders.write(tmp_path)
    changed(tmp_path, "config.json", lambda config: change(config["text_config"]))
    with pytest.raises(InputError) as caught:
        clip_text.read(tmp_path)
    assert problem in str(caught.value)


def test_a_text_tower_of_another_kind_is_refused(tmp_path):
    clip_folders.write(tmp_path, "open_clip")
    pools = lambda config: config["model_cfg"]["text_cfg"].update(pool_type="last")  # noqa: E731
    changed(tmp_path, "open_clip_config.json", pools)
    with pytest.raises(InputError, match=r"no text tower of CLIP's: its config has pool_type, which"):
        clip_text.read(tmp_path)
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": []}')
    with pytest.raises(InputError, match="has no text tower of CLIP's"):
        clip_text.read(tmp_path)


def test_damaged_weights_are_one_line(tmp_path):
    file = clip_folders.write(tmp_path) / "model.safetensors"
    content = file.read_bytes()
    for damaged in (b"", content[:1000], content[:-1000], b"\x80" + content[1:]):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"model\.safetensors is not a \.safetensors file, or is damaged: "):
            clip_text.read(tmp_path)


def test_texts_and_pictures_are_searched_for_together(folder, encoder, output, photos, tmp_path, capsys):
    sheet = tmp_path / "found.png"
    queries = ["--text", "a dog on a beach", str(photos / "3.png"), "--text=the\ncat", "--count=8"]
    search.main([str(folder), str(output), *queries, f"--output={sheet}"])
    out = capsys.readouterr().out.splitlines()
    heads = [line for line in out if "nearest first by cosine distance, 1 - cos" in line]
    assert [head.partition(", nearest")[0] for head in heads] == [
        str(photos / "3.png"), '"a dog on a beach"', '"the\\ncat"',
    ]  # fmt: skip
    assert out[1] == "  0.0000  3.png"
    embedded = vectors.read(output)
    directions = embedded.embeddings / np.linalg.norm(embedded.embeddings, axis=1, keepdims=True)
    text = encoder.embed_text("a dog on a beach")[0]
    apart = 1 - directions @ text / np.linalg.norm(text)
    found = [line.split() for line in out[10:18]]
    np.testing.assert_allclose([float(distance) for distance, _ in found], np.sort(apart), atol=1e-4)
    assert [name for _, name in found] == [embedded.names[row] for row in np.argsort(apart)]
    with Image.open(sheet) as picture:
        assert picture.size == (9 * 170 + 10, 3 * 170)
        cell = np.asarray(picture.convert("L").crop((0, 170, 160, 330)))
    np.testing.assert_array_equal(cell, np.asarray(caption.draw("a dog on a beach", 160).convert("L")))
    assert 0.01 < (cell < 128).mean() < 0.3


def test_a_caption_stays_in_its_cell():
    for text in ("dog", "a dog on a beach " * 40, "x" * 300, "$x_2$ \\frac {}", "山の上の雪 🏔️", "a\nb\x1b"):
        cell = np.asarray(caption.draw(text, 160).convert("L"))
        assert cell.shape == (160, 160)
        assert (cell < 128).any()
        edges = np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])
        assert edges.min() == 255, text


def test_pictures_get_the_nearest_words_as_labels(folder, encoder, photos, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("\ufeffdog\n\n  the  cat \nblue beach\n", encoding="utf-8")
    file = tmp_path / "x.npz"
    embed.main([str(folder), str(photos), f"--output={file}", f"--words={tmp_path / 'words.txt'}"])
    read, names = vectors.read(file), ["dog", "the cat", "blue beach"]
    assert words.read(tmp_path / "words.txt") == names
    texts = [[template.format(name) for template in words.TEMPLATES] for name in names]
    unit = lambda rows: rows / np.linalg.norm(rows, axis=-1, keepdims=True)  # noqa: E731
    directions = unit(np.stack([unit(encoder.embed_text(each)).mean(axis=0) for each in texts]))
    np.testing.assert_allclose(words.embed(encoder, names), directions, atol=1e-5)
    expected = np.argmax(unit(read.embeddings) @ directions.T, axis=1)
    assert list(read.labels) == [names[number] for number in expected]
    lines = capsys.readouterr().out.splitlines()
    name, count = max(((name, list(read.labels).count(name)) for name in names), key=lambda each: each[1])
    assert lines[1].startswith(f"Nearest words: {name} {count}")


def test_clusters_are_named_by_their_mean_directions():
    labels = np.eye(3, 4, dtype=np.float32)
    points = np.array([[9, 1, 0, 0], [0, 1, 2, 1], [0, 0.1, 0.3, 0], [0, 5, 4, 0], [0, 1, 0, 0]], np.float32)
    np.testing.assert_array_equal(words.nearest(points, labels), [0, 2, 2, 1, 1])
    assert words.nearest_to_clusters(points, np.array([7, 2, 2, 5, 5]), labels) == {2: 2, 5: 1, 7: 0}


def test_bad_words_end_in_one_line_and_status_2(output, photos, tmp_path, capsys):
    (tmp_path / "one.txt").write_text("dog\n")
    (tmp_path / "twice.txt").write_text("dog\ncat\ndog \n")
    (tmp_path / "none.txt").write_bytes(b"\xff\xfe\0")
    (tmp_path / "words.txt").write_text("dog\ncat\n")
    new = f"--output={tmp_path / 'new.npz'}"

    def words_of(name):
        return [embed, ["quickstart", str(photos), new, f"--words={tmp_path / name}"]]

    read, file = vectors.read(output), tmp_path / "quickstart.npz"
    about = read.about._replace(sha256=frozen.saved("quickstart").sha256)
    vectors.write_npz(read._replace(about=about), file)
    none = "quickstart has no words; those with words: clip_vit_b32, "
    cases = [
        ([search, ["quickstart", str(file)]], "there must be a query"),
        ([search, ["quickstart", str(file), "--text"]], "argument --text: expected one argument"),
        ([search, ["quickstart", str(file), "--text", "a dog"]], none),
        ([search, ["quickstart"]], "there must be a query"),
        (words_of("words.txt"), none),
        (words_of("one.txt"), "must have at least two words, each on its own line, got 1"),
        (words_of("twice.txt"), "has dog more than once"),
        (words_of("none.txt"), "cannot be read as a list of words"),
        (words_of("no.txt"), "cannot be read as a list of words"),
        (words_of(""), "cannot be read as a list of words"),
    ]
    for (module, arguments), error in cases:
        assert command.run("x", module.main, arguments) == 2, arguments
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert line.startswith("x: ")
        assert error in line
    assert not (tmp_path / "new.npz").exists()


def test_without_the_package_a_text_is_refused_in_one_line(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    encoder = FrozenEncoder(frozen.saved("quickstart")._replace(text=folder))
    with pytest.raises(InputError, match=r"a text needs the package tokenizers: pip install 'jaxembed\[hub\]'"):
        encoder.embed_text("a dog")

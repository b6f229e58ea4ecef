"""Tokens equal those of open_clip's tokenizer, which `oracles/words.py` froze with the merges that it used."""

import gzip
import json
from pathlib import Path

import clip_folders
import numpy as np
import pytest

from jaxembed.core.errors import InputError
from jaxembed.encoders.published import byte_pairs

FROZEN = json.loads(gzip.decompress((Path(__file__).parent / "oracles" / "tokens.json.gz").read_bytes()))
CONTEXT = 77


def write(folder: Path, *, merges: str) -> Path:
    """Write the frozen tokenizer as one of the files that are on the hub."""
    vocabulary, pairs = FROZEN["vocabulary"], FROZEN["merges"]
    if merges == "merges.txt":
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / merges).write_text("\n".join(["#version: 0.2", *pairs, ""]), encoding="utf-8")
    else:
        pairs = pairs if merges == "texts" else [pair.split() for pair in pairs]
        (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary, "merges": pairs}}))
    return folder


@pytest.mark.parametrize("merges", ["merges.txt", "texts", "pairs"])
def test_tokens_are_those_of_open_clip(merges, tmp_path):
    tokenizer = byte_pairs.Tokenizer(write(tmp_path, merges=merges))
    rows, long = tokenizer.encode(FROZEN["texts"], CONTEXT)
    assert rows.shape == (len(FROZEN["texts"]), CONTEXT)
    assert len(FROZEN["texts"]) >= 200
    for text, row, expected in zip(FROZEN["texts"], rows.tolist(), FROZEN["tokens"], strict=True):
        assert row == expected + [0] * (CONTEXT - len(expected)), text
    # Whole, or with the end where it is cut off.
    assert set(rows.max(axis=1)) == {tokenizer.end}
    assert len(long) >= 10
    full = {text for text, row in zip(FROZEN["texts"], FROZEN["tokens"], strict=True) if len(row) == CONTEXT}
    assert set(long) <= full


def test_only_what_ftfy_repairs_differs(tmp_path):
    tokenizer = byte_pairs.Tokenizer(write(tmp_path, merges="pairs"))
    for text, expected in FROZEN["repaired"].items():
        assert tokenizer.encode([text], CONTEXT)[0][0].tolist() != expected, text


def test_a_batch_is_as_long_as_its_longest_text(tmp_path):
    tokenizer = byte_pairs.Tokenizer(clip_folders.write(tmp_path))
    rows, long = tokenizer.encode(["a dog", "A  Dog on\na beach", ""], 20)
    assert rows.shape == (3, 7)
    assert (rows[2] > 0).sum() == 2
    np.testing.assert_array_equal(rows[0, 1:3], rows[1, 1:3])
    assert not long
    assert tokenizer.encode(["dog " * 30], 20)[0].tolist() == [[tokenizer.start, *[rows[0, 2]] * 18, tokenizer.end]]


def test_letters_that_are_half_a_character_are_replaced(tmp_path):
    tokenizer = byte_pairs.Tokenizer(clip_folders.write(tmp_path))
    (half, whole), _ = tokenizer.encode(["\udcff", "\ufffd"], 20)
    np.testing.assert_array_equal(half, whole)


DAMAGED = {
    "no tokenizer": ({"tokenizer.json": None}, "neither tokenizer.json nor vocab.json and merges.txt"),
    "no JSON": ({"tokenizer.json": "{"}, "is damaged"),
    "another kind": ({"tokenizer.json": {"model": {"vocab": [["a", 1.0]]}}}, "is not a byte-pair"),
    "a list": ({"tokenizer.json": {"model": []}}, "is not a byte-pair"),
    "no bytes": ({"tokenizer.json": {"model": {"vocab": {"a": 0}, "merges": []}}}, "lacks 513 tokens"),
    "a text as a token": ({"tokenizer.json": {"model": {"vocab": {"a": "b"}, "merges": []}}}, "must be an integer"),
    "three parts": ({"tokenizer.json": {"model": {"vocab": {}, "merges": ["a b c"]}}}, "a merge must be two texts"),
    "a number": ({"tokenizer.json": {"model": {"vocab": {}, "merges": [1]}}}, "a merge must be two texts"),
    "an unknown merge": ({"tokenizer.json": {"model": {"vocab": {}, "merges": ["a b"]}}}, "tokenizer is damaged"),
    "no merges": ({"tokenizer.json": None, "vocab.json": {}}, "has no tokenizer"),
    "bytes": ({"tokenizer.json": None, "vocab.json": {}, "merges.txt": b"\xff\xfe"}, "merges.txt cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_tokenizer_is_one_line(name, tmp_path):
    contents, problem = DAMAGED[name]
    clip_folders.write(tmp_path)
    for file, content in contents.items():
        (tmp_path / file).unlink(missing_ok=True)
        if content is not None:
            content = json.dumps(content) if isinstance(content, dict) else content
            (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=problem) as caught:
        byte_pairs.Tokenizer(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_end_must_be_the_last_token(tmp_path):
    vocabulary = FROZEN["vocabulary"] | {"<|extra|>": 10**5}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary, "merges": []}}))
    with pytest.raises(InputError, match="must be its last token"):
        byte_pairs.Tokenizer(tmp_path)

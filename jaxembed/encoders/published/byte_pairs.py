"""CLIP's tokenizer: lower-cased text -> byte-pair tokens, by the vocabulary and merges of a model folder."""

import html
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxembed.core import files
from jaxembed.core.errors import InputError

START, END = "<|startoftext|>", "<|endoftext|>"
# What a model folder has: one file, or two.
FILE, VOCABULARY, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
_SUFFIX, _MOST = "</w>", 10**6
_WORDS = r"'[sſ]|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# Typographic quotes, and control characters, which ftfy removes.
_QUOTES = dict.fromkeys([0x2BC, *range(0x2018, 0x201C)], "'") | dict.fromkeys(range(0x201C, 0x2020), '"')
_CONTROLS = [*range(9), 11, *range(14, 32), 127, *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD)]
_TRANSLATED = _QUOTES | dict.fromkeys(_CONTROLS)


class Tokenizer:
    """Turns texts into tokens as open_clip's tokenizer does, but for what `clean` leaves as it is.

    Attributes:
      end: the end-of-text token, which has the highest number.
    """

    def __init__(self, folder: Path) -> None:
        """Read the vocabulary and the merges; InputError if a file is missing or damaged, or `tokenizers` is."""
        try:
            import tokenizers  # here, because it is optional
        except ImportError as error:
            raise InputError("a text needs the package tokenizers: pip install 'jaxembed[hub]'") from error
        vocabulary, merges = _read(folder)
        try:
            pairs = tokenizers.models.BPE(vocabulary, merges, end_of_word_suffix=_SUFFIX)
        except Exception as error:  # the library raises Exception itself
            raise InputError(f"{folder}: its tokenizer is damaged: {files.line(str(error))}") from error
        split = tokenizers.pre_tokenizers
        letters = split.ByteLevel.alphabet()
        needed = {START, END, *letters, *(f"{letter}{_SUFFIX}" for letter in letters)}
        if missing := needed - vocabulary.keys():
            raise InputError(f"{folder}: its tokenizer is not CLIP's: it lacks {len(missing)} tokens")
        self.start, self.end = vocabulary[START], vocabulary[END]
        if self.end != max(vocabulary.values()):
            raise InputError(f"{folder}: its tokenizer is not CLIP's: {END} must be its last token")
        words = split.Split(tokenizers.Regex(_WORDS), "removed", invert=True)
        as_bytes = split.ByteLevel(add_prefix_space=False, use_regex=False)
        self._pairs = tokenizers.Tokenizer(pairs)
        self._pairs.pre_tokenizer = split.Sequence([words, as_bytes])

    def encode(self, texts: Sequence[str], context: int) -> tuple[Int[np.ndarray, "n t"], list[str]]:
        """Encode texts: (their tokens, the texts of which more than `context` tokens are cut off).

        Returns:
          start, the text's own tokens, end, then zeros; t is the length of the longest, at most `context`. Of a
          longer text the first context - 2 tokens are kept.
        """
        encoded = [self._pairs.encode(clean(text)).ids for text in texts]
        long = [text for text, own in zip(texts, encoded, strict=True) if len(own) > context - 2]
        rows = np.zeros((len(texts), min(context, max(map(len, encoded)) + 2)), np.int32)
        for row, own in zip(rows, encoded, strict=True):
            kept = [self.start, *own[: context - 2], self.end]
            row[: len(kept)] = kept
        return rows, long


def clean(text: str) -> str:
    """Clean a text as open_clip does: HTML entities, quotes, control characters, NFC, whitespace, lower case.

    open_clip also repairs by ftfy what a wrong encoding has made of a text, and replaces ligatures and full-width
    letters; here they stay as they are.
    """
    text = html.unescape(html.unescape(text)).translate(_TRANSLATED)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()


def _read(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Read the vocabulary and the merges of a folder."""
    if (folder / FILE).exists():
        model = files.read_json(folder / FILE).get("model")
        model = model if isinstance(model, dict) else {}
        return _checked(model.get("vocab"), model.get("merges"), folder / FILE)
    if not ((folder / VOCABULARY).exists() and (folder / MERGES).exists()):
        raise InputError(f"{folder} has no tokenizer: neither {FILE} nor {VOCABULARY} and {MERGES}")
    try:
        lines = files.regular(folder / MERGES).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / MERGES} cannot be read: {files.line(str(error))}") from error
    merges = [line for line in lines if line and not line.startswith("#version")]
    return _checked(files.read_json(folder / VOCABULARY), merges, folder / MERGES)


def _checked(vocabulary: Any, merges: Any, file: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Check what files hold; a merge is two texts, or one with a space between them."""
    if not isinstance(vocabulary, dict) or not isinstance(merges, list):
        raise InputError(f"{file} is not a byte-pair tokenizer: it has no vocabulary, or no merges")
    if not all(type(each) is int and 0 <= each < _MOST for each in vocabulary.values()):
        raise InputError(f"{file} is damaged: a token must be an integer from 0 to {_MOST - 1:,}")
    pairs = [each.split(" ") if isinstance(each, str) else each for each in merges]
    if not all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in pairs):
        raise InputError(f"{file} is damaged: a merge must be two texts")
    return vocabulary, list(map(tuple, pairs))

"""Freeze what open_clip and transformers make of texts: tokens, and features of text towers with random weights.

The tests need neither: they read the files in this folder. To make them again, with PyTorch:

  pip install open_clip_torch transformers
  python tests/encoders/published/oracles/words.py
"""

import gzip
import json
import sys
from pathlib import Path
from unittest import mock

import ftfy
import numpy as np
import open_clip
import torch
import transformers
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

sys.path.insert(0, str(Path(__file__).parents[3]))
import clip_folders

HERE = Path(__file__).parent
SENTENCES = (
    "a dog on a beach",
    "two cats asleep on a red sofa",
    "A photo of the Eiffel Tower at night.",
    "",
    "it's raining, and they've got 3 umbrellas!",
    "ein kleiner Vogel auf einem Ast",
    "山の上の雪 🏔️",
    "a long road " * 40,
)
PLAIN = """
The quick brown fox jumps over the lazy dog
don't you'll we're I've I'm he'd it's isn't o'clock rock'n'roll dogs' 'quoted' ''twice''
DON'T YOU'LL WE'RE I'VE I'M HE'D IT'S
a café in São Paulo, naïve façade, Ångström, Łódź, Dvořák, crème brûlée
ÀÉÎÕÜ ÇÑ ŠŽ ÆØÅ ŒŸ ĞİŞ
İstanbul ısırgan otu
ΟΔΥΣΣΕΥΣ Οδυσσεύς
straße STRASSE ẞ groß
cafe\u0301 au lait, A\u030angstro\u0308m, n\u0303
Привет, мир! Собака на пляже
شاطئ البحر وكلب
कुत्ता समुद्र तट पर
강아지가 해변에 있다
海滩上的一只狗
犬が砂浜で走っている
สุนัขบนชายหาด
כלב על החוף
một con chó trên bãi biển
🐶 on a 🏖️
👩‍👩‍👧‍👦 family portrait 👍🏽
I ❤️ NY ★★★☆☆ → ← ↑ ☃
🇫🇷🇯🇵 flags
1 22 333 4444 12:30 3.14 1,000,000 10^6 ½ ² ③ Ⅷ
iPhone15 covid19 mp3 4k 8K 50mm f/1.8 ISO100
http://example.com/a?b=c&d=e#f user@example.org #sunset @someone
C++ C# .NET node.js a/b a\\b a|b {x} [y] (z) <w>
... --- *** ___ !!! ??? ?! ;-) :-( ^_^
  leading and trailing  \u00a0 \u3000 wide
“curly” ‘quotes’ and it’s don’t ‟low‟ ‛high‛ „German“ «French»
em—dash en–dash minus− ellipsis… bullet•
&amp; &lt;b&gt; &quot;x&quot; &#39;s &eacute; &amp;amp; AT&T
€100 £20 ¥300 ₹40 $5 50% 20°C
a\u200bzero\u200dwidth \u2060joiner soft\u00adhyphen
\ufeffbyte order mark
bell\x07 and null\x00 and delete\x7f
<|endoftext|> <|startoftext|>
hyphen-ated under_scored CamelCase ALLCAPS mIxEd
supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis
zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz
aaaa bbbb abababab ababa
qwrtpsdfghjklzxcvbnm
x
.
'
's
' s
'S 'T 'RE 'VE 'M 'LL 'D 'ſ
𝔊𝔬𝔱𝔥𝔦𝔠 𝒮𝒸𝓇𝒾𝓅𝓉
ᚠᚢᚦ 𓀀𓂀 𐍈
x²+y²=z² ∑∫√∞ ≤≥≠
ɐɑɒ ʃʒθð ˈstɹɛs
ϐ ϑ ϰ µ μ Ω Ω K K Å Å
ﷺ ؀ ۝
Zalgo t\u0335\u0321e\u0335\u0322x\u0336t
""".strip("\n").split("\n")
BROKEN = ("tabs\tand\nline breaks\r\n and   many   spaces", " \n ", "one\u2028two\u2029three")
# What only open_clip repairs, by ftfy.
REPAIRED = ("schÃ¶n", "ﬁne ﬂower", "Ｆｕｌｌ ｗｉｄｔｈ", "\x1b[31mred\x1b[0m")
# Code points.
SCRIPTS = ((32, 127), (0xA1, 0x132), (330, 450), (0x370, 0x530), (0x5D0, 0x5EB), (0x905, 0x940), (0x3041, 0x3097))
KINDS = ("dog", "cat", "red car", "Siamese kitten", "grand piano", "snow leopard", "T-shirt", "bride & groom")
TEMPLATES = (
    "a photo of a {}",
    "a bad photo of the {}.",
    "itap of my {}",
    "a {} in a video game.",
    "art of the {}, oil on canvas",
    "the {}'s best friend",
    "une photo d'un {}",
    "ein Foto von einem {}",
    "uma foto de um {}",
    "{}, 35mm, bokeh, 1990s",
    "{} 747",
    "two {}s & 10 cats",
)


def texts() -> list[str]:
    """List the texts: whole sentences, single words, long texts, and random letters of many scripts."""
    random = np.random.default_rng(5)
    named = [template.format(kind) for template in TEMPLATES for kind in KINDS]
    words = " ".join([*SENTENCES, *PLAIN]).split()
    long = [" ".join(random.choice(words, 100)) for _ in range(10)]
    drawn = []
    while len(drawn) < 60:
        first, last = SCRIPTS[random.integers(len(SCRIPTS))]
        letters = [*map(chr, random.integers(first, last, 20)), *"  'abtsé1"]
        text = "".join(random.permutation(letters))
        if ftfy.fix_text(text) == text:
            drawn.append(text)
    return [*SENTENCES, *PLAIN, *BROKEN, *named, *long, *drawn]


def main() -> None:
    """Write both files."""
    tokenizer, pairs = open_clip.SimpleTokenizer(), {}
    original = open_clip.tokenizer.get_pairs

    def seen(word):
        found = original(word)
        pairs.update(dict.fromkeys(found))
        return found

    given = texts()
    with mock.patch.object(open_clip.tokenizer, "get_pairs", seen):
        tokens = [tokenizer_row(tokenizer, text) for text in given]
    repaired = {text: tokenizer_row(tokenizer, text) for text in REPAIRED}
    merges = sorted((pair for pair in pairs if pair in tokenizer.bpe_ranks), key=tokenizer.bpe_ranks.get)
    letters = list(tokenizer.byte_encoder.values())
    names = {*letters, *(f"{each}</w>" for each in letters), *map("".join, merges)}
    vocabulary = {name: tokenizer.encoder[name] for name in sorted(names, key=tokenizer.encoder.get)}
    vocabulary |= {"<|startoftext|>": tokenizer.sot_token_id, "<|endoftext|>": tokenizer.eot_token_id}
    record = {"texts": given, "tokens": tokens, "repaired": repaired, "vocabulary": vocabulary}
    record["merges"] = [" ".join(pair) for pair in merges]
    content = json.dumps(record, ensure_ascii=False).encode()
    (HERE / "tokens.json.gz").write_bytes(gzip.compress(content, mtime=0))
    print(f"{len(given)} texts, {len(merges)} merges")
    np.savez_compressed(HERE / "features.npz", **features(tokenizer))


def tokenizer_row(tokenizer: open_clip.SimpleTokenizer, text: str) -> list[int]:
    """Return a text's tokens, from start to end."""
    row = tokenizer(text)[0].tolist()
    return row[: row.index(tokenizer.eot_token_id) + 1]


def features(tokenizer: open_clip.SimpleTokenizer) -> dict[str, np.ndarray]:
    """Compute the features of the sentences by the towers of the true sizes, and of random tokens by tiny ones."""
    random, frozen = np.random.default_rng(3), {}
    tiny = np.zeros((8, clip_folders.TINY["context"]), np.int64)
    for row in tiny:
        length = random.integers(2, len(row) + 1)
        row[:length] = random.integers(1, clip_folders.TINY["vocabulary"] - 2, length)
        row[length - 1] = clip_folders.TINY["vocabulary"] - 1
    for name, sizes, tokens in (
        ("true", clip_folders.TRUE, tokenizer(list(SENTENCES)).numpy()),
        ("tiny", clip_folders.TINY, tiny),
    ):
        frozen[f"{name}_tokens"] = tokens.astype(np.int32)
        for activation in ("quick_gelu", "gelu") if name == "tiny" else ("quick_gelu",):
            for library, model in (("open_clip", of_open_clip), ("transformers", of_transformers)):
                with torch.no_grad():
                    rows = model(sizes, activation)(torch.from_numpy(tokens))
                frozen[f"{name}_{library}_{activation}"] = rows.numpy()
    return frozen


def of_open_clip(sizes: dict[str, int], activation: str):
    """Make open_clip's model, whose image tower is as small as can be."""
    text = {"context_length": "context", "vocab_size": "vocabulary", "width": "width", "heads": "heads"}
    text = CLIPTextCfg(layers=sizes["depth"], **{name: sizes[ours] for name, ours in text.items()})
    image = CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=32, image_size=32)
    model = CLIP(sizes["projection"], image, text, quick_gelu=activation == "quick_gelu")
    return filled(model, "open_clip", sizes, others=("visual.", "logit_scale")).encode_text


def of_transformers(sizes: dict[str, int], activation: str):
    """Make transformers' model, with the end-of-text token that the tokens have."""
    config = clip_folders.config("transformers", activation, **sizes)["text_config"]
    config |= {"eos_token_id": sizes["vocabulary"] - 1, "bos_token_id": sizes["vocabulary"] - 2}
    model = transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig(**config))
    model = filled(model, "transformers", sizes, others=())
    return lambda tokens: model(tokens).text_embeds


def filled(model: torch.nn.Module, library: str, sizes: dict[str, int], others: tuple[str, ...]) -> torch.nn.Module:
    """Fill the text tower with random numbers; its arrays must be those that the tests believe it has."""
    own = {name: tuple(each.shape) for name, each in model.state_dict().items() if not name.startswith(others)}
    assert own == clip_folders.shapes(library, **sizes), own.items() ^ clip_folders.shapes(library, **sizes).items()
    drawn = {name: torch.from_numpy(each) for name, each in clip_folders.arrays(library, **sizes).items()}
    model.load_state_dict(drawn, strict=False)
    return model.eval()


if __name__ == "__main__":
    main()

"""A file of vectors follows its folder: only what is new or has changed is embedded."""

import io
import os
import time

import numpy as np
import pytest
from PIL import Image

from jaxembed.cli import command
from jaxembed.embed import __main__ as embed
from jaxembed.embed import vectors
from jaxembed.embed.frozen import FrozenEncoder


def save(file, seed):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)).save(file)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    for number in range(6):
        save(folder / "ab"[number % 2] / f"{number}.png", number)
    return folder


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_an_updated_file_is_the_one_that_would_be_written_anew(suffix, folder, tmp_path, monkeypatch, capsys):
    output, anew = tmp_path / f"vectors{suffix}", tmp_path / f"anew{suffix}"
    words = ["quickstart", str(folder), "--update"]
    embed.main([*words, f"--output={output}"])
    time.sleep(0.02)
    save(folder / "a" / "0.png", 10)
    save(folder / "b" / "new.png", 11)
    (folder / "a" / "bad.png").write_text("no picture")
    (folder / "a" / "2.png").unlink()
    (folder / "b" / "1.png").rename(folder / "a" / "1.png")
    capsys.readouterr()
    counted, whole = [], FrozenEncoder.embed_pixels
    with monkeypatch.context() as patch:
        patch.setattr(
            FrozenEncoder, "embed_pixels", lambda self, pixels: counted.append(len(pixels)) or whole(self, pixels)
        )
        embed.main([*words, f"--output={output}"])
    assert sum(counted) == 3
    assert "3 new or changed, 3 kept, 2 gone\n" in capsys.readouterr().out
    embed.main(["quickstart", str(folder), f"--output={anew}"])
    one, other = vectors.read(output), vectors.read(anew)
    assert (list(one.names), list(one.labels), one.about) == (list(other.names), list(other.labels), other.about)
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-6)
    embed.main([*words, f"--output={output}"])
    assert "0 new or changed, 6 kept, 0 gone\n" in capsys.readouterr().out


def test_a_table_has_small_pictures_that_pandas_and_pillow_read(folder, tmp_path, capsys):
    frames = pytest.importorskip("pandas")
    Image.new("RGB", (600, 300), "red").save(folder / "a" / "wide.png")
    output = tmp_path / "vectors.parquet"
    embed.main(["quickstart", str(folder), "--thumbnails", f"--output={output}"])
    table = frames.read_parquet(output)
    sizes = {each["path"]: Image.open(io.BytesIO(each["bytes"])).size for each in table["image"]}
    assert sizes == dict.fromkeys(table["name"], (8, 8)) | {"a/wide.png": (256, 128)}
    assert list(vectors.read(output).names) == list(table["name"])
    words = ["quickstart", str(folder), "--thumbnails", f"--output={tmp_path / 'vectors.npz'}"]
    assert command.run("embed", embed.main, words) == 2
    assert "--thumbnails needs an output that ends in .parquet" in capsys.readouterr().err


def test_vectors_of_another_folder_or_encoder_and_a_dataset_are_not_updated(folder, tmp_path, capsys):
    output = tmp_path / "vectors.npz"
    embed.main(["quickstart", str(folder), f"--output={output}"])
    before, other = output.read_bytes(), tmp_path / "other"
    save(other / "0.png", 0)
    for run, source, line in (
        ("quickstart", other, f"{output} has the pictures of {folder}, not those of {other}"),
        ("margin_mnist", folder, "-dimensional embeddings, but margin_mnist produces"),
        ("quickstart", "digits", "--update needs a folder of pictures, got the dataset digits"),
    ):
        assert command.run("embed", embed.main, [run, str(source), "--update", f"--output={output}"]) == 2
        assert line in capsys.readouterr().err
    assert output.read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]

"""A file of vectors follows its folder: only what is new or has changed is embedded."""

import fcntl
import io
import os
import time

import numpy as np
import pytest
from PIL import Image

from jaxembed.cli import command
from jaxembed.embed import __main__ as embed
from jaxembed.embed import sources, vectors
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


class Stopped(BaseException):
    """As a signal that ends the process."""


def kill(monkeypatch, blocks: int, run: str, folder, output) -> None:
    """End an update while it embeds, once it has kept some blocks."""
    whole, counted = FrozenEncoder.embed_pixels, []

    def embed_pixels(self, pixels):
        counted.append(len(pixels))
        if len(counted) > blocks:
            raise Stopped
        return whole(self, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenEncoder, "embed_pixels", embed_pixels)
        with pytest.raises(Stopped):
            embed.main([run, str(folder), "--update", f"--output={output}"])


def update(folder, output) -> None:
    embed.main(["quickstart", str(folder), "--update", f"--output={output}"])


@pytest.fixture
def many(folder, monkeypatch):
    """19 pictures, one of which cannot be read, in chunks of 4."""
    monkeypatch.setattr(sources, "CHUNK", 4)
    for number in range(12):
        save(folder / "b" / f"more{number}.png", 20 + number)
    (folder / "a" / "bad.png").write_text("no picture")
    return folder


@pytest.mark.parametrize("blocks", [0, 1, 3, 4])
@pytest.mark.parametrize("torn", [0, 1, 40])
def test_an_update_that_was_killed_resumes_and_ends_as_one_that_was_not(
    blocks, torn, many, tmp_path, monkeypatch, capsys
):
    output, anew = tmp_path / "vectors.npz", tmp_path / "anew.npz"
    update(many, anew)
    kill(monkeypatch, blocks, "quickstart", many, output)
    unfinished = tmp_path / "vectors.npz.unfinished"
    assert unfinished.exists() == bool(blocks)
    if blocks:
        unfinished.write_bytes(unfinished.read_bytes()[: -torn or None])
    capsys.readouterr()
    counted, whole = [], FrozenEncoder.embed_pixels
    with monkeypatch.context() as patch:
        patch.setattr(FrozenEncoder, "embed_pixels", lambda *given: counted.append(1) or whole(*given))
        update(many, output)
    left = blocks - (torn > 0) if blocks else 0
    said = capsys.readouterr()
    assert len(counted) == 5 - left
    assert ("resuming: " in said.out) == (left > 0)
    assert "skipping a/bad.png: not an image format Pillow can read" in said.err
    assert output.read_bytes() == anew.read_bytes()
    assert not unfinished.exists()


def test_what_has_changed_since_it_was_killed_is_embedded_again(many, tmp_path, monkeypatch, capsys):
    output, anew = tmp_path / "vectors.npz", tmp_path / "anew.npz"
    kill(monkeypatch, 2, "quickstart", many, output)
    time.sleep(0.02)
    save(many / "a" / "0.png", 99)
    (many / "a" / "2.png").unlink()
    update(many, output)
    assert "resuming: 5 of 18 pictures" in capsys.readouterr().out
    update(many, anew)
    one, other = vectors.read(output), vectors.read(anew)
    assert list(one.names) == list(other.names)
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-6)


def test_what_another_encoder_or_somebody_else_has_left_is_not_used(many, tmp_path, monkeypatch, capsys):
    output, unfinished = tmp_path / "vectors.npz", tmp_path / "vectors.npz.unfinished"
    kill(monkeypatch, 3, "autoencoder_mnist", many, output)
    assert unfinished.exists()
    embed.main(["autoencoder_fashion_mnist", str(many), "--update", f"--output={output}"])  # of as many dimensions
    assert "resuming" not in capsys.readouterr().out
    assert vectors.read(output).about.encoder == "autoencoder_fashion_mnist"
    output.unlink()
    update(many, output)
    for content in (b"", b"notes", bytes(48), b"\xff" * 100):
        unfinished.write_bytes(content)
        capsys.readouterr()
        update(many, output)
        assert "18 kept" in capsys.readouterr().out
        assert not unfinished.exists()


def test_a_damaged_block_is_embedded_again_with_those_after_it(many, tmp_path, monkeypatch, capsys):
    output, anew = tmp_path / "vectors.npz", tmp_path / "anew.npz"
    unfinished = tmp_path / "vectors.npz.unfinished"
    sizes = []
    for blocks in (1, 2, 3):
        unfinished.unlink(missing_ok=True)
        kill(monkeypatch, blocks, "quickstart", many, output)
        sizes.append(unfinished.stat().st_size)
    content = bytearray(unfinished.read_bytes())
    content[sizes[1] - 1] ^= 1  # an embedding of the second block, which is a number all the same
    unfinished.write_bytes(content)
    capsys.readouterr()
    update(many, output)
    assert "resuming: 3 of 19 pictures have been read before" in capsys.readouterr().out
    update(many, anew)
    assert output.read_bytes() == anew.read_bytes()


def test_two_updates_of_one_file_at_a_time_are_refused(many, tmp_path, capsys):
    output = tmp_path / "vectors.npz"
    with (tmp_path / "vectors.npz.unfinished").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        words = ["quickstart", str(many), "--update", f"--output={output}"]
        assert command.run("embed", embed.main, words) == 2
    assert "another process is writing" in capsys.readouterr().err

"""An ONNX encoder: one that jaxembed exported, which says itself how it is used, or anybody's."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed.encoder import Encoder
from jaxembed.embed.onnx import Asked, metadata, use
from jaxembed.embed.onnx.model import Model
from jaxembed.embed.onnx.use import Use
from jaxembed.kernels import chunked
from jaxembed.pictures import Preparation

# Images per batch, if the model takes any number.
CHUNK = 32
# Dimensions of an embedding.
LARGEST = 2**16
# Outputs that are an embedding, in the order in which they are taken.
POOLED = ("image_embeds", "pooler_output")
# An output that has an embedding for each part of an image, of which the first is taken.
TOKENS = "last_hidden_state"


class OnnxEncoder(Encoder):
    """Embeds images with a model that ONNX Runtime runs on the CPU.

    Attributes:
      model: the model.
      use: how pictures become what it takes.
      output: the name of its output that is the embedding.
      is_token: whether that has a number of embeddings for an image, of which the first is taken.
      batch: how many images it takes at a time; None for any number.
    """

    def __init__(self, file: Path, asked: Asked) -> None:
        """Open a file; InputError if it is no encoder, or it is not known how pictures become what it takes."""
        self.model = Model(file)
        saved = metadata.read(self.model)
        if saved and asked:
            raise InputError(f"{file} says itself how it is used; leave out {asked}")
        self.use = Use(saved.preparation) if saved else use.of(file, self.model.images, asked)
        self.preparation, self.batch = self.use.preparation, self.model.images.batch
        self.output, self.dimension, self.is_token = self._examined(metadata.OUTPUT if saved else asked.output_name)
        self.saved = saved or self._described()
        self.name, self.distance = self.saved.name, self.saved.config["evaluate"]["distance"]

    def compute(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Embed n >= 1 images that have the encoder's shape."""
        return chunked.apply(self._rows, images, size=self.batch or min(CHUNK, len(images)))

    def _rows(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        rows = _rows(self._run(images, [self.output])[self.output])
        if rows.shape != (len(images), self.dimension):
            raise InputError(f"{self.name} made {list(rows.shape)} numbers of {len(images)} images")
        return rows.astype(np.float32)

    def _run(self, images: UInt8[np.ndarray, "n h w c"], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        if not self.use.deviation:
            return self.model.run(images, outputs)
        mean, deviation = (np.array(values, np.float32) for values in (self.use.mean, self.use.deviation))
        return self.model.run((images.astype(np.float32) / 255 - mean) / deviation, outputs)

    def _examined(self, wanted: str | None) -> tuple[str, int, bool]:
        """Return the output that is the embedding, d, and whether it is the first token, after a run on grey."""
        grey = np.full((self.batch or 2, *self.shape), 128, np.uint8)
        try:
            outputs = self._run(grey)
        except InputError:
            if self.batch:
                raise
            self.batch, grey = 1, grey[:1]  # some say that they take any number, but take one
            outputs = self._run(grey)
        name = _chosen(self.model.file, outputs, wanted)
        rows = _rows(outputs[name])
        if len(rows) != len(grey) or not 0 < rows.shape[1] <= LARGEST or rows.dtype.kind != "f":
            raise InputError(
                f"{self.model.file}: output {files.printable(name)} must be float [n, d] for n images, with d up "
                f"to {LARGEST}; got {rows.dtype} {list(outputs[name].shape)} for {len(grey)}"
            )
        return name, rows.shape[1], outputs[name].ndim == 3

    def _described(self) -> SavedEncoder:
        """Describe somebody else's model, by all that its embeddings depend on, and print that."""
        file, used = self.model.file, self.use
        output = f"{self.dimension} numbers of {self.output}{', its first token' if self.is_token else ''}"
        print(files.printable(f"{file}: {used}; embedding: {output}"), file=sys.stderr)
        usual = Preparation(self.shape)._asdict()
        # Without what is as usual, so that vectors stay those of this encoder when there is more to say.
        unusual = {name: value for name, value in used.preparation._asdict().items() if value != usual[name]}
        said = {
            "output": self.output,
            "shape": self.shape,
            "mean": used.mean,
            "deviation": used.deviation,
        } | unusual
        digest = hashlib.sha256(json.dumps([self.model.sha256, said]).encode()).hexdigest()
        config = {
            "data": {},
            "encoder": {"name": "onnx", "file": file.name, **said},
            "objective": {"name": "unknown"},
            "train": {},
            "evaluate": {"distance": "cosine"},
        }
        return SavedEncoder(file.stem, config, used.preparation, digest, {}, {})


def _chosen(file: Path, outputs: Mapping[str, Any], wanted: str | None) -> str:
    """Choose the output that is the embedding; InputError lists them if it is not clear which, or is none."""
    usable = [name for name, value in outputs.items() if _rows(value) is not None]
    flat = [name for name in usable if outputs[name].ndim == 2]
    named = [name for name in POOLED if name in usable]
    last = [TOKENS] if TOKENS in usable else []
    choice = [wanted] if wanted else named[:1] or flat or last
    if len(choice) != 1 or choice[0] not in usable:
        shapes = {name: list(getattr(value, "shape", ["?"])) for name, value in outputs.items()}
        listed = ", ".join(f"{files.printable(name)} {shape}" for name, shape in shapes.items())
        asked = "--output_name must be [n, d] or [n, t, d]" if wanted else "choose one with --output_name"
        raise InputError(f"{file} has these outputs: {listed}; {asked}")
    return choice[0]


def _rows(output: Any) -> np.ndarray | None:
    """Take [n, d] from an output: itself, the first of [n, t, d], maps of one pixel; None for other shapes."""
    if not isinstance(output, np.ndarray) or not output.size:
        return None
    if output.ndim == 3:
        return output[:, 0]
    if output.ndim == 4 and (1, 1) in (output.shape[1:3], output.shape[2:]):
        return output.reshape(len(output), -1)
    return output if output.ndim == 2 else None

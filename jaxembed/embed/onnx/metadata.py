"""What jaxembed says of an encoder in the ONNX file that it exports: how it is used, and which encoder it is."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from jaxembed.artifacts import encoder_file
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core import files
from jaxembed.core.errors import InputError

if TYPE_CHECKING:
    from jaxembed.embed.onnx.model import Model

# Names of the input and the output.
INPUT, OUTPUT = "images", "embeddings"
_FORMAT = "jaxembed onnx 1"
_PREFIX = "jaxembed."
# Stands for the checksum in what that is computed of.
_BLANK = "0" * 64


def write(proto: Any, encoder: SavedEncoder) -> bytes:
    """Return the content of a file: an encoder's model, and as metadata all else that the encoder is."""
    metadata = encoder_file.described(encoder) | {"format": _FORMAT, "checksum": _BLANK}
    # In words for other programs.
    metadata |= {"distance": encoder.config["evaluate"]["distance"]}
    metadata |= {"preparation": json.dumps(encoder.preparation._asdict())}
    del proto.metadata_props[:]
    for key, value in metadata.items():
        proto.metadata_props.add(key=_PREFIX + key, value=value)
    content = proto.SerializeToString()
    return _with(content, _BLANK, hashlib.sha256(content).hexdigest())


def read(model: "Model") -> SavedEncoder | None:
    """Read the encoder that a model was exported from, without its arrays; None if jaxembed did not export it.

    Raises:
      InputError: if the file was changed since, and may no longer be that encoder.
    """
    named = {key.removeprefix(_PREFIX): text for key, text in model.metadata.items() if key.startswith(_PREFIX)}
    if not named:
        return None
    checksum = named.get("checksum") or "none"
    if checksum != hashlib.sha256(_with(model.file.read_bytes(), checksum, _BLANK)).hexdigest():
        raise InputError(
            f"{model.file} is damaged, or was changed after jaxembed exported it: it has another checksum. To use "
            f"it as an encoder of its own, remove its metadata {_PREFIX}*"
        )
    try:
        if named["format"] != _FORMAT:
            raise ValueError(f"its format must be {_FORMAT!r}, got {named['format']!r}")
        return encoder_file.of_description(model.file, named)
    except InputError:
        raise
    except Exception as error:  # from JSON, or texts of another kind
        reason = files.line(f"{type(error).__name__}: {error}")
        raise InputError(f"{model.file} was not exported by this version of jaxembed: {reason}") from error


def _with(content: bytes, old: str, new: str) -> bytes:
    """Replace a text at its last position; the metadata come after the arrays."""
    before, _, after = content.rpartition(old.encode())
    return before + new.encode() + after

"""The hub: model folders of huggingface.co, downloaded once into its own cache."""

from pathlib import Path

from jaxembed.artifacts import preprocessor
from jaxembed.core import files, network
from jaxembed.core.errors import InputError
from jaxembed.encoders.published import weights
from jaxembed.encoders.published.weights import Source

# Seconds until a server that does not answer is given up.
TIMEOUT = 8.0
# Of an encoder with words.
TOKENIZER = "tokenizer.json"
HOST = "https://huggingface.co/"


def folder(source: Source, *, name: str) -> Path:
    """Return the folder of a model: that of the hub's cache, else after downloading the model into it.

    Raises:
      InputError: if it is not there and cannot be downloaded; the message says which file to get by hand.
    """
    repository = source.address.removeprefix(HOST)
    by_hand = (
        f"download {source.file} and the .json files ({source.megabytes:,.0f} MB) from {source.address} into a "
        f"folder, and pass the folder instead of {name}"
    )
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError as error:
        raise InputError(
            f"{name} is downloaded by huggingface_hub: pip install 'jaxembed[hub]'; or {by_hand}"
        ) from error
    found = huggingface_hub.try_to_load_from_cache(repository, source.file)
    if isinstance(found, str):
        return Path(found).parent
    try:
        network.ask(constants.ENDPOINT, seconds=TIMEOUT)
        # The arrays come last: where they are, the other files are too, whenever a download was interrupted.
        huggingface_hub.snapshot_download(
            repository, allow_patterns=[*weights.CONFIGS, preprocessor.FILE, TOKENIZER]
        )
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=[source.file]))
    except Exception as error:  # of the network, the hub or the disk
        reason = files.line(str(error) or type(error).__name__)[:200]
        raise InputError(f"{name} is not here and cannot be downloaded ({reason}); {by_hand}") from error

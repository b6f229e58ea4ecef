"""Writes how far published encoders are from the publishers' classes, as docs/encoders.md has it.

python tests/encoders/oracles/compare.py docs/results/encoders/parity.json
"""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent), str(FOLDER.parents[2])]

import drawn  # noqa: E402
import test_published as tested  # noqa: E402

from jaxembed.core import files  # noqa: E402
from jaxembed.devices import mesh  # noqa: E402
from jaxembed.embed import frozen  # noqa: E402


def main() -> None:
    """Compare all cases, and write the largest difference of each as a share of the largest value."""
    cases = [*tested.CASES, *tested.TRUE]
    features = {name: tested.features(name, family, shapes(), configs) for name, family, shapes, configs in cases}
    features["efficientnet_lite0 224"] = frozen.load("efficientnet_lite0").embed_pixels(drawn.images(224))
    shares = {
        name: float(np.abs(each - tested.FEATURES[name]).max() / np.abs(tested.FEATURES[name]).max())
        for name, each in features.items()
    }
    record = {"command": "python tests/encoders/oracles/compare.py", "device": mesh.described()}
    files.write_json(Path(sys.argv[1]), record | {"largest_difference": shares})


if __name__ == "__main__":
    main()

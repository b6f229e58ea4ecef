"""The table of published encoders: what each is, from its family's file; how exact and how fast, from results."""

import json
from pathlib import Path

from jaxembed.encoders import published

HERE = Path(__file__).parent
PARITY, SPEED = HERE / "results" / "encoders" / "parity.json", HERE / "speed" / "encoders.json"
HEAD = ("encoder", "file", "MB", "licence", "trained on", "compared with", "largest difference", "images/s")
# Name of the comparison -> what it was compared with; open_clip's is that of the files of these names.
COMPARED = {
    "dinov2": "transformers",
    "open_clip": "open_clip",
    "resnet": "timm",
    "efficientnet": "efficientnet-lite-pytorch",
}


def table() -> str:
    """Write a row for each name."""
    lines = [_row(*HEAD), "|---|---|---:|---|---|---|---:|---:|"]
    parity = json.loads(PARITY.read_text(encoding="utf-8"))["largest_difference"]
    speeds = json.loads(SPEED.read_text(encoding="utf-8"))["images_per_second"] if SPEED.exists() else {}
    for name in published.names():
        source = published.source(name)
        measured = f"{'open_' if name.startswith('clip') else ''}{name} 224"
        peer = next(title for prefix, title in COMPARED.items() if measured.startswith(prefix))
        speed = _speed(speeds[name]) if name in speeds else "–"
        address = f"[{source.address.partition('//')[2].rstrip('/').partition('/')[2]}]({source.address})"
        cells = [f"`{name}`", address, f"{source.megabytes:.0f}", source.licence, source.data, peer]
        lines.append(_row(*cells, f"{parity[measured]:.1e}", speed))
    return "\n".join([*lines, "", *_measured()]) + "\n"


def _speed(rates: dict[str, float]) -> str:
    ours, peers = rates["jaxembed"], (("pytorch", "PyTorch"), ("onnxruntime", "ONNX Runtime"))
    ratios = [f"{ours / rates[name]:.2f} × {title}" for name, title in peers]
    return f"{ours:.0f} ({', '.join(ratios)})"


def _measured() -> list[str]:
    """Write a line for each result file of a published encoder on a dataset."""
    files = sorted((HERE / "results" / "encoders").glob("*/result.json"))
    return [_line(json.loads(file.read_text(encoding="utf-8"))) for file in files]


def _line(record: dict) -> str:
    split, titles = record["split"], {"knn": "kNN", "linear": "linear probe", "mlp": "MLP probe"}
    scores = [
        f"{title} {100 * record['metrics'][f'{split}/{name}_accuracy']:.2f}%" for name, title in titles.items()
    ]
    made = f"`{record['command']}`, seed {record['seed']}, {record['device']}"
    return f"`{record['experiment']}` on the {split} split of {record['dataset']}: {', '.join(scores)} ({made})."


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

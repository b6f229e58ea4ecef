"""Write the tables of README.md and of the pages in docs, from the result files in docs.

python docs/table.py            # writes what is between the markers <!-- results --> and <!-- end of results -->
python docs/table.py --check    # exits with status 1 if that would change anything
"""

import json
import statistics
import sys
from pathlib import Path

import encoders_table
import ways

RESULTS = Path(__file__).parent / "results"
PAGES = {
    "README.md": Path(__file__).parents[1] / "README.md",
    "docs/results/README.md": RESULTS / "README.md",
    "docs/errors.md": Path(__file__).parent / "errors.md",
    "docs/transfer.md": Path(__file__).parent / "transfer.md",
    "docs/performance.md": Path(__file__).parent / "performance.md",
    "docs/ways.md": Path(__file__).parent / "ways.md",
    "docs/controls.md": Path(__file__).parent / "controls.md",
    "docs/encoders.md": Path(__file__).parent / "encoders.md",
}
SPEEDS = Path(__file__).parent / "speed"
START, END = "<!-- results -->\n", "<!-- end of results -->"

DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar": "CIFAR-10"}
# By the name of the experiment: the way of learning, its labels, and what is measured.
WAYS = {
    "autoencoder": ("L1 autoencoder", "none", "mlp_accuracy", "MLP on the frozen code"),
    "simclr": ("SimCLR", "none", "mlp_accuracy", "MLP on the frozen encoder"),
    "margin": ("Margin contrastive", "same class or not", "knn_accuracy", "kNN"),
    "classifier": ("Encoder and classifier jointly", "classes", "accuracy", "the classifier itself"),
}
# Of an error in a dataset: the objective of the network, or the pixels themselves.
FOUND_BY = {
    "pixels": "pixels",
    "reconstruct": "autoencoder",
    "ntxent": "SimCLR",
    "margin": "margin",
    "classify": "classifier",
}
# What the two student projects reached that this one started from, and the aims that were set.
BEFORE = {
    **{"autoencoder_mnist": 97.35, "classifier_mnist": 99.37, "simclr_mnist": 96.84},
    **{"autoencoder_cifar": 55.34, "classifier_cifar": 82.27, "simclr_cifar": 74.99},
}
AIMS = {
    **{"autoencoder_mnist": 98.3, "classifier_mnist": 99.5, "simclr_mnist": 98.8, "margin_mnist": 98.5},
    **{"autoencoder_fashion_mnist": 87, "classifier_fashion_mnist": 93, "simclr_fashion_mnist": 89},
    **{"margin_fashion_mnist": 89.5, "autoencoder_cifar": 66, "classifier_cifar": 92, "simclr_cifar": 85.6},
    **{"margin_cifar": 88, "classifier_cifar_fast": 94},
}


def main(check: bool) -> int:
    """Write the tables, or check that they are current."""
    stale = []
    tables = overview(), details(), errors(), transfer(), speeds(), ways.table(), controls(), encoders_table.table()
    for (name, page), table in zip(PAGES.items(), tables, strict=True):
        text = page.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        _, end, after = rest.partition(END)
        if not end:
            raise SystemExit(f"{name} lacks the markers {START.strip()} and {END}")
        if (written := f"{before}{START}{table}{END}{after}") != text:
            stale.append(name)
            if not check:
                page.write_text(written, encoding="utf-8")
    print(f"{'not current' if check else 'written'}: {', '.join(stale)}" if stale else "all tables are current")
    return int(check and bool(stale))


def overview() -> str:
    """Write the table of ways of learning × datasets: test accuracy in per cent, mean ± sd (seeds), and kNN's."""
    head = ("way of learning", "labels used", "accuracy of")
    columns = [column for name in DATASETS.values() for column in (name, "kNN")]
    lines = [_row(*head, *columns), "|---|---|---|" + "---:|" * len(columns)]
    for way, (words, labels, metric, measured) in WAYS.items():
        cells = []
        for dataset in DATASETS:
            name = f"{way}_{dataset}"
            cells += [f"**{show(name, metric)}** ({len(results(name))})", show(name, "knn_accuracy")]
        lines.append(_row(words, labels, measured, *cells))
    return "\n".join(lines) + "\n"


def details() -> str:
    """Write the table of all experiments, with the earlier results, the aims and the training times."""
    head = ("experiment", "accuracy of", "in `result.json`", "before", "aim", "test, %", "seeds", "training")
    lines = [_row(*head), "|---|---|---|---:|---:|---:|---:|---:|"]
    names = [f"{way}_{dataset}" for dataset in DATASETS for way in WAYS]
    for name in [*names, "classifier_cifar_fast", "simclr_cifar_small", "quickstart"]:
        _, _, metric, measured = WAYS["autoencoder" if name == "quickstart" else name.partition("_")[0]]
        before, aim = (str(values.get(name, "–")) for values in (BEFORE, AIMS))
        seconds = f"{statistics.median(result['train_seconds'] for result in results(name)):,.0f} s"
        cells = (measured, f"`test/{metric}`", before, aim, f"**{show(name, metric)}**")
        lines.append(_row(f"[{name}]({name})", *cells, str(len(results(name))), seconds))
    return "\n".join(lines) + "\n"


def errors() -> str:
    """Write the tables of which way of learning finds the errors of a dataset: of copies, and of wrong labels."""
    found = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in _error_files().items()}
    kinds = {"exact": "exact", "moved": "moved", "recoloured": "recoloured", "jpeg": "JPEG"}
    lines = [_row("dataset", "copies found by", *kinds.values()), "|---|---|" + "---:|" * len(kinds)]
    for dataset, record in found.items():
        for way, copies in record["copies"].items():
            cells = (
                f"{_spread(copies[kind]['average_precision'])} / {_spread(copies[kind]['confirmed_at_200'])}"
                for kind in kinds
            )
            lines.append(_row(DATASETS[dataset], FOUND_BY[way], *cells))
    lines += ["", _row("dataset", "wrong labels found by", "any class", "a similar class"), "|---|---|---:|---:|"]
    for dataset, record in found.items():
        for way, precisions in record["labels"].items():
            cells = (_spread(precisions[kind]) if kind in precisions else "–" for kind in ("any", "similar"))
            lines.append(_row(DATASETS[dataset], FOUND_BY[way], *cells))
    lines += ["", _row("network", "trained on", "seed", "epochs"), "|---|---|---:|---:|"]
    labels = {"as published": "", "any": ", 5% wrong: any class", "similar": ", 5% wrong: a similar class"}
    for dataset, record in found.items():
        for run in record["runs"]:
            trained = f"{DATASETS[dataset]}{labels[run['labels']]}"
            lines.append(_row(run["experiment"], trained, str(run["seed"]), str(run["epochs"])))
    return "\n".join(lines) + "\n"


def transfer() -> str:
    """Write what encoders are worth on the dataset that they were not trained on, next to their own."""
    measured = [
        json.loads(file.read_text(encoding="utf-8")) for file in sorted((RESULTS / "transfer").glob("*.json"))
    ]
    by_encoder: dict[str, dict[str, dict]] = {}
    for record in measured:
        by_encoder.setdefault(record["experiment"], {})[record["dataset"]] = record
    shown = {"kNN": "knn_accuracy", "linear": "linear_accuracy", "kNN, 10 labels": "knn_accuracy_10_labels"}
    names = [name for name in DATASETS if any(record["dataset"] == name for record in measured)]
    head = [f"{words} on {DATASETS[name]}" for name in names for words in shown]
    lines = [_row("encoder", "trained on", *head), "|---|---|" + "---:|" * len(head)]
    for way, (words, *_) in WAYS.items():
        for own in names:
            on = by_encoder[f"{way}_{own}"]
            cells = (
                f"{100 * on[name]['metrics'][f'test/{metric}']:.2f}" for name in names for metric in shown.values()
            )
            lines.append(_row(words, DATASETS[own], *cells))
    return "\n".join(lines) + "\n"


def controls() -> str:
    """Write what the controls got on each dataset, and below them the experiments on it."""
    metrics = {"kNN": "knn_accuracy", "linear": "linear_accuracy", "MLP": "mlp_accuracy"}
    lines = [_row("dataset", "control or experiment", *metrics), "|---|---|" + "---:|" * len(metrics)]
    for dataset, words in DATASETS.items():
        folder = RESULTS / "controls" / dataset
        for file in sorted(folder.glob("*/result.json")):
            measured = json.loads(file.read_text(encoding="utf-8"))["metrics"]
            cells = (f"{100 * measured[f'test/{metric}']:.2f}" for metric in metrics.values())
            lines.append(_row(words, f"`{file.parent.name}`", *cells))
        for way in WAYS if folder.exists() else ():
            name = f"{way}_{dataset}"
            lines.append(_row(words, name, *(show(name, metric) for metric in metrics.values())))
    return "\n".join(lines) + "\n"


def speeds() -> str:
    """Write how fast each experiment trains on a CPU, and relative to PyTorch, on two versions of Python."""
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(SPEEDS.glob("python*.json"))]
    head, lines = ["experiment"], []
    for record in records:
        major, minor, *_ = record["python"].split(".")
        head += [f"images/s, Python {major}.{minor}", "× PyTorch", "by CPU time"]
    head += ["× DataLoader", "of peak"]
    for name in records[0]["experiments"]:
        cells = [name]
        for record in records:
            contestants = record["experiments"][name]["contestants"]
            ours, peer = contestants["ours"], contestants["peer"]
            cells += [f"{ours['images_per_second']:,.0f}", f"**{peer['ours_is_faster_by']:.2f}**"]
            cells.append(f"{peer['ours_is_faster_by_cpu']:.2f}")
        first = records[0]["experiments"][name]
        cells.append(f"{first['contestants']['seeds_way']['ours_is_faster_by']:.1f}")
        lines.append(_row(*cells, f"{first['share_of_peak']:.0%}"))
    return "\n".join([_row(*head), "|---|" + "---:|" * (len(head) - 1), *lines]) + "\n"


def _error_files() -> dict[str, Path]:
    return {
        name: RESULTS / "errors" / f"{name}.json"
        for name in DATASETS
        if (RESULTS / "errors" / f"{name}.json").exists()
    }


def _spread(values: list[float]) -> str:
    """Write shares in per cent: their mean and, if they differ, their sample standard deviation."""
    percents = [100 * value for value in values]
    deviation = f" ± {statistics.stdev(percents):.1f}" if len(set(percents)) > 1 else ""
    return f"{statistics.mean(percents):.1f}{deviation}"


def results(name: str) -> list[dict]:
    """Read the results of an experiment, one for each seed."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted((RESULTS / name).glob("seed*.json"))]


def show(name: str, metric: str) -> str:
    """Write a test metric of an experiment in per cent: mean ± sample standard deviation over the seeds."""
    percents = [100 * result["metrics"][f"test/{metric}"] for result in results(name)]
    deviation = f" ± {statistics.stdev(percents):.2f}" if len(percents) > 1 else ""
    return f"{statistics.mean(percents):.2f}{deviation}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))

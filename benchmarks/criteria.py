"""The four losses in PyTorch: the network's prediction and the batch it is scored against -> one number."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# (prediction, images, labels) -> loss
Criterion = Callable[[Tensor, Tensor, Tensor], Tensor]


def make(options: Mapping[str, Any]) -> Criterion:
    """Make the loss of a config's objective."""
    knobs = {name: options[name] for name in ("temperature", "margin", "smoothing") if name in options}
    return partial(CRITERIA[options["name"]], **knobs)


def reconstruct(prediction: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Mean absolute error of the pixels."""
    return functional.l1_loss(prediction, images)


def classify(prediction: Tensor, images: Tensor, labels: Tensor, *, smoothing: float) -> Tensor:
    """Cross-entropy of the logits."""
    return functional.cross_entropy(prediction, labels, label_smoothing=smoothing)


def ntxent(prediction: Tensor, images: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """NT-Xent of SimCLR: rows i and i + n/2 are two views of the same image."""
    n = len(prediction)
    directions = functional.normalize(prediction)
    diagonal = torch.eye(n, dtype=torch.bool, device=prediction.device)
    logits = (directions @ directions.T / temperature).masked_fill(diagonal, -torch.inf)
    partner = torch.arange(n, device=prediction.device).roll(n // 2)
    return functional.cross_entropy(logits, partner)


def margin(prediction: Tensor, images: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Hadsell's margin loss over all pairs in a batch; both kinds of pair have equal weight."""
    distances = torch.cdist(prediction, prediction)
    equal = labels[:, None] == labels[None, :]
    same, different = equal & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~equal
    near = (distances.square() * same).sum() / same.sum().clamp(min=1)
    far = ((margin - distances).relu().square() * different).sum() / different.sum().clamp(min=1)
    return (near + far) / 4


CRITERIA: dict[str, Callable[..., Tensor]] = {
    criterion.__name__: criterion for criterion in (reconstruct, classify, ntxent, margin)
}

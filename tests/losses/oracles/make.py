"""Freeze what lightly and pytorch-metric-learning make of some rows: losses and gradients, and steps of three ways.

Neither is needed by the tests, which read the .npz files beside this one. To make them again, with PyTorch:

  pip install torch lightly pytorch-metric-learning
  python tests/losses/oracles/make.py
"""

import copy
import importlib.metadata
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn

try:
    import torchvision  # noqa: F401
except ImportError:  # the losses do not use it, but lightly's face does
    sys.modules |= {name: mock.MagicMock() for name in ("torchvision", "torchvision.ops", "torchvision.transforms")}

from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from lightly.loss.lejepa_loss import SIGReg
from pytorch_metric_learning import losses, miners, reducers

HERE = Path(__file__).parent
RANDOM = np.random.default_rng(21)
N, D, K = 12, 5, 7
# One class has a single row.
LABELS = np.array([0, 1, 2, 0, 1, 0, 2, 1, 0, 0, 3, 1])
# The steps of a way: how many, and of what.
STEPS, BATCH, PIXELS, HIDDEN, WIDTH, RATE = 3, 6, 8, 7, 4, 0.1


def main() -> None:
    """Write losses.npz and steps.npz."""
    torch.set_default_dtype(torch.float64)
    libraries = ("torch", "lightly", "pytorch-metric-learning")
    versions = np.array([f"{name} {importlib.metadata.version(name)}" for name in libraries])
    np.savez_compressed(HERE / "losses.npz", versions=versions, **of_losses())
    np.savez_compressed(HERE / "steps.npz", versions=versions, **byol(), **moco(), **dino())


def of_losses() -> dict[str, np.ndarray]:
    """Compute each loss of the same rows, in 64 bits, and its gradients by them."""
    scale = np.arange(1, N + 1)[:, None] ** 0.3
    first = RANDOM.normal(size=(N, D)) * scale + 0.3
    second = first + 0.4 * RANDOM.normal(size=(N, D))
    queue = RANDOM.normal(size=(K, D))
    queue /= np.linalg.norm(queue, axis=1, keepdims=True)
    directions = RANDOM.normal(size=(D, K))
    directions /= np.linalg.norm(directions, axis=0, keepdims=True)
    classes = RANDOM.normal(size=(4, D))
    first[3] = 0.1 * first[3] - classes[LABELS[3]]  # beyond π minus ArcFace's margin
    centre = RANDOM.normal(size=D) / 3
    given = {"first": first, "second": second, "queue": queue, "directions": directions, "classes": classes}
    given |= {"centre": centre, "labels": LABELS}
    given = {name: np.float32(array) if array.dtype == float else array for name, array in given.items()}
    tensor = {name: torch.tensor(array) for name, array in given.items()}
    tensor = {name: each.double() if each.is_floating_point() else each for name, each in tensor.items()}
    hard = miners.BatchHardMiner(distance=losses.TripletMarginLoss().distance.__class__(normalize_embeddings=False))
    distance = hard.distance
    soft = losses.TripletMarginLoss(
        margin=0, smooth_loss=True, distance=distance, reducer=reducers.MeanReducer(), swap=False
    )
    arcface = losses.ArcFaceLoss(4, D, margin=28.6, scale=16).double()
    arcface.W.data = tensor["classes"].T.clone()
    made = {
        "supcon": lambda a, b: losses.SupConLoss(temperature=0.2)(a, tensor["labels"]),
        "triplet": lambda a, b: soft(a, tensor["labels"], hard(a, tensor["labels"])),
        "all_triplets": lambda a, b: soft(a, tensor["labels"]),
        "arcface": lambda a, b: arcface(a, tensor["labels"]),
        "barlow": BarlowTwinsLoss(lambda_param=5e-3),
        "vicreg": VICRegLoss(lambda_param=25, mu_param=25, nu_param=1),
        "negative_cosine": NegativeCosineSimilarity(),
        "infonce": lambda a, b: queued(tensor["queue"])(a, b),
        "sigreg": lambda a, b: along(tensor["directions"])(a),
        "dino": lambda a, b: centred(tensor["centre"])(list(b.split(N // 2)), list(a.split(N // 2))),
    }
    return given | {key: array for name, loss in made.items() for key, array in graded(name, loss, tensor).items()}


def graded(name: str, loss, tensor: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Compute a loss of the two views and its gradients."""
    first, second = (tensor[each].clone().requires_grad_() for each in ("first", "second"))
    value = loss(first, second)
    gradients = torch.autograd.grad(value, (first, second), allow_unused=True)
    slopes = {
        f"{name}_d{part}": each.numpy() for part, each in zip("ab", gradients, strict=True) if each is not None
    }
    return {name: value.detach().numpy()} | slopes


def queued(queue: torch.Tensor) -> NTXentLoss:
    """Make lightly's loss with a memory bank that holds a queue [k, d]."""
    loss = NTXentLoss(temperature=0.2, memory_bank_size=(len(queue), queue.shape[1]))
    loss.memory_bank.bank = queue.clone()
    loss.memory_bank.bank_ptr = torch.zeros(1, dtype=torch.long)
    return loss


def along(directions: torch.Tensor) -> SIGReg:
    """Make lightly's SIGReg along given directions."""
    loss = SIGReg(num_vectors=directions.shape[1]).double()
    loss._generate_unit_vectors = lambda *_, **__: directions
    return loss


def centred(centre: torch.Tensor, momentum: float = 0.9) -> DINOLoss:
    """Make lightly's loss of DINO with a centre."""
    loss = DINOLoss(
        output_dim=centre.shape[-1],
        teacher_temp=0.04,
        warmup_teacher_temp=0.04,
        student_temp=0.1,
        center_momentum=momentum,
    ).double()
    loss.center.data = centre.reshape(1, 1, -1).clone()
    return loss


class Network(nn.Module):
    """An encoder of one layer, a projector of one, and a predictor where there is one."""

    def __init__(self, *, predictor: bool) -> None:
        """Draw the weights."""
        super().__init__()
        self.encoder, self.projector = nn.Linear(PIXELS, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.predictor = nn.Linear(WIDTH, WIDTH) if predictor else None

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return projections, and predictions."""
        projected = self.projector(torch.tanh(self.encoder(pixels)))
        return projected, self.predictor(projected) if self.predictor else None


def steps_of(name: str, network: Network, loss, decays, memory) -> dict[str, np.ndarray]:
    """Take steps as lightly's examples do: the teacher follows, both see the views, and SGD takes a step.

    Args:
      name: prefix of the arrays.
      network: it learns.
      loss: (the network's outputs, the teacher's) -> the loss; it may change its memory.
      decays: of the teacher, before each step.
      memory: returns the memory after a step.
    """
    teacher = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    taken = {f"{name}_0_student_{key}": each.numpy().copy() for key, each in network.state_dict().items()}
    for step in range(STEPS):
        for theirs, own in zip(teacher.parameters(), network.parameters(), strict=True):
            theirs.data = decays[step] * theirs.data + (1 - decays[step]) * own.data
        views = np.float32(RANDOM.normal(size=(2 * BATCH, PIXELS)))
        pixels = torch.tensor(views).double()
        with torch.no_grad():
            taught = teacher(pixels)
        value = loss(network(pixels), taught)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        taken |= {f"{name}_{step}_views": views, f"{name}_{step}_loss": value.detach().numpy()}
        taken |= {f"{name}_{step}_memory{i}": each.numpy().copy() for i, each in enumerate(memory())}
        for role, each in (("student", network), ("teacher", teacher)):
            saved = {
                f"{name}_{step + 1}_{role}_{key}": part.numpy().copy() for key, part in each.state_dict().items()
            }
            taken |= saved
    return taken


def byol() -> dict[str, np.ndarray]:
    """Take steps of BYOL: 2 + 2 times the negative cosine, over both directions."""
    criterion = NegativeCosineSimilarity()

    def loss(outputs, taught):
        (first, second), (one, other) = outputs[1].split(BATCH), taught[0].split(BATCH)
        return 2 + criterion(first, other) + criterion(second, one)

    torch.manual_seed(1)
    decays = [1 - (1 - 0.9) * (np.cos(np.pi * step / STEPS) + 1) / 2 for step in range(STEPS)]
    return steps_of("byol", Network(predictor=True), loss, decays, lambda: ())


def moco() -> dict[str, np.ndarray]:
    """Take steps of MoCo: each view is a query for the other's key; then all keys enter the queue."""
    queue = torch.tensor(RANDOM.normal(size=(4 * BATCH, WIDTH)))
    queue /= queue.norm(dim=1, keepdim=True)
    start, place = queue.numpy().copy(), [0]

    def loss(outputs, taught):
        (first, second), (one, other) = outputs[0].split(BATCH), taught[0].split(BATCH)
        value = (queued(queue)(first, other) + queued(queue)(second, one)) / 2
        queue[place[0] : place[0] + 2 * BATCH] = nn.functional.normalize(taught[0])
        place[0] = (place[0] + 2 * BATCH) % len(queue)
        return value

    torch.manual_seed(2)
    taken = steps_of("moco", Network(predictor=False), loss, [0.9] * STEPS, lambda: (queue,))
    return taken | {"moco_queue": start}


def dino() -> dict[str, np.ndarray]:
    """Take steps of DINO, whose groups are the outputs of the projector."""
    criterion = centred(torch.zeros(WIDTH))

    def loss(outputs, taught):
        return criterion(list(taught[0].split(BATCH)), list(outputs[0].split(BATCH)))

    torch.manual_seed(3)
    decays = [1 - (1 - 0.9) * (np.cos(np.pi * step / STEPS) + 1) / 2 for step in range(STEPS)]
    return steps_of("dino", Network(predictor=False), loss, decays, lambda: (criterion.center.reshape(-1),))


if __name__ == "__main__":
    main()

"""The peer: the same training step as a good PyTorch user writes it.

The dataset is on the device as uint8; batches are gathered and augmented with tensor operations. Memory is
channels_last and the optimizer fused; on request the step is compiled and the network runs in bfloat16. The loss
stays on the device until the end of a call.
"""

import contextlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from . import criteria, networks, transforms


class Trainer:
    """Trains the network that a config describes on a dataset."""

    def __init__(self, config: Any, dataset: Any, device: torch.device, *, mode: str) -> None:
        """Put the dataset and the network on the device; `mode` is torch.compile's, or "eager"."""
        torch.manual_seed(config.seed)
        self.size, self.dtype, self.device = config.train.batch_size, config.train.dtype, device
        self.images = torch.tensor(dataset.train.images, device=device).permute(0, 3, 1, 2).contiguous()
        self.labels = torch.tensor(dataset.train.labels, dtype=torch.long, device=device)
        self.network = networks.make(config, dataset.train.images.shape[1:], len(dataset.classes))
        self.network.to(device, memory_format=torch.channels_last)
        self.views, self.criterion = Views(config.objective), criteria.make(config.objective)
        steps_per_epoch = len(self.labels) // self.size
        self.optimizer = optimizer(config, self.network, fused=True)
        self.scheduler = scheduler(config, self.optimizer, steps_per_epoch)
        # After a few recompilations PyTorch would continue without compiling, and every experiment is one.
        torch.compiler.reset()
        self.loss = self._loss if mode == "eager" else torch.compile(self._loss, mode=mode, dynamic=False)
        self.batches = iter(())

    def steps(self, count: int) -> float:
        """Take `count` steps; return the mean of their losses."""
        total = torch.zeros((), device=self.device)
        for _ in range(count):
            loss = self.loss(self._rows())
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            self.optimizer.zero_grad()
            total += loss.detach()
        return total.item() / count

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Prepare for timing; there is nothing to do."""
        return contextlib.nullcontext()

    def parameters(self) -> int:
        """Count the parameters."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def _rows(self) -> Tensor:
        """Return the rows of the next batch, from a new permutation if an epoch has ended."""
        rows = next(self.batches, None)
        if rows is None or len(rows) < self.size:
            self.batches = iter(torch.randperm(len(self.labels), device=self.device).split(self.size))
            rows = next(self.batches)
        return rows

    def _loss(self, rows: Tensor) -> Tensor:
        labels = self.labels[rows]
        with torch.no_grad():
            images = self.images[rows] / 255
            views, target = self.views(images)
            views = views.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16"):
            prediction = self.network(views)
        return self.criterion(prediction, target, labels)


class Views:
    """The network's inputs for a batch, and the images that its output is scored against."""

    def __init__(self, objective: Any) -> None:
        """Build the augmentation, and the corruption if the objective has one."""
        self.twice = objective.name == "ntxent"
        self.augment = transforms.compose(objective.augmentation)
        self.corrupt = transforms.compose(objective.get("corruption", {}))

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map b images to (n views, the images to reconstruct)."""
        target = self.augment(torch.cat([images, images]) if self.twice else images)
        return self.corrupt(target), target


def comparable(config: Any) -> Any:
    """Return the config with AdamW instead of Muon, which PyTorch has only for matrices."""
    if config.optimizer.name == "muon":
        config.optimizer.name = "adam"
        del config.optimizer.momentum
    return config


def optimizer(config: Any, network: nn.Module, **options: Any) -> torch.optim.Optimizer:
    """Make the optimizer that a config describes; the options are those of torch.optim."""
    chosen = config.optimizer
    options |= {"lr": chosen.learning_rate, "weight_decay": chosen.weight_decay}
    if chosen.name == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=chosen.momentum, **options)
    return {"adam": torch.optim.AdamW}[chosen.name](network.parameters(), **options)


def scheduler(
    config: Any, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Make the learning rate's warm-up and cosine decay."""
    total = config.train.epochs * steps_per_epoch
    warmup = round(config.optimizer.warmup_epochs * steps_per_epoch)

    def share(step: int) -> float:
        if step < warmup:
            return step / warmup
        return (1 + math.cos(math.pi * min(1, (step - warmup) / (total - warmup)))) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)

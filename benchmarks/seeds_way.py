"""The student projects' approach: a DataLoader whose workers open, augment and convert one image at a time.

It has two workers, PIL and PyTorch operations per image with torchvision's definitions, and the network in float32
with PyTorch's defaults.
"""

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from . import criteria, networks, peer, transforms

WORKERS = 2


class Trainer:
    """Trains the network that a config describes on a dataset."""

    def __init__(self, config: Any, dataset: Any, device: torch.device) -> None:
        """Put the network on the device and the dataset behind a DataLoader."""
        torch.manual_seed(config.seed)
        self.device, self.twice = device, config.objective.name == "ntxent"
        self.network = networks.make(config, dataset.train.images.shape[1:], len(dataset.classes)).to(device)
        self.criterion = criteria.make(config.objective)
        self.loader = DataLoader(
            Pictures(config.objective, dataset.train.images, dataset.train.labels),
            batch_size=config.train.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS,
            pin_memory=device.type == "cuda",
            multiprocessing_context="spawn",  # JAX has threads, which do not survive a fork
        )
        self.optimizer = peer.optimizer(config, self.network)
        self.scheduler = peer.scheduler(config, self.optimizer, len(self.loader))

    def steps(self, count: int) -> float:
        """Take `count` steps of a running loader; return the mean of their losses."""
        total = torch.zeros((), device=self.device)
        for _ in range(count):
            views, target, labels = (part.to(self.device, non_blocking=True) for part in next(self.batches))
            # Two views of b images are [b, 2, c, h, w]: reordered to all first views, then all second views.
            views = views.transpose(0, 1).flatten(0, 1) if self.twice else views
            self.optimizer.zero_grad()
            loss = self.criterion(self.network(views), target, labels)
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            total += loss.detach()
        return total.item() / count

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start the workers and let their queue settle; stop them at the end, so as not to slow down the others."""
        self.batches = self._batches()
        self.steps(WORKERS)
        yield
        self.batches.close()

    def parameters(self) -> int:
        """Count the parameters."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def _batches(self) -> Iterator[Any]:
        while True:
            yield from self.loader


class Pictures(Dataset):
    """A dataset that converts each image to a PIL image, augments it and returns it as a tensor."""

    def __init__(self, objective: Any, images: np.ndarray, labels: np.ndarray) -> None:
        """Keep uint8 images [n, h, w, c] and the knobs of the operations."""
        self.images, self.labels = torch.tensor(images), torch.tensor(labels, dtype=torch.long)
        self.twice = objective.name == "ntxent"
        # Plain dicts: the workers look up every knob for every image.
        self.augmentation = transforms.knobs(objective.augmentation)
        self.corruption = transforms.knobs(objective.get("corruption", {}))

    def __len__(self) -> int:
        """Return n."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the network's input for an image, the image to reconstruct, and its label."""
        picture = Image.fromarray(self.images[index].squeeze(-1).numpy())
        target = augment(picture, self.augmentation)
        if self.twice:
            return torch.stack([target, augment(picture, self.augmentation)]), target, self.labels[index]
        return apply(target, self.corruption, ON_TENSORS), target, self.labels[index]


def augment(picture: Image.Image, options: Mapping[str, Any]) -> Tensor:
    """Augment one picture and convert it to a tensor [c, h, w] in [0, 1]."""
    return apply(tensor(apply(picture, options, ON_PICTURES)), options, ON_TENSORS)


def apply(image: Any, options: Mapping[str, Any], operations: Mapping[str, Callable[..., Any]]) -> Any:
    """Apply those operations that the options name, with their knobs."""
    for name, operation in operations.items():
        if name in options:
            image = operation(image, **options[name])
    return image


def tensor(picture: Image.Image) -> Tensor:
    """Convert a picture to a tensor [c, h, w] in [0, 1], as torchvision's ToTensor."""
    pixels = np.array(picture)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous().float() / 255


def crop(picture: Image.Image, min_area: float, max_area: float) -> Image.Image:
    """RandomResizedCrop."""
    width, height = picture.size
    box = draw_box(height, width, (min_area, max_area), (3 / 4, 4 / 3), (height, width))
    if not box:
        rows, columns = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
        box = (height - rows) // 2, (width - columns) // 2, rows, columns
    top, left, rows, columns = box
    return picture.crop((left, top, left + columns, top + rows)).resize(picture.size, Image.Resampling.BILINEAR)


def affine(picture: Image.Image, degrees: float, shift: float, min_scale: float, max_scale: float) -> Image.Image:
    """RandomAffine."""
    width, height = picture.size
    angle, scale = math.radians(random.uniform(-degrees, degrees)), random.uniform(min_scale, max_scale)
    right, down = random.uniform(-shift, shift) * width, random.uniform(-shift, shift) * height
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = width / 2, height / 2
    matrix = (
        *(cosine, sine, x - cosine * (x + right) - sine * (y + down)),
        *(-sine, cosine, y + sine * (x + right) - cosine * (y + down)),
    )
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def flip(picture: Image.Image, p: float) -> Image.Image:
    """RandomHorizontalFlip."""
    return ImageOps.mirror(picture) if random.random() < p else picture


def translate(picture: Image.Image, pixels: int) -> Image.Image:
    """RandomCrop of the picture's own size, padded by reflection."""
    width, height = picture.size
    around = ((pixels, pixels), (pixels, pixels)) + ((0, 0),) * (len(picture.getbands()) > 1)
    padded = Image.fromarray(np.pad(np.array(picture), around, mode="reflect"))
    left, top = random.randint(0, 2 * pixels), random.randint(0, 2 * pixels)
    return padded.crop((left, top, left + width, top + height))


def jitter(
    picture: Image.Image, p: float, brightness: float, contrast: float, saturation: float, hue: float
) -> Image.Image:
    """ColorJitter in a RandomApply."""
    if random.random() >= p:
        return picture
    strengths = {
        ImageEnhance.Brightness: brightness,
        ImageEnhance.Contrast: contrast,
        ImageEnhance.Color: saturation,
    }
    for enhance, strength in strengths.items():
        if strength:
            picture = enhance(picture).enhance(random.uniform(max(0, 1 - strength), 1 + strength))
    return turn(picture, random.uniform(-hue, hue)) if hue else picture


def turn(picture: Image.Image, shift: float) -> Image.Image:
    """Shift the hue by a fraction of the circle."""
    hue, saturation, value = picture.convert("HSV").split()
    turned = np.array(hue) + np.uint8(round(255 * shift) % 256)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def greyscale(picture: Image.Image, p: float) -> Image.Image:
    """RandomGrayscale."""
    return picture.convert("L").convert(picture.mode) if random.random() < p else picture


def erase(image: Tensor, p: float, min_area: float, max_area: float) -> Tensor:
    """RandomErasing with value 0."""
    if random.random() >= p:
        return image
    _, height, width = image.shape
    box = draw_box(height, width, (min_area, max_area), (1 / 3.3, 1 / 0.3), (height - 1, width - 1))
    if box:
        top, left, rows, columns = box
        image[:, top : top + rows, left : left + columns] = 0
    return image


def noise(image: Tensor, deviation: float) -> Tensor:
    """Add Gaussian noise."""
    return (image + deviation * torch.randn_like(image)).clamp(0, 1)


def draw_box(
    height: int, width: int, area: tuple[float, float], ratio: tuple[float, float], most: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Draw a box (top, left, height, width): the first of ten no larger than `most`, or None if all are larger."""
    for _ in range(10):
        pixels = height * width * random.uniform(*area)
        stretch = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
        rows, columns = round(math.sqrt(pixels / stretch)), round(math.sqrt(pixels * stretch))
        if 0 < rows <= most[0] and 0 < columns <= most[1]:
            return random.randint(0, height - rows), random.randint(0, width - columns), rows, columns
    return None


def elastic(image: Tensor, displacement: float, smoothness: float) -> Tensor:
    """ElasticTransform, with the same field as ours."""
    return transforms.elastic(image[None], displacement, smoothness)[0]


# In the order in which they run.
ON_PICTURES: dict[str, Callable[..., Image.Image]] = {
    operation.__name__: operation for operation in (crop, affine, flip, jitter, greyscale, translate)
}
ON_TENSORS: dict[str, Callable[..., Tensor]] = {
    operation.__name__: operation for operation in (erase, noise, elastic)
}

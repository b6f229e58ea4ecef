"""The augmentations of the twelve configs as PyTorch tensor operations: a batch [n, c, h, w] in, a batch out.

Every image gets its own random draw. The definitions are those of jaxembed.augment.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Transform = Callable[[Tensor], Tensor]


def compose(options: Mapping[str, Any]) -> Transform:
    """Build the augmentation that a config section describes; operations run in the order of OPERATIONS."""
    given = knobs(options)
    if unknown := given.keys() - OPERATIONS.keys():
        raise KeyError(f"operations must be among {', '.join(OPERATIONS)}; got {', '.join(sorted(unknown))}")
    steps = [(operation, given[name]) for name, operation in OPERATIONS.items() if name in given]

    def augment(images: Tensor) -> Tensor:
        for operation, values in steps:
            images = operation(images, **values)
        return images

    return augment


def knobs(options: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return a config section of operations as plain dicts: operation -> knob -> value."""
    return {name: dict(values) for name, values in options.items()}


def crop(images: Tensor, min_area: float, max_area: float) -> Tensor:
    """Cut out random boxes and resize them to whole images."""
    height, width = images.shape[2:]
    central = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    boxes = _boxes(images, (min_area, max_area), (3 / 4, 4 / 3), 1, (height, width), central)
    return resized_crop(images, *boxes)


def resized_crop(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Resize n boxes to the images' own shape: bilinear, half-pixel centres, edges repeated."""
    n, _, rows, columns = images.shape
    y = _source(top, height, rows)[:, :, None].expand(n, rows, columns)
    x = _source(left, width, columns)[:, None, :].expand(n, rows, columns)
    return functional.grid_sample(images, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False)


def affine(images: Tensor, degrees: float, shift: float, min_scale: float, max_scale: float) -> Tensor:
    """Rotate, shift and scale at random about the images' centres."""
    n, _, height, width = images.shape
    angle = _uniform(images, n, -degrees, degrees)
    down, right = height * _uniform(images, n, -shift, shift), width * _uniform(images, n, -shift, shift)
    return warp(images, angle, down, right, _uniform(images, n, min_scale, max_scale))


def warp(images: Tensor, degrees: Tensor, down: Tensor, right: Tensor, scale: Tensor) -> Tensor:
    """Scale and rotate (clockwise) about the centre, then shift by pixels: bilinear, 0 outside."""
    height, width = images.shape[2:]
    cosine, sine = torch.cos(torch.deg2rad(degrees)) / scale, torch.sin(torch.deg2rad(degrees)) / scale
    # In affine_grid's coordinates, where each side has length 2.
    x = torch.stack([cosine, sine * height / width, -2 / width * (sine * down + cosine * right)], dim=1)
    y = torch.stack([-sine * width / height, cosine, -2 / height * (cosine * down - sine * right)], dim=1)
    grid = functional.affine_grid(torch.stack([x, y], dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def flip(images: Tensor, p: float) -> Tensor:
    """Mirror each image horizontally with probability p."""
    return torch.where(_chance(images, p), images.flip(-1), images)


def jitter(images: Tensor, p: float, brightness: float, contrast: float, saturation: float, hue: float) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order, of each image with probability p."""
    jittered = adjust_brightness(images, _factor(images, brightness))
    jittered = adjust_contrast(jittered, _factor(images, contrast))
    if images.shape[1] == 3:
        jittered = adjust_saturation(jittered, _factor(images, saturation))
        jittered = adjust_hue(jittered, _uniform(images, (len(images), 1, 1), -hue, hue))
    return torch.where(_chance(images, p), jittered, images)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black."""
    return (images * factor).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean grey of each image."""
    return torch.lerp(luminance(images.mean(dim=(2, 3), keepdim=True)), images, factor).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey images."""
    return torch.lerp(luminance(images), images, factor).clamp_(0, 1)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Shift the hue of each image by a fraction of the circle; shift is [n, 1, 1]."""
    red, green, blue = images.unbind(1)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    divisor = torch.where(chroma > 0, chroma, 1)
    from_green = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sixths = torch.where(value == red, (green - blue) / divisor, from_green) + 6 * shift
    turned = torch.remainder(torch.stack([sixths + 5, sixths + 3, sixths + 1], dim=1), 6)
    return value[:, None] - chroma[:, None] * torch.minimum(turned, 4 - turned).clamp_(0, 1)


def luminance(images: Tensor) -> Tensor:
    """Return the grey of images as one channel: ITU-R 601, rounded as in torchvision."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def greyscale(images: Tensor, p: float) -> Tensor:
    """Convert each image to grey with probability p, keeping the number of channels."""
    return torch.where(_chance(images, p), luminance(images), images)


def erase(images: Tensor, p: float, min_area: float, max_area: float) -> Tensor:
    """Black out one random box of each image with probability p."""
    rows, columns = images.shape[2:]
    most = (rows - 1, columns - 1)
    boxes = _boxes(images, (min_area, max_area), (1 / 3.3, 1 / 0.3), 0, most, (0, 0))
    top, left, height, width = (side[:, None, None, None] for side in boxes)
    y = torch.arange(rows, device=images.device)[:, None]
    x = torch.arange(columns, device=images.device)[None, :]
    inside = (top <= y) & (y < top + height) & (left <= x) & (x < left + width)
    return images.masked_fill(inside & _chance(images, p), 0)


def noise(images: Tensor, deviation: float) -> Tensor:
    """Add Gaussian noise of this standard deviation; clip to [0, 1]."""
    return (images + deviation * torch.randn_like(images)).clamp_(0, 1)


def translate(images: Tensor, pixels: int) -> Tensor:
    """Shift each image down and right by whole pixels, mirrored beyond its edges."""
    n, _, height, width = images.shape
    down, right = torch.randint(-pixels, pixels + 1, (2, n, 1), device=images.device)
    rows = _mirrored(torch.arange(height, device=images.device) + down, height)
    columns = _mirrored(torch.arange(width, device=images.device) + right, width)
    each = torch.arange(n, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def elastic(images: Tensor, displacement: float, smoothness: float) -> Tensor:
    """Move every pixel by a smooth random field: bilinear, 0 outside."""
    n, _, height, width = images.shape
    rows, columns = (gaussian(size, smoothness, images.device) for size in (height, width))
    down, right = displacement * (rows @ torch.randn((2, n, height, width), device=images.device) @ columns.T)
    y = torch.arange(height, device=images.device)[:, None] - down
    x = torch.arange(width, device=images.device) - right
    # In grid_sample's coordinates each side has length 2; a pixel's coordinates are those of its centre.
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return functional.grid_sample(images, grid, align_corners=False)


def gaussian(size: int, deviation: float, device: torch.device) -> Tensor:
    """Return the matrix of a Gaussian filter that leaves white noise its variance."""
    index = torch.arange(size, device=device)
    weights = torch.exp(-0.5 * ((index[:, None] - index) / deviation) ** 2)
    return weights / weights.norm(dim=1, keepdim=True)


# In the order in which they run.
OPERATIONS: dict[str, Callable[..., Tensor]] = {
    operation.__name__: operation
    for operation in (crop, affine, flip, jitter, greyscale, erase, noise, translate, elastic)
}


def _boxes(
    images: Tensor,
    area: tuple[float, float],
    ratio: tuple[float, float],
    least: int,
    most: tuple[int, int],
    otherwise: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw n boxes (top, left, height, width): for each, the first of ten draws that fits, else a central one."""
    n, _, rows, columns = images.shape
    pixels = rows * columns * _uniform(images, (n, 10), *area)
    stretch = torch.exp(_uniform(images, (n, 10), math.log(ratio[0]), math.log(ratio[1])))
    heights, widths = torch.sqrt(pixels / stretch).round(), torch.sqrt(pixels * stretch).round()
    fits = (least <= heights) & (heights <= most[0]) & (least <= widths) & (widths <= most[1])
    any_fits, first = fits.any(dim=1), fits.byte().argmax(dim=1, keepdim=True)
    height = torch.where(any_fits, heights.gather(1, first)[:, 0], otherwise[0])
    width = torch.where(any_fits, widths.gather(1, first)[:, 0], otherwise[1])
    spare_rows, spare_columns = rows - height, columns - width
    down, right = _uniform(images, (2, n), 0, 1)
    top = torch.where(any_fits, down * (spare_rows + 1), spare_rows / 2).floor()
    left = torch.where(any_fits, right * (spare_columns + 1), spare_columns / 2).floor()
    return top, left, height, width


def _source(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return the source coordinate of each of `size` pixels [n, size], as grid_sample defines them."""
    start, length = start[:, None], length[:, None]
    source = start + (torch.arange(size, device=start.device) + 0.5) * length / size - 0.5
    source = torch.minimum(torch.maximum(source, start), start + length - 1)
    return (2 * source + 1) / size - 1


def _mirrored(source: Tensor, size: int) -> Tensor:
    return size - 1 - (size - 1 - source.abs()).abs()


def _uniform(images: Tensor, shape: int | tuple[int, ...], low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(shape, device=images.device)


def _factor(images: Tensor, strength: float) -> Tensor:
    """Draw n factors around 1, never below 0."""
    return _uniform(images, (len(images), 1, 1, 1), max(0, 1 - strength), 1 + strength)


def _chance(images: Tensor, p: float) -> Tensor:
    return torch.rand((len(images), 1, 1, 1), device=images.device) < p

"""The encoders and heads in PyTorch: the same layers as in jaxembed, with the same number of parameters."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

Shape = tuple[int, int, int]
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class Embedder(nn.Module):
    """Images [n, c, h, w] -> the head's prediction, in float32."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        """Put the head on top of the encoder."""
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, images: Tensor) -> Tensor:
        """Predict from n images."""
        return self.head(self.encoder(images)).float()


class Quarters(nn.Module):
    """The mean of each quarter of a feature map, whose height and width are even."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, c, h, w] to [n, 4 * c], in the order of jaxembed's weights."""
        return functional.adaptive_avg_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1)


class SubPixel(nn.Module):
    """A code -> a small feature map -> 3×3 convolutions whose channels become 2×2 pixels -> a sigmoid."""

    def __init__(self, shape: Shape, widths: Sequence[int], latent: int) -> None:
        """Make the layers, from the code outwards."""
        super().__init__()
        height, width, channels = shape
        scale = 2 ** len(widths)
        self.map = (height // scale, width // scale, widths[0])
        self.code = nn.Linear(latent, height // scale * (width // scale) * widths[0])
        pairs = zip(widths, (*widths[1:], channels), strict=True)
        self.convs = nn.ModuleList(nn.Conv2d(i, 4 * o, 3, padding=1) for i, o in pairs)

    def forward(self, embedding: Tensor) -> Tensor:
        """Reconstruct n images in [0, 1]."""
        x = functional.relu(self.code(embedding), inplace=True).unflatten(1, self.map).permute(0, 3, 1, 2)
        for conv in self.convs[:-1]:
            x = functional.relu(functional.pixel_shuffle(conv(x), 2), inplace=True)
        return functional.pixel_shuffle(self.convs[-1](x), 2).float().sigmoid()


class Pixels(nn.Module):
    """A code -> hidden layers -> pixels -> a sigmoid."""

    def __init__(self, shape: Shape, widths: Sequence[int], latent: int) -> None:
        """Make the mirror image of `fc`."""
        super().__init__()
        height, width, channels = shape
        self.shape = (channels, height, width)
        self.layers = mlp(latent, (*widths, channels * height * width), dropout=0.0)

    def forward(self, embedding: Tensor) -> Tensor:
        """Reconstruct n images in [0, 1]."""
        return self.layers(embedding).float().sigmoid().unflatten(1, self.shape)


class Mean(nn.Module):
    """The mean over space."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, c, h, w] to [n, c]."""
        return x.mean(dim=(2, 3))


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, which is a strided 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Make the layers."""
        super().__init__()
        self.first = nn.Sequential(_conv(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(_conv(outputs, outputs), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential()
        if (inputs, stride) != (outputs, 1):
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, k, h, w] to [n, c, h / stride, w / stride]."""
        y = self.second(functional.relu(self.first(x), inplace=True))
        return functional.relu(y + self.shortcut(x), inplace=True)


def make(config: Any, shape: Shape, classes: int) -> Embedder:
    """Make the network that a config describes, for images of shape (h, w, c)."""
    encoder, options = dict(config.encoder), dict(config.objective)
    name = encoder.pop("name")
    latent = encoder["latent"] if "latent" in encoder else 8 * encoder["width"]
    heads = {
        "reconstruct": lambda: DECODERS[name](
            shape, encoder.get("decoder_widths", encoder["widths"][::-1]), latent
        ),
        "classify": lambda: mlp(latent, (*options["hidden"], classes), options["dropout"]),
        "ntxent": lambda: mlp(latent, options["projection"], dropout=0.0),
        "margin": lambda: mlp(latent, options["projection"], dropout=0.0),
    }
    return Embedder(ENCODERS[name](shape, **encoder), heads[options["name"]]())


def mlp(inputs: int, widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Make linear layers with ReLU, and optionally dropout, between them."""
    layers: list[nn.Module] = []
    for index, (fan_in, width) in enumerate(zip((inputs, *widths), widths, strict=False)):
        if index:
            layers += [nn.ReLU(inplace=True), *([nn.Dropout(dropout)] if dropout else [])]
        layers.append(nn.Linear(fan_in, width))
    return nn.Sequential(*layers)


def fc(shape: Shape, *, widths: Sequence[int], latent: int, dropout: float) -> nn.Module:
    """Make the fully connected encoder."""
    height, width, channels = shape
    return nn.Sequential(nn.Flatten(), mlp(height * width * channels, (*widths, latent), dropout))


def cnn(shape: Shape, *, widths: Sequence[int], depth: int, stem: str, latent: int, dropout: float) -> nn.Module:
    """Make the small convolutional encoder; in a block: conv, max-pool, BatchNorm, ReLU, conv, BatchNorm, ReLU."""
    if stem not in ("pooled", "strided"):
        raise SystemExit(f"benchmarks: there is no peer with a {stem} stem")
    layers: list[nn.Module] = []
    for inputs, width in zip((shape[-1], *widths), widths, strict=False):
        if layers or stem == "pooled":
            layers += [_conv(inputs, width), nn.MaxPool2d(2)]
        else:
            layers += [_conv(inputs, width, kernel_size=4, stride=2)]
        layers += _rest(width, depth)
    layers += [Mean(), *([nn.Dropout(dropout)] if dropout else []), nn.Linear(widths[-1], latent)]
    return nn.Sequential(*layers)


def resnet(
    shape: Shape, *, depth: int, width: int, stem: str, mean: Sequence[float], deviation: Sequence[float]
) -> nn.Module:
    """Make the ResNet of basic blocks with the stem for small images."""
    if stem != "small" or depth not in BLOCKS or mean or deviation:
        raise SystemExit("benchmarks: there is a peer of a ResNet 18 or 34 with a small stem only, without a mean")
    layers: list[nn.Module] = [_conv(shape[-1], width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    inputs = width
    for stage, blocks in enumerate(BLOCKS[depth]):
        for block in range(blocks):
            layers.append(Block(inputs, width * 2**stage, stride=2 if stage and not block else 1))
            inputs = width * 2**stage
    return nn.Sequential(*layers, Mean())


def conv(
    shape: Shape, *, widths: Sequence[int], depth: int, latent: int, decoder_widths: Sequence[int]
) -> nn.Module:
    """Make the convolutional encoder that has a decoder."""
    layers: list[nn.Module] = []
    for inputs, width in zip((shape[-1], *widths), widths, strict=False):
        layers += [_conv(inputs, width, kernel_size=4, stride=2), *_rest(width, depth)]
    return nn.Sequential(*layers, Quarters(), nn.Linear(4 * widths[-1], latent))


def _rest(width: int, depth: int) -> list[nn.Module]:
    """Make the layers after the first convolution of a block: BatchNorm, ReLU, and the other convolutions."""
    layers: list[nn.Module] = [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    for _ in range(depth - 1):
        layers += [_conv(width, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return layers


_conv = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)

ENCODERS = {"fc": fc, "conv": conv, "cnn": cnn, "resnet": resnet}
DECODERS = {"fc": Pixels, "conv": SubPixel}

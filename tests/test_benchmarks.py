"""The benchmark's contestants run one experiment: as many parameters, the same images, the same losses."""

import random
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from numpy.testing import assert_allclose
from PIL import Image
from test_configs import CONFIGS, SHAPES, load

from jaxembed import augment, model
from jaxembed.augment import colour, spatial
from jaxembed.run import build
from jaxembed.train import start
from jaxembed.types import Batch, Dataset, Seen

torch = pytest.importorskip("torch")

from benchmarks import networks, ours, peer, seeds_way, table, transforms  # noqa: E402
from benchmarks.__main__ import EXPERIMENTS, race  # noqa: E402

CPU = torch.device("cpu")
NARROW = {
    "fc": {"widths": (32, 16)},
    "conv": {"widths": (4, 8), "decoder_widths": (8, 4)},
    "cnn": {"widths": (4, 8)},
    "resnet": {"width": 2},
}
KINDS = {1: torch.nn.BatchNorm2d, 2: torch.nn.Linear, 4: torch.nn.Conv2d}


@pytest.fixture(autouse=True)
def _one_thread_and_seeds():
    random.seed(0)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def narrow(name: str):
    """A config with few channels and batches of 16."""
    config = peer.comparable(load(CONFIGS / f"{name}.py").get_config())
    config.encoder.update(NARROW[config.encoder.name])
    config.train.update({"batch_size": 16, "epochs": 8})
    return config


def without_chance(config):
    """That config without augmentation, dropout and rounding."""
    config.train.dtype, config.objective.augmentation = "float32", {}
    for section in (config.encoder, config.objective):
        section.update({"dropout": 0.0} if "dropout" in section else {})
        if "corruption" in section:
            section.corruption = {
                "noise": {"deviation": 0.0}
            }  # assigned: `update` would keep the config's own as well
    return config


def noise(config, n: int) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (n, *SHAPES[config.data.name]), dtype=np.uint8)
    split = Batch(images, np.arange(n, dtype=np.int32) % 10)
    return Dataset(config.data.name, tuple("0123456789"), split, split, split)


def draw(shapes):
    """Weights of which none is 0 or 1, as scales and biases are at the start."""
    generator = np.random.default_rng(0)

    def leaf(like):
        fan_in = max(1, np.prod(like.shape[:-1]))
        return (generator.standard_normal(like.shape) / np.sqrt(fan_in)).astype(np.float32)

    return jax.tree.map(leaf, shapes)


def copy(params, network: torch.nn.Module) -> None:
    """Give PyTorch's network our weights."""
    flat = {path: np.asarray(leaf) for path, leaf in traverse_util.flatten_dict(params).items()}
    modules = {ndim: [each for each in network.modules() if isinstance(each, kind)] for ndim, kind in KINDS.items()}
    scales = sorted((path for path in flat if path[-1] in ("kernel", "scale")), key=place)
    assert len(scales) == sum(map(len, modules.values()))
    for path in scales:
        scale, module = flat[path], modules[flat[path].ndim].pop(0)
        # [..., in, out] is [out, in, ...] in PyTorch.
        arrays = [(module.weight, np.moveaxis(scale, (-1, -2), (0, 1)) if scale.ndim > 1 else scale)]
        # The bias of a convolution is a layer of its own in ours.
        bias = (*path[:-2], path[-2].replace("Conv_", "Bias_"), "bias")
        arrays += [] if module.bias is None else [(module.bias, flat[bias])]
        for parameter, array in arrays:
            if path[0] == "head" and scale.ndim == 4:
                # Of a 2×2 block, our channels come last and pixel_shuffle's first.
                array = np.moveaxis(array.reshape(4, -1, *array.shape[1:]), 0, 1).reshape(array.shape)
            parameter.data.copy_(torch.tensor(array))


def place(path: tuple[str, ...]) -> tuple[str, int, list[int]]:
    """Where a layer of ours is among its kind: encoder before head, stem before blocks, then by number."""
    return path[0], len(path), [int(part.rpartition("_")[2]) for part in path[1:-1]]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_networks_have_equal_parameter_counts(name):
    config = load(CONFIGS / f"{name}.py").get_config()
    shape = SHAPES[config.data.name]
    split = Batch(np.zeros((2000, *shape), np.uint8), np.arange(2000, dtype=np.int32) % 10)
    dataset = Dataset(config.data.name, tuple("0123456789"), split, split, split)
    run = build.run(config, dataset)
    image = np.zeros((1, *shape), np.uint8)
    params = jax.eval_shape(partial(start.state_at_zero, run), jax.random.key(0), image).params
    with torch.device("meta"):
        network = networks.make(config, shape, 10)
    assert sum(each.numel() for each in network.parameters()) == sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", ["autoencoder_cifar", "classifier_fashion_mnist", "simclr_cifar", "margin_mnist"])
def test_peer_has_our_loss_with_our_weights(name):
    config = without_chance(narrow(name))
    dataset = noise(config, 16)
    run, theirs = build.run(config, dataset), peer.Trainer(config, dataset, CPU, mode="eager")
    batch = Batch(model.pixels(jnp.asarray(dataset.train.images)), jnp.asarray(dataset.train.labels))
    shapes = jax.eval_shape(partial(run.model.init, train=False), jax.random.key(0), batch.images)
    params = draw(shapes["params"])
    copy(params, theirs.network)

    @jax.jit
    def loss(params, batch):
        views, target = run.objective.views(jax.random.key(0), batch)
        # BatchNorm's statistics are made, not used.
        stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes.get("batch_stats", {}))
        outputs, _ = run.apply(params, stats, views, train=True, mutable=["batch_stats"])
        return jnp.mean(run.objective.score(Seen(outputs, target))["loss"])

    assert_allclose(theirs.loss(torch.arange(16)).item(), loss(params, batch), rtol=1e-4)


@pytest.mark.parametrize("name", ["classifier_mnist", "simclr_mnist"])
def test_peer_takes_our_steps_with_our_weights(name):
    config = narrow(name)
    if name == "simclr_mnist":
        config.encoder = narrow("margin_mnist").encoder  # a step of convolutions takes seconds to compile
        config.optimizer = narrow("simclr_cifar").optimizer
    config = without_chance(config)
    # So much of each that six steps show it.
    rates = {"sgd": (1.0, 0.01), "adam": (3e-3, 1.0)}[config.optimizer.name]
    config.optimizer.update(dict(zip(("learning_rate", "weight_decay"), rates, strict=True)))
    # One batch is the whole dataset, so that nobody's order matters.
    dataset = noise(config, 16)
    mine, theirs = ours.Trainer(config, dataset), peer.Trainer(config, dataset, CPU, mode="eager")
    mine.state = mine.state._replace(params=jax.tree.map(jnp.asarray, draw(mine.state.params)))
    copy(mine.state.params, theirs.network)
    losses = np.array([(mine.steps(1), theirs.steps(1)) for _ in range(6)])
    assert_allclose(losses[0, 1], losses[0, 0], rtol=1e-4)
    assert_allclose(losses[:, 1], losses[:, 0], rtol=5e-4)
    assert losses[-1, 0] < 0.99 * losses[0, 0]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_peer_trains_on_augmented_images(name):
    config = narrow(name)
    trainer = peer.Trainer(config, noise(config, 40), CPU, mode="eager")
    before = [each.detach().clone() for each in trainer.network.parameters()]
    assert np.isfinite(trainer.steps(3))  # two batches and the first of the next epoch
    after = trainer.network.parameters()
    assert any((old != new).any() for old, new in zip(before, after, strict=True))


IMAGES = np.random.default_rng(1).random((5, 8, 6, 3)).astype(np.float32)
FACTORS = np.array([[0.0], [0.4], [1.0], [1.3], [1.9]], np.float32)
BOXES = np.array([(0, 0, 8, 6), (2, 1, 3, 4), (7, 5, 1, 1), (0, 3, 8, 2), (5, 0, 3, 6)])
MOVES = np.array(
    [(0, 0, 0, 1), (30, 1.5, -0.7, 0.9), (-90, 0, 0, 1.2), (180, 2, 2, 0.5), (7, -3, 1, 2)], np.float32
)


@pytest.mark.parametrize(
    ("operation", "draws"),
    [
        ("resized_crop", BOXES),
        ("warp", MOVES),
        ("adjust_brightness", FACTORS),
        ("adjust_contrast", FACTORS),
        ("adjust_saturation", FACTORS),
        ("adjust_hue", FACTORS - 1),
        ("luminance", FACTORS[:, :0]),
    ],
)
def test_peer_augments_equally_with_our_draws(operation, draws):
    module = colour if hasattr(colour, operation) else spatial
    mine = jax.vmap(getattr(module, operation))(jnp.asarray(IMAGES), *draws.T)
    shape = {"adjust_hue": (5, 1, 1)}.get(operation, (5, 1, 1, 1) if operation.startswith("adjust") else (5,))
    knobs = [torch.tensor(knob).reshape(shape) for knob in draws.T]
    theirs = getattr(transforms, operation)(torch.tensor(IMAGES).permute(0, 3, 1, 2), *knobs)
    assert_allclose(theirs.permute(0, 2, 3, 1).numpy(), mine, atol=3e-5)


@pytest.mark.parametrize(
    ("operation", "knobs"),
    [
        ("crop", {"min_area": 0.2, "max_area": 0.9}),
        ("affine", {"degrees": 40.0, "shift": 0.2, "min_scale": 0.6, "max_scale": 1.2}),
        ("flip", {"p": 0.3}),
        ("jitter", {"p": 0.8, "brightness": 0.6, "contrast": 0.5, "saturation": 0.4, "hue": 0.1}),
        ("greyscale", {"p": 0.3}),
        ("erase", {"p": 0.7, "min_area": 0.1, "max_area": 0.4}),
        ("noise", {"deviation": 0.3}),
        ("translate", {"pixels": 2}),
        ("elastic", {"displacement": 1.5, "smoothness": 2.0}),
    ],
)
def test_all_three_draw_from_the_same_distributions(operation, knobs):
    image = np.random.default_rng(2).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    many = np.repeat(image[None] / np.float32(255), 4000, axis=0)
    keys = jax.random.split(jax.random.key(0), len(many))
    mine = jax.vmap(augment.compose({operation: knobs}, what="augmentation"))(keys, jnp.asarray(many))
    theirs = transforms.compose({operation: knobs})(torch.tensor(many).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    picture = Image.fromarray(image)
    loaded = torch.stack([seeds_way.augment(picture, {operation: knobs}) for _ in range(1500)]).permute(0, 2, 3, 1)
    # PIL repeats the edge of a moved image for half a pixel where we blend it with 0; its pixels are whole numbers.
    for others, tolerance in ((theirs, 0.035), (loaded, 0.06)):
        assert_allclose(others.mean(dim=0), mine.mean(axis=0), atol=tolerance)
        assert_allclose(others.std(dim=0), mine.std(axis=0), atol=tolerance)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_draws_differ_between_the_images_of_a_batch(name):
    config = narrow(name)
    images = torch.rand(1, *(SHAPES[config.data.name][axis] for axis in (2, 0, 1))).repeat(64, 1, 1, 1)
    seen, target = peer.Views(config.objective)(images)
    assert len(seen) == len(target) == (128 if "simclr" in name else 64)
    assert 0 <= seen.min() <= seen.max() <= 1
    chance = config.objective.augmentation or config.objective.get("corruption")
    assert (len(seen.unique(dim=0)) > 1) == bool(chance)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_dataloader_gives_images_of_the_right_shape(name):
    config = narrow(name)
    split = noise(config, 2).train
    height, width, channels = split.images.shape[1:]
    seen, target, label = seeds_way.Pictures(config.objective, *split)[1]
    assert target.shape == (channels, height, width)
    assert seen.shape == ((2, *target.shape) if "simclr" in name else target.shape)
    assert label == 1
    assert 0 <= seen.min() < seen.max() <= 1


def test_without_augmentation_the_dataloader_gives_the_image():
    config = without_chance(narrow("autoencoder_cifar"))
    split = noise(config, 2).train
    seen, target, _ = seeds_way.Pictures(config.objective, *split)[0]
    assert_allclose(target, split.images[0].transpose(2, 0, 1) / 255, atol=1e-6)
    assert_allclose(seen, target, atol=1e-6)


def test_the_dataloaders_workers_feed_the_network(monkeypatch):
    monkeypatch.setattr(seeds_way, "WORKERS", 1)
    config = narrow("simclr_mnist")
    trainer = seeds_way.Trainer(config, noise(config, 40), CPU)
    with trainer.running():
        assert np.isfinite(trainer.steps(3))


def test_contestants_are_timed_in_turns():
    config = narrow("autoencoder_mnist")
    dataset = noise(config, 40)
    contestants = {
        "ours": ours.Trainer(config, dataset),
        "peer": peer.Trainer(config, dataset, CPU, mode="eager"),
    }
    result = race(contestants, config, seconds=0.01, repeats=2)
    assert all(len(each["repeats_step_ms"]) == 2 for each in result["contestants"].values())
    for ratio in ("ours_is_faster_by", "ours_is_faster_by_cpu"):
        assert result["contestants"]["ours"][ratio] == 1
        assert result["contestants"]["peer"][ratio] > 0
    # Forward and backward of the matmuls, two operations a multiplication and addition.
    assert result["flops_per_step"] > 16 * 3 * 2 * 0.9 * result["parameters"]
    line = table.line({"experiment": "autoencoder_mnist", "share_of_peak": 0.5} | result)
    assert f"{result['parameters']:,}" in line
    assert len(line) == len(table.head().splitlines()[0])

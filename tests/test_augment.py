"""Augmentation against NumPy loops from torchvision's definitions, colorsys, Pillow and SciPy."""

import colorsys
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image as Pillow
from scipy import ndimage

from jaxembed import augment
from jaxembed.augment import colour, occlusion, spatial
from jaxembed.core.errors import InputError

KEY = jax.random.key(0)
# Every operation, always on, at values where it changes something.
OPTIONS = dict(
    crop=dict(min_area=0.2, max_area=0.6),
    affine=dict(degrees=30, shift=0.2, min_scale=0.8, max_scale=1.2),
    flip=dict(p=1),
    jitter=dict(p=1, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    greyscale=dict(p=1),
    erase=dict(p=1, min_area=0.1, max_area=0.3),
    noise=dict(deviation=0.1),
    mask=dict(fraction=0.5, patch=2),
    translate=dict(pixels=2),
    elastic=dict(displacement=2.0, smoothness=1.5),
    solarise=dict(p=1, threshold=0.5),
)
CHANCES = dict(
    flip=dict(p=0),
    jitter=dict(p=0, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    greyscale=dict(p=0),
    erase=dict(p=0, min_area=0.1, max_area=0.3),
    mask=dict(fraction=0, patch=2),
    solarise=dict(p=0, threshold=0.5),
)
STILL = dict(
    crop=dict(min_area=1, max_area=1),
    affine=dict(degrees=0, shift=0, min_scale=1, max_scale=1),
    jitter=dict(p=1, brightness=0, contrast=0, saturation=0, hue=0),
    noise=dict(deviation=0),
    translate=dict(pixels=0),
    elastic=dict(displacement=0, smoothness=2),
)


def picture(height=5, width=7, channels=3, seed=0):
    """Random, so without any symmetry, on eight levels, so with ties between channels."""
    levels = np.random.default_rng(seed).integers(0, 8, (height, width, channels)) / 7
    return levels.astype(np.float32)


# Compiling takes most of these tests' time; unoptimised it takes a third.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
brightness, contrast, saturation, hue = map(
    compiled, (colour.adjust_brightness, colour.adjust_contrast, colour.adjust_saturation, colour.adjust_hue)
)
resized_crop, warp = compiled(spatial.resized_crop), compiled(spatial.warp)


def once(operation, image, **options):
    return np.asarray(compiled(functools.partial(operation, **options))(KEY, image))


def several(augmentation, count):
    many = compiled(lambda key, image: jax.vmap(augmentation, (0, None))(jax.random.split(key, count), image))
    return lambda image: np.asarray(many(KEY, np.asarray(image, np.float32)))


def batch(augmentation, image, count=256):
    return several(augmentation, count)(image)


@functools.cache
def always(name):
    """256 times an image under one operation; cached because compiling takes a second."""
    return several(only(name), 256)


def only(name, options=OPTIONS):
    return compose({name: options[name]})


def compose(section):
    return augment.compose(section, what="config.augment")


def grey(image):
    return image @ np.array([0.2989, 0.587, 0.114])


def blend(image, other, factor):
    """torchvision's _blend."""
    return np.clip(factor * image + (1 - factor) * other, 0, 1)


def bilinear(image, top, left, height, width):
    """Crop, then resize to the image's own shape: half-pixel centres, neighbours outside are the edge."""
    box = np.asarray(image, np.float64)[top : top + height, left : left + width]
    resized = np.zeros(image.shape)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            y = (i + 0.5) * height / image.shape[0] - 0.5
            x = (j + 0.5) * width / image.shape[1] - 0.5
            for row, row_weight in ((math.floor(y), 1 - y % 1), (math.floor(y) + 1, y % 1)):
                for column, column_weight in ((math.floor(x), 1 - x % 1), (math.floor(x) + 1, x % 1)):
                    pixel = box[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                    resized[i, j] += row_weight * column_weight * pixel
    return resized


def crop_box(random, height, width, area, ratio=(3 / 4, 4 / 3)):
    """torchvision's RandomResizedCrop.get_params."""
    for _ in range(10):
        target = height * width * random.uniform(*area)
        aspect = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return random.integers(0, height - h + 1), random.integers(0, width - w + 1), h, w
    if width / height < ratio[0]:
        w, h = width, round(width / ratio[0])
    elif width / height > ratio[1]:
        w, h = round(height * ratio[1]), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


def erase_box(random, height, width, area, ratio=(0.3, 3.3)):
    """torchvision's RandomErasing.get_params."""
    for _ in range(10):
        target = height * width * random.uniform(*area)
        aspect = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
        h, w = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if h < height and w < width:
            return random.integers(0, height - h + 1), random.integers(0, width - w + 1), h, w
    return 0, 0, 0, 0


def assert_same_means(ours, theirs):
    """Equal means of each column, and of its square, within 3 standard errors of their difference."""
    for power in (1, 2):
        first, second = np.asarray(ours, float) ** power, np.asarray(theirs, float) ** power
        error = np.sqrt(first.var(0) / len(first) + second.var(0) / len(second))
        assert np.all(np.abs(first.mean(0) - second.mean(0)) <= 3 * error)


@pytest.mark.parametrize("box", [(0, 0, 5, 7), (1, 2, 3, 4), (4, 6, 1, 1), (0, 3, 5, 2)])
def test_resized_crop_is_bilinear_by_definition_and_by_pillow(box):
    image, (top, left, height, width) = picture(), box
    resized = np.asarray(resized_crop(image, *box))
    np.testing.assert_allclose(resized, bilinear(image, *box), atol=1e-6)
    for channel in range(3):
        part = Pillow.fromarray(image[..., channel]).crop((left, top, left + width, top + height))
        pillow = np.asarray(part.resize((7, 5), Pillow.Resampling.BILINEAR))
        np.testing.assert_allclose(resized[..., channel], pillow, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "area"),
    [((24, 31), (0.2, 1.0)), ((9, 30), (0.3, 0.5))],
    ids=["nearly square", "wide"],
)
def test_crop_draws_torchvisions_boxes(shape, area):
    # On a ramp the smallest and greatest value of a resized box are its first and last pixel.
    ramps = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1) / 100
    crops = batch(lambda key, image: spatial.crop(key, image, min_area=area[0], max_area=area[1]), ramps, 5000)
    first, last = (np.rint(100 * pixel) for pixel in (crops.min((1, 2)), crops.max((1, 2))))
    random = np.random.default_rng(0)
    boxes = [crop_box(random, *shape, area) for _ in range(5000)]
    assert_same_means(np.concatenate([first, last - first + 1], axis=1), boxes)


@pytest.mark.parametrize("shape", [(9, 31), (30, 9)])
def test_crop_falls_back_to_the_centre(shape):
    # A box of the whole area fits none of these.
    central = crop_box(np.random.default_rng(0), *shape, (1, 1))
    image = picture(*shape)
    cropped = once(spatial.crop, image, min_area=1.0, max_area=1.0)
    np.testing.assert_allclose(cropped, bilinear(image, *central), atol=1e-5)


@pytest.mark.parametrize("degrees", [0.0, 90.0, -33.0])
def test_warp_is_scipys_affine_transform(degrees):
    image, down, right, scale = picture(), 0.7, -1.3, 1.2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # Clockwise where y points down: the point at (0, 1), on the right, goes to (1, 0), below.
    forward = scale * np.array([[cosine, sine], [-sine, cosine]])
    inverse, centre = np.linalg.inv(forward), np.array([2, 3])
    offset = centre - inverse @ (centre + np.array([down, right]))
    warped = np.asarray(warp(image, degrees, down, right, scale))
    for channel in range(3):
        scipys = ndimage.affine_transform(image[..., channel], inverse, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(warped[..., channel], scipys, atol=1e-5)


def test_affine_draws_each_number_from_its_range(monkeypatch):
    monkeypatch.setattr(spatial, "warp", lambda image, *numbers: image.at[:4, 0, 0].set(jnp.stack(numbers)))
    draws = batch(
        only("affine", dict(affine=dict(degrees=30, shift=0.25, min_scale=0.5, max_scale=2))),
        np.zeros((8, 20, 1)),
        5000,
    )[:, :4, 0, 0]
    ends = np.array([[-30, -2, -5, 0.5], [30, 2, 5, 2]])
    assert_same_means(draws, np.random.default_rng(0).uniform(*ends, (5000, 4)))
    np.testing.assert_allclose(np.quantile(draws, [0, 1], axis=0), ends, atol=0.05)
    assert np.max(np.abs(np.corrcoef(draws.T) - np.eye(4))) < 0.05


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.8])
def test_brightness_contrast_and_saturation_are_torchvisions_blends(factor):
    image = picture()
    np.testing.assert_allclose(brightness(image, factor), blend(image, 0, factor), atol=1e-6)
    np.testing.assert_allclose(contrast(image, factor), blend(image, grey(image).mean(), factor), atol=1e-6)
    np.testing.assert_allclose(saturation(image, factor), blend(image, grey(image)[..., None], factor), atol=1e-6)


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.23, 0.5])
def test_hue_is_colorsys(shift):
    image = picture(20, 30)
    expected = np.empty(image.shape)
    for pixel in np.ndindex(image.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*image[pixel].tolist())
        expected[pixel] = colorsys.hsv_to_rgb((h + shift) % 1, s, v)
    np.testing.assert_allclose(hue(image, shift), expected, atol=1e-5)


def test_jitter_draws_each_factor_from_its_range_in_a_fixed_order(monkeypatch):
    called = []

    def record(name, image, number):
        called.append(name)
        return image.at[len(called) - 1].set(number)

    names = ["adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue"]
    for name in names:
        monkeypatch.setattr(colour, name, functools.partial(record, name))
    draws = batch(
        only("jitter", dict(jitter=dict(p=1, brightness=0.4, contrast=1.5, saturation=0, hue=0.1))),
        np.zeros((4, 1, 1)),
        5000,
    )[..., 0, 0]
    assert called == names
    ends = np.array([[0.6, 0, 1, -0.1], [1.4, 2.5, 1, 0.1]])
    assert_same_means(draws[:, [0, 1, 3]], np.random.default_rng(0).uniform(*ends[:, [0, 1, 3]], (5000, 3)))
    np.testing.assert_allclose(np.quantile(draws, [0, 1], axis=0), ends, atol=0.01)
    assert np.max(np.abs(np.corrcoef(draws[:, [0, 1, 3]].T) - np.eye(3))) < 0.05


def test_one_channel_has_brightness_and_contrast_but_no_colour():
    image = picture(channels=1)
    np.testing.assert_allclose(brightness(image, 0.5), image / 2, atol=1e-6)
    np.testing.assert_allclose(contrast(image, 0.5), (image + image.mean()) / 2, atol=1e-6)
    np.testing.assert_array_equal(saturation(image, 0.5), image)
    np.testing.assert_array_equal(hue(image, 0.3), image)
    np.testing.assert_array_equal(once(colour.greyscale, image, p=1.0), image)


@pytest.mark.parametrize("name", ["jitter", "greyscale"])
def test_colour_needs_one_or_three_channels(name):
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        once(only(name), picture(channels=2))


def test_flip_mirrors_left_and_right_and_twice_is_the_image():
    image = picture()
    flipped = once(spatial.flip, image, p=1.0)
    np.testing.assert_array_equal(flipped, np.fliplr(image))
    np.testing.assert_array_equal(once(spatial.flip, flipped, p=1.0), image)


def test_greyscale_repeats_the_grey():
    image = picture()
    expected = np.stack([grey(image)] * 3, axis=-1)
    np.testing.assert_allclose(once(colour.greyscale, image, p=1.0), expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 3 / 7, 0.5, 1.0])
def test_solarise_inverts_from_the_threshold_on_as_torchvision_does(threshold):
    image = picture()
    expected = np.where(image >= np.float32(threshold), 1 - image, image)
    np.testing.assert_array_equal(
        once(colour.solarise, image, p=1.0, threshold=float(np.float32(threshold))), expected
    )


@pytest.mark.parametrize(
    ("shape", "area"), [((24, 31), (0.02, 0.33)), ((6, 20), (0.3, 0.9))], ids=["usual", "tight"]
)
def test_erase_draws_torchvisions_boxes(shape, area):
    erased = batch(
        lambda key, image: occlusion.erase(key, image, p=1.0, min_area=area[0], max_area=area[1]),
        np.ones((*shape, 2)),
        20000,
    )
    assert np.array_equal(erased[..., 0], erased[..., 1])
    black = erased[..., 0] == 0
    rows, columns = black.any(2), black.any(1)
    assert np.array_equal(black, rows[:, :, None] & columns[:, None, :])
    random = np.random.default_rng(0)
    boxes = np.array([erase_box(random, *shape, area) for _ in range(20000)])
    ours = np.stack([rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)], axis=1)
    assert_same_means(ours, boxes)


def test_erase_does_nothing_where_no_box_fits():
    image = picture()
    np.testing.assert_array_equal(once(occlusion.erase, image, p=1.0, min_area=1.0, max_area=1.0), image)


def test_noise_has_its_deviation_and_stays_in_range():
    added = batch(only("noise"), np.full((8, 9, 3), 0.5)) - 0.5
    assert abs(added.std() - 0.1) < 1e-3
    assert abs(added.mean()) < 1e-3
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.03


def test_mask_blacks_out_whole_patches_at_its_fraction():
    masked = batch(lambda key, image: occlusion.mask(key, image, fraction=0.3, patch=2), np.ones((5, 7, 3)), 2000)
    corners = masked[:, ::2, ::2, :1]
    np.testing.assert_array_equal(masked, corners.repeat(2, 1).repeat(2, 2).repeat(3, 3)[:, :5, :7])
    share = 1 - corners.reshape(2000, 12)
    assert np.all(np.abs(share.mean(0) - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000))
    assert np.max(np.abs(np.corrcoef(share.T) - np.eye(12))) < 0.1


@pytest.mark.parametrize("name", OPTIONS)
def test_every_operation_keeps_shape_type_and_range(name):
    images = always(name)(picture(12, 14))
    assert images.shape == (256, 12, 14, 3)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize("name", OPTIONS)
def test_rounding_makes_nothing_whiter_than_white(name):
    assert always(name)(np.ones((12, 14, 3))).max() <= 1


def test_all_operations_together_keep_another_shape_and_type():
    image = picture(channels=1).astype(jnp.bfloat16)
    augmented = jax.jit(compose(OPTIONS))(KEY, image)
    assert augmented.shape == image.shape
    assert augmented.dtype == image.dtype


def test_translate_shifts_by_every_whole_step_alike_and_mirrors_the_edges():
    image = picture()
    moved = batch(lambda key, image: spatial.translate(key, image, pixels=2), image, 2000)
    mirrored = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    steps = [mirrored[down : down + 5, right : right + 7] for down in range(5) for right in range(5)]
    found = np.array([[np.array_equal(one, step) for step in steps] for one in moved])
    assert np.all(found.sum(1) == 1)
    assert np.all(np.abs(found.mean(0) - 1 / 25) < 4 * math.sqrt(1 / 25 * 24 / 25 / 2000))


def test_elastic_displaces_by_a_smooth_field_of_the_stated_deviation():
    # Of images that are their own coordinates, the values are where each pixel came from.
    size, displacement, smoothness = 40, 1.5, 3.0
    down, right = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    places = np.stack([down, right], axis=-1) / size
    came = batch(lambda key, image: spatial.elastic(key, image, displacement=1.5, smoothness=3.0), places, 500)
    # Away from the edges, where 0 comes in and the filter is cut off.
    field = size * (came - places)[:, 12:-12, 12:-12]
    np.testing.assert_allclose(field.std(axis=0), displacement, rtol=0.15)
    np.testing.assert_allclose(field.mean(axis=0), 0, atol=5 * displacement / math.sqrt(500))
    # White noise behind a Gaussian of deviation s is correlated by exp(-d² / 4s²) at a distance d.
    for distance in (1, 3, 6):
        correlation = np.mean(field[:, distance:] * field[:, :-distance]) / displacement**2
        assert abs(correlation - math.exp(-(distance**2) / (4 * smoothness**2))) < 0.05
    assert abs(np.mean(field[..., 0] * field[..., 1])) < 0.05 * displacement**2


def test_elastic_takes_the_pixels_that_scipy_takes():
    image = picture(12, 14)
    moved = once(spatial.elastic, image, displacement=2.0, smoothness=1.5)
    source = np.meshgrid(np.arange(12), np.arange(14), indexing="ij") - field(KEY, 12, 14, 2.0, 1.5)
    for channel in range(3):
        expected = ndimage.map_coordinates(image[..., channel], source, order=1, mode="grid-constant")
        np.testing.assert_allclose(moved[..., channel], expected, atol=1e-5)


def field(key, height, width, displacement, smoothness):
    """The field whose covariance the next test checks."""
    rows, columns = (spatial._gaussian(size, smoothness).astype(np.float64) for size in (height, width))
    noise = np.asarray(jax.random.normal(key, (2, rows.shape[1], columns.shape[1])))
    return displacement * rows @ noise @ columns.T


@pytest.mark.parametrize(("size", "smoothness"), [(28, 5.5), (28, 0.5), (13, 3.0), (8, 50.0), (1, 2.0)])
def test_a_gaussian_has_the_covariance_of_scipys_filter(size, smoothness):
    weights = ndimage.gaussian_filter1d(np.eye(size), smoothness, axis=1, mode="constant", truncate=60)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    ours = spatial._gaussian(size, smoothness).astype(np.float64)
    np.testing.assert_allclose(ours @ ours.T, weights @ weights.T, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "translate"])
def test_amount_and_probability_1_change_every_image(name):
    assert np.all(np.any(always(name)(picture(12, 14)) != picture(12, 14), axis=(1, 2, 3)))


@pytest.mark.parametrize(
    "name", [name for name in OPTIONS if name not in ("flip", "greyscale", "translate", "solarise")]
)
def test_every_key_gives_another_image(name):
    distinct = np.unique(always(name)(picture(12, 14)).reshape(256, -1), axis=0)
    assert len(distinct) > 200


def test_one_key_gives_one_image():
    augmentation = compiled(only("noise"))
    np.testing.assert_array_equal(augmentation(KEY, picture()), augmentation(KEY, picture()))


def test_probability_0_is_the_identity():
    image = picture()
    still = batch(compose(CHANCES), image)
    np.testing.assert_array_equal(still, np.stack([image] * 256))


@pytest.mark.parametrize("name", ["flip", "jitter", "greyscale", "erase"])
def test_probability_is_the_share_of_changed_images(name):
    sometimes = OPTIONS | dict(
        flip=dict(p=0.3),
        jitter=dict(p=0.3, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        greyscale=dict(p=0.3),
        erase=dict(p=0.3, min_area=0.1, max_area=0.3),
    )
    image = picture(12, 14)
    changed = np.any(batch(only(name, sometimes), image, 2000) != image, axis=(1, 2, 3))
    assert abs(changed.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)


def test_amount_0_is_the_identity():
    # Only in a square is a box of the whole area always the whole image.
    image = picture(6, 6)
    still = batch(compose(STILL), image)
    np.testing.assert_allclose(still, np.stack([image] * 256), atol=1e-6)


def test_no_operation_is_the_identity():
    image = picture()
    np.testing.assert_array_equal(once(compose({}), image), image)


def test_operations_run_in_one_order_whatever_the_configs():
    assert list(augment.OPERATIONS) == list(OPTIONS)
    # Noise after the mask would show, and so would noise before the grey.
    options = dict(mask=dict(fraction=0.5, patch=2), noise=dict(deviation=0.1), greyscale=dict(p=1))
    expected, *others = [
        once(compose(section), picture())
        for section in (options, dict(reversed(options.items())), ConfigDict(options))
    ]
    for other in others:
        np.testing.assert_array_equal(other, expected)
    assert np.mean(expected == 0) > 0.3
    assert not np.array_equal(expected[..., 0], expected[..., 1])


@pytest.mark.parametrize("added", ["affine", "mask"])
def test_adding_an_operation_leaves_what_the_others_draw(added):
    still = dict(affine=dict(degrees=0, shift=0, min_scale=1, max_scale=1), mask=dict(fraction=0, patch=2))
    options = dict(crop=OPTIONS["crop"], noise=OPTIONS["noise"])
    without = once(compose(options), picture())
    with_it = once(compose(options | {added: still[added]}), picture())
    np.testing.assert_allclose(with_it, without, atol=1e-6)


def test_operations_draw_independently_of_each_other():
    # With one key for both they would come together.
    image = picture(12, 14)
    options = dict(flip=dict(p=0.5), greyscale=dict(p=0.5))
    images = batch(compose(options), image, 1000)
    greyed = np.all(images[..., :1] == images, axis=(1, 2, 3))
    sides = images.mean(-1)
    flipped = np.abs(sides - image.mean(-1)[:, ::-1]).sum((1, 2)) < np.abs(sides - image.mean(-1)).sum((1, 2))
    assert abs(np.corrcoef(greyed, flipped)[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(flop=dict(p=1)),
            "an operation of config.augment must be one of crop, affine, .* got 'flop' .* 'flip'",
        ),
        (dict(flip=0.5), "flip must be a section with p; got 0.5"),
        (dict(flip=(0.5, 0.5)), r"flip must be a section with p; got \(0.5, 0.5\)"),
        (dict(flip=dict()), "flip lacks p; got nothing"),
        (dict(flip=dict(q=0.5)), "flip has no option 'q'; it takes: p"),
        (dict(flip=dict(p=math.nan)), "flip.p must be a finite number, got nan"),
        (dict(flip=dict(p=True)), "flip.p must be a finite number, got True"),
        (dict(flip=dict(p="0.5")), "flip.p must be a finite number, got '0.5'"),
        (dict(flip=dict(p=1.1)), r"flip.p must be in \[0, 1\], got 1.1"),
        (dict(flip=dict(p=-0.1)), r"flip.p must be in \[0, 1\], got -0.1"),
        (dict(crop=dict(min_area=0, max_area=1)), r"crop.min_area must be in \(0, 1\], got 0"),
        (dict(crop=dict(min_area=0.5, max_area=1.5)), r"crop.max_area must be in \(0, 1\], got 1.5"),
        (dict(crop=dict(min_area=0.8, max_area=0.2)), "crop.min_area must be at most max_area, got 0.8 and 0.2"),
        (dict(erase=dict(p=0.5, min_area=0.4, max_area=0.3)), "erase.min_area must be at most max_area"),
        (
            OPTIONS | dict(affine=OPTIONS["affine"] | dict(degrees=-5)),
            r"affine.degrees must be in \[0, 180\], got -5",
        ),
        (OPTIONS | dict(affine=OPTIONS["affine"] | dict(shift=2)), r"affine.shift must be in \[0, 1\], got 2"),
        (OPTIONS | dict(affine=OPTIONS["affine"] | dict(min_scale=0)), "affine.min_scale must be > 0, got 0"),
        (
            OPTIONS | dict(affine=OPTIONS["affine"] | dict(min_scale=2)),
            "affine.min_scale must be at most max_scale",
        ),
        (
            OPTIONS | dict(jitter=OPTIONS["jitter"] | dict(brightness=-0.4)),
            "jitter.brightness must be >= 0, got -0.4",
        ),
        (
            OPTIONS | dict(jitter=OPTIONS["jitter"] | dict(contrast=math.inf)),
            "jitter.contrast must be a finite number",
        ),
        (OPTIONS | dict(jitter=OPTIONS["jitter"] | dict(hue=0.6)), r"jitter.hue must be in \[0, 0.5\], got 0.6"),
        (dict(noise=dict(deviation=-0.1)), "noise.deviation must be >= 0, got -0.1"),
        (dict(mask=dict(fraction=0.5, patch=0)), "mask.patch must be > 0, got 0"),
        (dict(mask=dict(fraction=0.5, patch=2.5)), "mask.patch must be a whole number, got 2.5"),
        (dict(translate=dict(pixels=1.5)), "translate.pixels must be a whole number, got 1.5"),
        (dict(translate=dict(pixels=5)), "config.augment.translate.pixels must be less than the image's 5, got 5"),
        (dict(elastic=dict(displacement=1.0, smoothness=0)), "elastic.smoothness must be > 0, got 0"),
    ],
)
def test_unusable_input_is_reported_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        once(compose(options), picture())
    assert "\n" not in str(caught.value)

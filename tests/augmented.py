"""Images to augment, what becomes of them, and what they draw at random for it."""

import numpy as np

import striate as st
from striate import _core
from striate.engine.lowering import augmentation_rule
from striate.images.inputs import InputRule, prepare

RNG = np.random.default_rng(11)
# Smooth enough for interpolation to say something, rough enough to tell pixels apart.
GREY = RNG.integers(0, 256, (20, 12, 9, 1), dtype=np.uint8)
COLOUR = RNG.integers(60, 200, (20, 12, 9, 3), dtype=np.uint8)
LABELS = np.arange(20) % 4


def known(images, margin=0, polarity="dark"):
    height, width, channels = images.shape[1:]
    measured = st.Preprocessing.measure(
        images, (height + margin, width + margin, channels)
    )
    settings = measured.to_config() | {"polarity": polarity}
    return st.Preprocessing.from_config(settings)


def seen(images, augmentation, seed=0, epoch=1, indices=None, margin=0, **options):
    rule = known(images, margin, **options)
    return st.augmented_images(
        images, rule, augmentation, seed=seed, epoch=epoch, indices=indices
    )


def values(images, augmentation, seed=0, epoch=1, margin=0):
    """What the network is given, unrounded."""
    rule = known(images, margin)
    source = prepare(images, InputRule(rule.input_shape, rule, floats=False)).source
    settled = augmentation_rule(augmentation.settled(rule))
    return _core.augmented(source, settled, seed, epoch, np.arange(len(images)))


def words(image, slot, seed=0, epoch=1):
    """The four numbers in 0 ... 1 that an image draws at a slot, and their bits."""
    position = 2 * (image << 24 | slot)
    pairs = _core.random_bits(seed, 2**63 | epoch, position, 2).tolist()
    bits = [word for pair in pairs for word in (pair >> 32, pair & 0xFFFFFFFF)]
    return [(word + 0.5) / 2**32 for word in bits], bits


def turned(image, slot, number):
    """The same as one number in -1 ... 1."""
    return 2 * words(image, slot)[0][number] - 1


def framed(images, margin):
    """Images centred on their background, as the network gets them."""
    rule = known(images, margin)
    top, left = rule.offset
    around = ((0, 0), (top, margin - top), (left, margin - left), (0, 0))
    return np.pad(images, around, constant_values=rule.background)

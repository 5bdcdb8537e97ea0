"""Activations in batches: the same numbers, and memory that batches alone decide."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import striate as st

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (41, 8, 8, 2), np.uint8)
FLOATS = RNG.normal(size=PIXELS.shape).astype(np.float32)


def network(seed: int = 1) -> st.Network:
    layers = [st.Conv2D(3, 3), st.ReLU(), st.MaxPool2D(2), st.Flatten(), st.Dense(4)]
    return st.Network(layers, (8, 8, 2), seed=seed)


@pytest.mark.parametrize("count", [1, 5, 8, 9, 16, 17, 41])
@pytest.mark.parametrize("batch_size", [None, 1, 3, 8, 9, 16, 40, 41, 99])
def test_batches_give_the_bits_of_all_images_at_once(
    count: int, batch_size: int | None
) -> None:
    net = network()
    for images in (PIXELS[:count], FLOATS[:count]):
        whole = net.activations(images)
        end = 0
        for places, batch in net.activation_batches(images, batch_size=batch_size):
            assert (places.start, places.step) == (end, None)
            end = places.stop
            assert list(batch) == list(whole)
            for name, values in batch.items():
                np.testing.assert_array_equal(values, whole[name][places])
                assert values.base is None or values.base.size == values.size
            assert batch_size is None or len(values) <= batch_size
        assert end == count


def test_some_layers_of_what_is_turned_or_prepared() -> None:
    net = network()
    net.fit(PIXELS, np.arange(len(PIXELS)) % 4, epochs=1)
    whole = net.activations(PIXELS, "relu1", invert=True)
    for places, batch in net.activation_batches(PIXELS, 1, batch_size=7, invert=True):
        np.testing.assert_array_equal(batch["relu1"], whole[places])
    both = next(net.activation_batches(FLOATS, ["pool1", -1], preprocessed=True))[1]
    assert list(both) == ["pool1", "dense1"]


def test_all_arguments_are_checked_before_the_first_batch() -> None:
    """At the call: nothing is iterated over here."""
    net = network()
    with pytest.raises(st.UsageError, match="the layers are conv1, relu1, pool1"):
        net.activation_batches(PIXELS, "conv2")
    with pytest.raises(st.UsageError, match="activation_batches needs a layer at le"):
        net.activation_batches(PIXELS, [])
    with pytest.raises(st.ShapeError, match="images must be N,H,W,C"):
        net.activation_batches(PIXELS[..., :1])
    with pytest.raises(st.DataError, match="hold nothing"):
        net.activation_batches(PIXELS[:0])
    with pytest.raises(st.UsageError, match=r"leave out\s+preprocessed=True"):
        net.activation_batches(PIXELS, preprocessed=True)
    with pytest.raises(st.UsageError, match="invert=True turns uint8 pixels"):
        net.activation_batches(FLOATS, invert=True)
    for wrong, error in ((0, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="batch_size must be a whole number of at l"):
            net.activation_batches(PIXELS, batch_size=wrong)
    with pytest.raises(ValueError, match="threads must be from 1"):
        net.activation_batches(PIXELS, threads=0)


def test_a_value_that_is_no_number_is_named_by_its_place_in_all_images() -> None:
    images = FLOATS.copy()
    images[20, 1, 2, 0] = np.nan
    batches = network().activation_batches(images, batch_size=16)
    assert next(batches)[0] == slice(0, 16)
    with pytest.raises(st.DataError, match=r"images\[20, 1, 2, 0\] is nan"):
        next(batches)


PROGRAM = """
import resource, sys
import numpy as np
import striate as st

images = np.lib.format.open_memmap(sys.argv[1], mode="r")
net = st.Network([st.AvgPool2D(8), st.Conv2D(8, 1)], images.shape[1:])
used = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status")
            if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + 2**27, used + 2**27))
try:
    net.activations(images, threads=1)
except MemoryError:
    pass
else:
    raise SystemExit("the limit does not limit")
seen = 0
for places, batch in net.activation_batches(images, threads=1):
    seen += len(batch["conv1"])
assert seen == len(images), seen
"""


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_set_larger_than_memory_goes_through(tmp_path: Path, dtype: type) -> None:
    """256 MB on disk (holes, which take no room) within 128 MB of memory."""
    path = tmp_path / "images.npy"
    count = 2**28 // np.dtype(dtype).itemsize // 256**2
    np.lib.format.open_memmap(path, "w+", dtype, (count, 256, 256, 1)).flush()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

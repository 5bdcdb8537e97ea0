"""IDX files, folders of them, and the search for named data sets."""

import contextlib
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from striate.data import Dataset, cache_folder, data_hash, load_data, read_idx
from striate.data.idx_folder import FILES
from striate.data.named import FASHION_MNIST, MNIST, search_folders
from striate.errors import DataError

CODES = {"u1": 8, "i1": 9, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    header = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim])
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_set(folder, *, suffix="", dot=False, labels=(5, 0, 4), test_labels=(7, 2)):
    """Four small IDX files; the images are filled with their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for values in (labels, test_labels):
        values = np.array(values, np.uint8)
        parts += [np.repeat(values, 12).reshape(-1, 4, 3), values]
    for name, array in zip(FILES, parts, strict=True):
        content = idx_bytes(array)
        path = folder / ((name.replace("-idx", ".idx") if dot else name) + suffix)
        path.write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.fixture(autouse=True)
def no_real_places(monkeypatch, tmp_path):
    """Nothing is found by chance, and nothing is downloaded."""
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("striate.data.download.download", refuse_to_download)


def refuse_to_download(folder, files, mirrors, **_):
    raise DataError("the network is down")


# --- one file


@given(
    npst.arrays(
        st.sampled_from([np.dtype(code) for code in CODES]),
        npst.array_shapes(min_dims=1, max_dims=4, max_side=5),
    ),
    st.booleans(),
)
def test_idx_files_are_read_back_whatever_they_hold(tmp_path_factory, array, packed):
    path = tmp_path_factory.mktemp("idx") / "file"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
PACKED = gzip.compress(GOOD, mtime=0)
DAMAGED = {
    "empty": (b"", "is empty"),
    "one byte": (b"\0", "not an IDX file"),
    "three bytes": (GOOD[:3], "ends within its header"),
    "half a header": (GOOD[:9], "ends within its header"),
    "truncated": (GOOD[:-1], "2 x 3 x 4 elements, 24 bytes, but"),
    "trailing bytes": (GOOD + b"\0", "goes on after the 2 x 3 x 4 elements"),
    "a web page": (b"<!DOCTYPE html>", r"two zero bytes but begins with b'<!DO'"),
    "unknown type": (b"\0\0\x07" + GOOD[3:], "unknown element type 0x07"),
    "no dimensions": (b"\0\0\x08\0", "claims 0 dimensions"),
    "many dimensions": (b"\0\0\x08\xff" + GOOD[4:], "claims 255 dimensions"),
    "nothing in it": (b"\0\0\x08\x02" + b"\0" * 4 + b"\xff" * 4, "holds no elements"),
    "absurd sizes": (b"\0\0\x0e\x08" + b"\xff" * 32, "cannot hold more than 36"),
    "gzip cut": (PACKED[:-9], "damaged gzip file"),
    "gzip flipped": (PACKED[:10] + b"\xff" + PACKED[11:], "damaged gzip file"),
    "gzip with a wrong sum": (PACKED[:-8] + b"\0" * 8, "damaged gzip file"),
    "gzip and then something": (PACKED + b"more", "damaged gzip file"),
    "gzip of a truncated file": (gzip.compress(GOOD[:-1]), "only 23 follow"),
    "gzip of a longer file": (gzip.compress(GOOD + b"1"), "goes on after"),
    "gzip of absurd sizes": (
        gzip.compress(b"\0\0\x0e\x08" + b"\xff" * 32),
        "cannot hold more than",
    ),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_named_with_its_fault(tmp_path, content, message):
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@given(st.binary(max_size=40), st.booleans(), st.booleans())
def test_no_content_does_worse_than_a_data_error(tmp_path_factory, noise, head, packed):
    path = tmp_path_factory.mktemp("noise") / "file"
    content = GOOD[:6] + noise if head else noise
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    with contextlib.suppress(DataError):
        read_idx(path)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"missing cannot be read: No such file"):
        read_idx(tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)


# --- a folder of four


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dot", [False, True])
def test_a_folder_is_read_in_every_spelling(tmp_path, suffix, dot):
    train, test = load_data(write_set(tmp_path / "mine", suffix=suffix, dot=dot))
    assert train.images.shape == (3, 4, 3, 1)
    assert train.name == "mine"
    assert train.classes == ("0", "2", "4", "5", "7")
    names = np.array(train.classes)
    assert names[train.labels].tolist() == ["5", "0", "4"]
    assert names[test.labels].tolist() == ["7", "2"]
    assert test.images[:, 0, 0, 0].tolist() == [7, 2]


def test_an_incomplete_folder_names_what_it_lacks(tmp_path):
    folder = write_set(tmp_path / "mine")
    (folder / FILES[1]).unlink()
    with pytest.raises(DataError, match=f"lacks {FILES[1]}"):
        load_data(folder)


def test_files_that_do_not_belong_together_are_named(tmp_path):
    folder = write_set(tmp_path / "mine")
    (folder / FILES[1]).write_bytes(idx_bytes(np.zeros(4, np.uint8)))
    with pytest.raises(DataError, match=r"3 images but .* 4 labels"):
        load_data(folder)
    (folder / FILES[1]).write_bytes(idx_bytes(np.zeros(3, np.float32)))
    with pytest.raises(DataError, match="must hold labels"):
        load_data(folder)
    (folder / FILES[0]).write_bytes(idx_bytes(np.zeros((3, 12), np.uint8)))
    with pytest.raises(DataError, match="must hold images"):
        load_data(folder)
    write_set(folder)
    (folder / FILES[2]).write_bytes(idx_bytes(np.zeros((2, 5, 5), np.uint8)))
    with pytest.raises(DataError, match="must have one size"):
        load_data(folder)


def test_neither_name_nor_folder(tmp_path):
    with pytest.raises(DataError, match="one of the names digits, mnist, fashion-mni"):
        load_data("minst")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DataError, match=r"is a file, but data must be a folder"):
        load_data(file)


# --- names


def test_the_search_order(monkeypatch, tmp_path):
    cache = tmp_path / "cache" / "striate"
    assert cache_folder() == cache
    assert search_folders(MNIST) == (cache / "mnist",)
    monkeypatch.setenv("STRIATE_DATA", "/data")
    mine = Path("/data")
    assert search_folders(MNIST) == (mine / "mnist", mine, cache / "mnist")
    fashion = "fashion-mnist"  # its files have MNIST's names: never in /data itself
    assert search_folders(FASHION_MNIST) == (mine / fashion, cache / fashion)


def test_a_relative_cache_is_ignored_as_xdg_demands(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert cache_folder() == tmp_path / ".cache" / "striate"


@pytest.mark.parametrize("place", ["named/mnist", "named", "cache/striate/mnist"])
def test_mnist_is_found_in_each_place(monkeypatch, tmp_path, place):
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "named"))
    write_set(tmp_path / place, suffix=".gz")
    train, test = load_data("mnist")
    assert train.labels.tolist() == [5, 0, 4]
    assert train.classes == test.classes == tuple("0123456789")
    assert train.name == "mnist"


def test_other_files_than_mnists_are_taken_for_it_with_a_word(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "named"))
    folder = write_set(tmp_path / "named")
    load_data("mnist")
    assert capsys.readouterr().err == (
        f"{folder} does not hold the 60,000 and 10,000 images of 28x28 that mnist has; "
        "it is taken for it all the same\n"
    )
    load_data("mnist", quiet=True)
    assert capsys.readouterr().err == ""


def test_a_folder_of_data_that_is_none_is_passed_over_with_a_word(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "nowhere"))
    write_set(tmp_path / "cache" / "striate" / "mnist")
    load_data("mnist")
    words = f"passed over: STRIATE_DATA, {tmp_path / 'nowhere'}, is no folder\n"
    assert words in capsys.readouterr().err


def test_an_incomplete_place_is_passed_over_with_a_word(monkeypatch, tmp_path, capsys):
    named = write_set(tmp_path / "named")
    (named / FILES[3]).unlink()
    monkeypatch.setenv("STRIATE_DATA", str(named))
    write_set(tmp_path / "cache" / "striate" / "mnist", labels=(1, 1))
    assert load_data("mnist")[0].labels.tolist() == [1, 1]
    assert f"passed over: {named} lacks {FILES[3]}" in capsys.readouterr().err
    load_data("mnist", quiet=True)
    assert capsys.readouterr().err == ""


def test_without_a_network_the_error_says_where_to_put_the_files(monkeypatch, tmp_path):
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "named"))
    with pytest.raises(DataError) as caught:
        load_data("fashion-mnist")
    text = str(caught.value)
    cache = tmp_path / "cache" / "striate" / "fashion-mnist"
    order = f"{tmp_path / 'named' / 'fashion-mnist'}, {cache} (searched in this order)"
    assert order in text
    assert "the network is down" in text
    assert f"t10k-labels-idx1-ubyte.gz into {cache}, or into a folder" in text


def test_a_damaged_file_in_the_cache_may_be_deleted(monkeypatch, tmp_path):
    cache = write_set(tmp_path / "cache" / "striate" / "mnist")
    (cache / FILES[0]).write_bytes(GOOD[:-1])
    with pytest.raises(DataError, match=r"truncated.*delete it, and it is downloaded"):
        load_data("mnist")
    named = write_set(tmp_path / "named")
    (named / FILES[0]).write_bytes(GOOD[:-1])
    monkeypatch.setenv("STRIATE_DATA", str(named))
    with pytest.raises(DataError, match=f"{named}.*truncated") as caught:
        load_data("mnist")
    assert "delete" not in str(caught.value)


def test_real_mnist(real_data, monkeypatch):
    folder = real_data("mnist")
    monkeypatch.setenv("STRIATE_DATA", str(folder))
    train, test = load_data("mnist")
    assert train.images.shape == (60000, 28, 28, 1)
    assert test.images.shape == (10000, 28, 28, 1)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


# --- Dataset and its fingerprint


def test_a_dataset_refuses_parts_that_do_not_fit():
    pixels, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1])
    assert Dataset(pixels, labels.astype(np.int8), ("a", "b"), "x").labels.dtype == "i8"
    with pytest.raises(DataError, match=r"uint8 of shape \(N, H, W, C\)"):
        Dataset(pixels[..., 0], labels, ("a", "b"), "x")
    with pytest.raises(DataError, match="must be integers"):
        Dataset(pixels, labels / 2, ("a", "b"), "x")
    with pytest.raises(DataError, match="2 images but 1 labels"):
        Dataset(pixels, labels[:1], ("a", "b"), "x")
    with pytest.raises(DataError, match=r"run from 0 to 1 but there are 1 classes"):
        Dataset(pixels, labels, ("a",), "x")


def test_the_fingerprint_depends_on_values_and_not_on_layout():
    pixels = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)
    labels = np.array([0, 1])
    known = data_hash(pixels, labels)
    assert data_hash(np.asfortranarray(pixels), labels.astype(">i8")) == known
    assert data_hash(pixels[::-1], labels) != known
    assert data_hash(pixels, labels[::-1]) != known
    assert data_hash(pixels.reshape(2, 4, 3, 4), labels) != known
    words = data_hash(pixels, np.array(["a", "b"]))
    assert data_hash(pixels, ["a", "b"]) == words != known
    assert data_hash(pixels, np.array(["a", "b"], object)) == words

"""Every layout in which labelled images come, and every way in which it can be wrong."""

import os
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.data import Reading, read_data
from striate.errors import DataError, ShapeError, StriateError, UsageError


@pytest.fixture(autouse=True)
def no_real_data(monkeypatch, cache_home):
    monkeypatch.delenv("STRIATE_DATA", raising=False)


def picture(seed, size=(20, 20), mode="L"):
    shape = (*size, 3) if mode == "RGB" else size
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(noise)


def put(path, seed=None, **kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = (
        zlib.crc32(f"{path.parent.name}/{path.name}".encode()) if seed is None else seed
    )
    picture(seed, **kind).save(path)
    return path


def fill(root, classes=("cat", "dog"), count=12, start=0):
    for number, name in enumerate(classes):
        for index in range(count):
            put(root / name / f"{index}.png", start + 1000 * number + index)
    return root


def split(root, **counts):
    for start, (part, count) in enumerate(counts.items(), 1):
        fill(root / part, count=count, start=100_000 * start)
    return root


def sizes(data):
    return {name: len(part) for name, part in data.parts().items()}


def notes(data):
    return "\n".join(data.survey.notes)


# --- a folder for each class


def test_class_folders_with_folders_below_them(tmp_path):
    root = fill(tmp_path / "pets", count=30)
    put(root / "cat" / "old" / "deep" / "x.JPG", 7)
    data = read_data(root)
    assert data.name == "pets"
    assert data.training.classes == ("cat", "dog")
    assert sum(sizes(data).values()) == 61
    assert data.validation is not None
    assert data.test is not None
    assert "cat/old/deep/x.JPG" in data.names
    assert notes(data) == ""
    whole = np.concatenate([part.labels for part in data.parts().values()])
    named = [data.training.classes[label] for label in whole]
    assert named == [name.split("/")[0] for name in data.names]


def test_classes_are_in_plain_alphanumeric_order(tmp_path):
    data = read_data(fill(tmp_path, ("s2", "s10", "s1", "Z", "a"), 3))
    assert data.training.classes == ("Z", "a", "s1", "s10", "s2")


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "VALID", "Test"),
        ("TRAIN", "validation", ""),
    ],
)
def test_split_folders(tmp_path, train, validation, test):
    counts = {train: 5, validation: 3} | ({test: 4} if test else {})
    data = read_data(split(tmp_path, **counts))
    assert data.training.classes == ("cat", "dog")
    if test:
        assert sizes(data) == {"training": 10, "validation": 6, "test": 8}
        assert "given: training, validation, test" in data.survey.choices[-1]
    else:
        assert sizes(data)["validation"] == 6
        assert sizes(data)["training"] + sizes(data)["test"] == 10


def test_one_folder_called_like_a_part_among_others_is_a_class(tmp_path):
    data = read_data(fill(tmp_path, ("car", "train", "plane"), 4))
    assert data.training.classes == ("car", "plane", "train")


def test_what_lies_beside_the_parts_is_passed_over_with_a_word(tmp_path):
    split(tmp_path, train=5, test=2)
    put(tmp_path / "originals" / "a.png")
    data = read_data(tmp_path, reading=Reading(validation=0))
    assert sizes(data) == {"training": 10, "test": 4}
    assert "'originals' beside the folders 'test', 'train' passed over" in notes(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "has no class folders with images"),
        (lambda root: (root / "cat").mkdir(), "has no class folders with images"),
        (
            lambda root: put(root / "a.png"),
            "put the images of each class into a folder",
        ),
        (lambda root: fill(root, ("cat",)), "has only one class, 'cat', but a network"),
        (lambda root: split(root, val=2, test=2), "but no folder train to train on"),
        (
            lambda root: split(root, train=2, val=2, valid=2),
            "two folders for its validat",
        ),
        (
            lambda root: (split(root, train=2), put(root / "test" / "a.png")),
            r"test holds images but no class folders",
        ),
        (
            lambda root: (split(root, train=2), (root / "val").mkdir()),
            r"val has no images; fill it, or remove it",
        ),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        read_data(tmp_path)


def test_what_is_passed_over_is_told(tmp_path):
    fill(tmp_path)
    (tmp_path / "empty").mkdir()
    put(tmp_path / "cat" / ".hidden.png")
    put(tmp_path / ".git" / "x" / "a.png")
    put(tmp_path / "loose.png")
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "dog" / "LICENSE").write_text("no image")
    data = read_data(tmp_path, reading=Reading(validation=0, test_share=0))
    assert data.training.classes == ("cat", "dog")
    assert sizes(data) == {"training": 24}
    assert "1 folder without an image ('empty') passed over: no class" in notes(data)
    assert "1 image outside any class folder ('loose.png') passed over" in notes(data)
    assert "2 files passed over, no images by their ending" in notes(data)
    assert ".txt 1" in notes(data)
    assert len(data.survey.notes) == 3


@pytest.mark.parametrize("other", ["Cat", "cat ", "CAT"])
def test_two_names_for_one_class(tmp_path, other):
    data = read_data(fill(tmp_path, ("cat", other, "dog"), 4))
    assert len(data.training.classes) == 3
    assert "differ in case or white space only" in notes(data)
    assert repr(other) in notes(data)


def test_classes_that_the_parts_do_not_share(tmp_path):
    split(tmp_path, train=4, test=4)
    put(tmp_path / "test" / "cow" / "a.png")
    put(tmp_path / "train" / "pig" / "a.png")
    data = read_data(tmp_path, reading=Reading(validation=0))
    assert data.training.classes == ("cat", "cow", "dog", "pig")
    assert "the class 'cow' has no image to train on: no network can" in notes(data)
    assert "the test part has no image of 'pig'" in notes(data)


def test_symbolic_links_are_followed_but_not_in_circles(tmp_path):
    fill(tmp_path / "data")
    put(tmp_path / "elsewhere" / "a.png", 5)
    (tmp_path / "data" / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "cat" / "loop").symlink_to(tmp_path / "data" / "cat")
    (tmp_path / "data" / "cat" / "gone.png").symlink_to(tmp_path / "gone.png")
    data = read_data(tmp_path / "data")
    assert sum(sizes(data).values()) == 25
    assert "1 of 26 images cannot be read and is left out" in notes(data)
    assert "gone.png cannot be read: No such file" in notes(data)


def test_names_of_any_bytes(tmp_path):
    fill(tmp_path)
    odd = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(odd)
    with open(odd + b"/\xe9.png", "wb") as file:
        picture(1).save(file, "PNG")
    data = read_data(tmp_path)
    assert len(data.training.classes) == 3
    data.training.classes[2].encode()  # can be written anywhere


# --- tables


def table(tmp_path, text, count=20):
    for index in range(count):
        put(tmp_path / "images" / f"{index}.png", index)
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def rows(count, line):
    return "".join(line(index) + "\n" for index in range(count))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_of_paths_and_labels(tmp_path, mark):
    text = f"Label{mark}note{mark} Path\n" + rows(
        20, lambda i: f"{'dog' if i % 2 else 'cat'}{mark}x{mark}images/{i}.png"
    )
    data = read_data(table(tmp_path, text))
    assert data.name == "table"
    assert data.training.classes == ("cat", "dog")
    assert sum(sizes(data).values()) == 20


def test_a_table_with_parts_and_groups(tmp_path):
    parts = ["Train", "train", "VALID", "test"]
    text = "path,label,split,group\n" + rows(
        20, lambda i: f"images/{i}.png,{i % 2},{parts[i // 2 % 4]},day{i // 4}"
    )
    data = read_data(table(tmp_path, text))
    assert sizes(data) == {"training": 12, "validation": 4, "test": 4}
    assert "groups" in notes(data)  # torn apart by the parts as given
    text = "path,label,group\n" + rows(
        20, lambda i: f"images/{i}.png,{i % 2},day{i // 4}"
    )
    data = read_data(table(tmp_path, text))
    days = {name: int(name.split("/")[1][:-4]) // 4 for name in data.names}
    seen = {}
    for part, names in split_names(data).items():
        for name in names:
            assert seen.setdefault(days[name], part) == part
    with pytest.raises(UsageError, match="has groups of its own"):
        read_data(table(tmp_path, text), reading=Reading(group="(.)"))


def split_names(data):
    names = iter(data.names)
    return {
        part: [next(names) for _ in range(count)] for part, count in sizes(data).items()
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line must be path,label"),
        ("path,class\na.png,x\n", "must have the columns path and label"),
        ("path,label,path\na,b,c\n", "has the column path twice"),
        ("path,label\n", "has no images"),
        ("path,label\nimages/0.png\n", "line 2, has 1 columns but the first line 2"),
        ("path,label\nimages/0.png,a\n,b\n", "line 3, has no path"),
        ("path,label\nimages/0.png,\n", "line 2, has no label"),
        ("path,label,split\nimages/0.png,a,dev\n", "line 2, has the split 'dev'"),
        ("path,label,split\nimages/0.png,a,test\n", "no line with the split train"),
        ("path,label\nimages/0.png,a\n", "has only one class, 'a'"),
        (
            "path,label\nnone.png,a\nnone.png,b\n",
            "none.png cannot be read: No such file",
        ),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_data(table(tmp_path, text, 1))


def test_a_table_that_is_no_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"path,label\n\xff\xfe\x00,a\n")
    with pytest.raises(DataError, match="is no table in UTF-8"):
        read_data(path)


# --- arrays


def arrays(train=40, test=10, validation=0, channels=3):
    rng = np.random.default_rng(1)

    def part(key, count):
        images = rng.integers(0, 256, (count, 9, 8, channels), np.uint8)
        return {f"x_{key}": images, f"y_{key}": np.arange(count) % 4 * 5}

    found = part("train", train)
    found |= part("test", test) if test else {}
    return found | (part("val", validation) if validation else {})


def write_npz(path, values):
    np.savez(path, **values)
    return path


def write_npy(path, values):
    path.mkdir()
    for name, array in values.items():
        np.save(path / f"{name}.npy", array)
    return path


@pytest.mark.parametrize("write", [write_npz, write_npy])
def test_arrays_in_files(tmp_path, write):
    values = arrays(validation=6)
    data = read_data(write(tmp_path / "set.npz", values))
    assert data.training.classes == ("0", "5", "10", "15")  # numbers in their order
    for key, part in (("train", "training"), ("val", "validation"), ("test", "test")):
        np.testing.assert_array_equal(data.parts()[part].images, values[f"x_{key}"])
        np.testing.assert_array_equal(data.parts()[part].labels * 5, values[f"y_{key}"])


def test_arrays_without_parts_are_split(tmp_path):
    data = read_data(write_npz(tmp_path / "a.npz", arrays(test=0)))
    assert set(sizes(data)) == {"training", "validation", "test"}
    assert sum(sizes(data).values()) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "has no x_train"),
        ({"y_test": None}, "has no y_test"),
        ({"y_train": np.arange(3)}, "set.npz: y_train .* there are 3 for 40 images"),
        (
            {"y_train": np.arange(40) - 1},
            r"set.npz: y_train\[0\] is -1 but labels start",
        ),
        ({"y_train": np.arange(40) / 2}, "must be integers or strings but are float64"),
        ({"x_train": np.zeros((40, 9, 8, 3))}, "must be uint8 pixels, 0 to 255"),
        ({"x_train": np.zeros((40, 9, 8, 3), int)}, "must be uint8 or floats"),
        ({"x_train": np.zeros((40, 9, 8), np.uint8)}, "mixes channels"),
        ({"x_train": np.zeros((40, 9, 8, 7), np.uint8)}, "7 channels but images to be"),
        ({"y_train": np.zeros(40, int), "y_test": np.zeros(10, int)}, "one class, '0'"),
        ({"y_test": np.array(list("aabbccddee"))}, "integers and others that are text"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, change, message):
    values = {key: one for key, one in (arrays() | change).items() if one is not None}
    with pytest.raises(StriateError, match=message):
        read_data(write_npz(tmp_path / "set.npz", values))


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(
    ("scale", "remedy"),
    [
        (1 / 255, 'from 0 to 1: give (x_train * 255).round().astype("uint8")'),
        (1, 'from 0 to 255: give x_train.round().astype("uint8")'),
        (-1 / 255, "from -1 to 0: scale them to 0 ... 255"),
        (2, "from 0 to 510: scale them to 0 ... 255"),
    ],
)
def test_floats_are_refused_with_code_that_mends_them(tmp_path, kind, scale, remedy):
    pixels = np.arange(40 * 32, dtype=np.uint8).reshape(40, 8, 4, 1)
    floats = pixels.astype(kind) * np.dtype(kind).type(scale) + 0  # no -0
    path = write_npz(
        tmp_path / "set.npz", {"x_train": floats, "y_train": np.arange(40) % 2}
    )
    with pytest.raises(DataError) as error:
        read_data(path)
    assert str(error.value) == (
        f"{path}: x_train must be uint8 pixels, 0 to 255, but are {kind} {remedy}"
    )
    if "give" in remedy:
        mended = eval(remedy.split("give ")[1], {"x_train": floats})
        np.testing.assert_array_equal(mended, pixels)


def test_arrays_in_another_order_are_mended_by_the_code_told(tmp_path):
    turned = np.zeros((40, 3, 8, 9), np.uint8)
    path = write_npz(
        tmp_path / "set.npz", {"x_train": turned, "y_train": np.arange(40) % 2}
    )
    with pytest.raises(ShapeError, match=r"; give x_train\.transpose\(0, 2, 3, 1\)$"):
        read_data(path)


def test_files_that_hold_no_arrays(tmp_path):
    path = tmp_path / "set.npz"
    path.write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="cannot be read as arrays"):
        read_data(path)
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "x.npy").rename(path)
    with pytest.raises(DataError, match="holds one array only"):
        read_data(path)
    np.savez(path, x_train=np.array([{}]), y_train=np.zeros(1))
    with pytest.raises(DataError, match="cannot be read as arrays: Object arrays"):
        read_data(path)
    good = write_npz(tmp_path / "good.npz", arrays())
    good.write_bytes(good.read_bytes()[:900])
    with pytest.raises(DataError, match="cannot be read as arrays"):
        read_data(good)


def test_lists_of_files_and_of_arrays(tmp_path):
    files = [put(tmp_path / f"{index}.png", index) for index in range(30)]
    labels = [f"kind {index % 3}" for index in range(30)]
    data = read_data(files, labels)
    assert sum(sizes(data).values()) == 30
    pictures = [np.asarray(picture(i, (10 + i, 20))) for i in range(30)]
    other = read_data([one[..., None] for one in pictures], labels)
    assert other.training.classes == data.training.classes
    with pytest.raises(UsageError, match="need labels, one for each"):
        read_data(pictures)
    with pytest.raises(UsageError, match="a folder has its own"):
        read_data(str(tmp_path), labels)
    with pytest.raises(DataError, match="2 groups for 30 images"):
        read_data(files, labels, groups=["a", "b"])
    with pytest.raises(ShapeError, match="one integer or string an image"):
        read_data(files, labels[:-1])


# --- paths that lead nowhere


def test_paths_of_no_layout(tmp_path):
    with pytest.raises(
        DataError, match=r"no data set or folder '.*none'; give the path"
    ):
        read_data(tmp_path / "none")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(
        DataError, match="is a file, but data must be a folder of images"
    ):
        read_data(tmp_path / "a.txt")


def test_settings_that_belong_to_folders():
    for reading, option in (
        (Reading(size=(8, 8)), "--size"),
        (Reading(fit="crop"), "--fit"),
        (Reading(color="rgb"), "--color"),
        (Reading(test_share=0.2), "--test-share"),
        (Reading(train_per_class=5), "--train-per-class"),
        (Reading(group="x"), "--group"),
    ):
        with pytest.raises(UsageError, match=f"{option} is for folders, .* but digits"):
            read_data("digits", reading=reading)


# --- any folder at all

NAMES = st.text(st.sampled_from("ab.A ~train"), min_size=1, max_size=5).filter(
    lambda name: name.strip(".")
)
CONTENT = st.sampled_from(["image", "text", "cut", "nothing", "folder"])
ENDINGS = st.sampled_from([".png", ".PNG", ".txt", ""])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(NAMES, min_size=1, max_size=3), ENDINGS, CONTENT),
        max_size=12,
    )
)
def test_any_folder_is_read_or_refused_in_words(tmp_path_factory, entries):
    root = tmp_path_factory.mktemp("any")
    good = picture(3, (6, 6))
    for number, (names, ending, content) in enumerate(entries):
        path = root.joinpath(*names).with_name(f"{names[-1]}{ending}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content == "folder":
                path.mkdir(exist_ok=True)
                continue
            good.putpixel((0, 0), number)
            good.save(path, "PNG")
        except OSError:  # a file where a folder should be, or the other way round
            continue
        if content == "cut":
            path.write_bytes(path.read_bytes()[:50])
        elif content != "image":
            path.write_bytes(b"no image" if content == "text" else b"")
    try:
        data = read_data(root, reading=Reading(cache=False), quiet=True)
    except DataError:
        return
    count = sum(sizes(data).values())
    assert count == len(data.names) == len(set(data.names))
    assert len(data.training) > 0
    images = [part.images for part in data.parts().values()]
    assert sum(len(one) for one in images) == count

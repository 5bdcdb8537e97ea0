"""Model files: what is saved loads again; nothing else loads, and says why."""

import errno
import json
import os
import pickle
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save as save_safetensors

from striate.errors import ModelFileError
from striate.saving import files
from striate.saving.modelfile import load_model, save_model

WEIGHTS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 7,
    "conv1.bias": np.array([-0.5, np.float32(1e-40)], dtype=np.float32),
}
METADATA: dict[str, Any] = {
    "format": "striate",
    "version": 1,
    "architecture": {"input_shape": [4, 4, 3], "layers": [{"kind": "ReLU"}]},
    "classes": ["nought", "één"],
    "preprocessing": {"mean": [0.1307], "fit": "pad"},
    "training": {"seed": 3},
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, WEIGHTS, METADATA)
    return path


def pack(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: object, offsets: object, dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def with_metadata(**changes: object) -> bytes:
    """A file sound in every other way whose metadata has other values."""
    text = json.dumps({**METADATA, **changes})
    return pack({"__metadata__": {"striate": text}})


def without_metadata(name: str) -> bytes:
    text = json.dumps({key: value for key, value in METADATA.items() if key != name})
    return pack({"__metadata__": {"striate": text}})


def with_weights(data: bytes = b"", **entries: object) -> bytes:
    text = json.dumps(METADATA)
    return pack({"__metadata__": {"striate": text}, **entries}, data)


def test_what_is_saved_loads_again(model: Path) -> None:
    weights, metadata = load_model(model)
    assert metadata == METADATA
    assert weights.keys() == WEIGHTS.keys()
    for name, expected in WEIGHTS.items():
        assert weights[name].dtype == np.float32
        assert weights[name].flags.writeable
        assert weights[name].tobytes() == expected.tobytes()
        assert weights[name].shape == expected.shape


def test_the_same_model_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "again", dict(reversed(WEIGHTS.items())), METADATA)
    assert (tmp_path / "again").read_bytes() == model.read_bytes()


def test_other_tools_read_the_weights(model: Path) -> None:
    with safe_open(model, framework="numpy") as file:
        assert set(file.keys()) == set(WEIGHTS)
        np.testing.assert_array_equal(
            file.get_tensor("conv1.weight"), WEIGHTS["conv1.weight"]
        )
        assert json.loads(file.metadata()["striate"])["classes"] == ["nought", "één"]


def test_non_contiguous_and_read_only_arrays_save(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    array.flags.writeable = False
    save_model(tmp_path / "m", {"w": array}, METADATA)
    np.testing.assert_array_equal(load_model(tmp_path / "m")[0]["w"], array)


@pytest.mark.parametrize(
    "array",
    [np.zeros(2), np.float32(1), np.zeros((0, 3), np.float32), np.zeros(2, np.int32)],
    ids=["float64", "no axes", "empty", "integers"],
)
def test_only_float32_arrays_save(tmp_path: Path, array: Any) -> None:
    with pytest.raises(ValueError, match="weight 'w' must be a float32 array"):
        save_model(tmp_path / "m", {"w": array}, METADATA)
    assert not list(tmp_path.iterdir())


SOUND = with_weights(b"\0" * 8, w=entry([2], [0, 8]))

HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "does not begin with the length of a header"),
    "seven bytes": (b"\0" * 7, "does not begin with the length"),
    "length only": (struct.pack("<Q", 2), "does not begin with the length"),
    "length beyond the file": (struct.pack("<Q", 2**63) + b"{}", "the length of a"),
    "length of all ones": (b"\xff" * 64, "the length of a header"),
    "zeros": (b"\0" * 64, "the length of a header"),
    "pickle": (pickle.dumps({"w": [1.0] * 99}), "the length of a header"),
    "text": (b"conv1.weight = 3\n" * 9, "the length of a header"),
    "header is a list": (pack([]), "list in place of an object"),
    "header is no JSON": (pack(b"{'a': 1}"), "is not a JSON object"),
    "header is no UTF-8": (pack(b'{"\xff": 1}'), "is not a JSON object"),
    "header cut": (pack(b'{"a": {"dtype"'), "is not a JSON object"),
    "deeply nested": (pack(b'{"a":' + b"[" * 200_000), "is not a JSON object"),
    "number of 9,999 digits": (pack(b'{"a":' + b"9" * 9999 + b"}"), "JSON object"),
    "NaN": (pack(b'{"a": NaN}'), "NaN is no JSON number"),
    "name twice": (pack(b'{"a": 1, "a": 2}'), "a name stands twice"),
    "foreign": (save_safetensors(WEIGHTS), "not one of Striate's"),
    "metadata a list": (pack({"__metadata__": []}), "not one of Striate's"),
    "metadata no text": (
        pack({"__metadata__": {"striate": {}}}),
        "not one of Striate's",
    ),
    "metadata no JSON": (
        pack({"__metadata__": {"striate": "x"}}),
        "the metadata is not",
    ),
    "metadata a number": (pack({"__metadata__": {"striate": "3"}}), "int in place"),
    "other format": (with_metadata(format="other"), "names no format and version"),
    "version as text": (with_metadata(version="1"), "names no format and version"),
    "version true": (with_metadata(version=True), "names no format and version"),
    "version nought": (with_metadata(version=0), "names no format and version"),
    "newer": (with_metadata(version=2), "version 2, .* install a newer Striate"),
    "architecture null": (with_metadata(architecture=None), "architecture.input_shape"),
    "two extents": (
        with_metadata(architecture={"input_shape": [4, 4], "layers": []}),
        "no valid architecture.input_shape",
    ),
    "negative extent": (
        with_metadata(architecture={"input_shape": [4, -4, 1], "layers": []}),
        "no valid architecture.input_shape",
    ),
    "layers a mapping": (
        with_metadata(architecture={"input_shape": [4, 4, 1], "layers": {}}),
        "no valid architecture.layers",
    ),
    "layer a text": (
        with_metadata(architecture={"input_shape": [4, 4, 1], "layers": ["ReLU"]}),
        "no valid architecture.layers",
    ),
    "classes a text": (with_metadata(classes="abc"), "no valid classes"),
    "class a list": (with_metadata(classes=[["a"]]), "no valid classes"),
    "preprocessing a list": (with_metadata(preprocessing=[]), "no valid preproc"),
    "training null": (with_metadata(training=None), "no valid training"),
    "no architecture": (without_metadata("architecture"), "no valid architecture"),
    "no classes": (without_metadata("classes"), "no valid classes"),
    "no preprocessing": (without_metadata("preprocessing"), "no valid preprocessing"),
    "no training": (without_metadata("training"), "no valid training"),
    "entry a number": (with_weights(w=3), "'w' is not made of float32"),
    "half floats": (with_weights(b"12", w=entry([1], [0, 2], "F16")), "not made of fl"),
    "dtype a list": (with_weights(w=entry([1], [0, 4], [])), "not made of float32"),
    "shape a number": (with_weights(w=entry(1, [0, 4])), "no shape of 1 to 4"),
    "no axes": (with_weights(b"1234", w=entry([], [0, 4])), "no shape of 1 to 4"),
    "65 axes": (with_weights(b"1234", w=entry([1] * 65, [0, 4])), "no shape of 1 to 4"),
    "empty axis": (with_weights(w=entry([0], [0, 0])), "no shape of 1 to 4"),
    "axis true": (with_weights(b"1234", w=entry([True], [0, 4])), "no shape of 1 to 4"),
    "axis 1.0": (with_weights(b"1234", w=entry([1.0], [0, 4])), "no shape of 1 to 4"),
    "offsets missing": (with_weights(w=entry([1], None)), "no pair of offsets"),
    "three offsets": (with_weights(w=entry([1], [0, 4, 8])), "no pair of offsets"),
    "offset as text": (with_weights(w=entry([1], [0, "4"])), "no pair of offsets"),
    "negative offset": (with_weights(b"1234", w=entry([1], [-4, 0])), "does not lie"),
    "backwards": (with_weights(b"1234", w=entry([1], [4, 0])), "does not lie where"),
    "beyond the file": (with_weights(b"1234", w=entry([2], [0, 8])), "does not lie"),
    "an exabyte": (with_weights(w=entry([2**58], [0, 2**60])), "does not lie where"),
    "product wraps": (
        with_weights(b"1234", w=entry([2**33, 2**33, 2**33, 2**33], [0, 4])),
        "does not lie where",
    ),
    "gap": (with_weights(b"\0" * 12, w=entry([1], [8, 12])), "does not lie where"),
    "overlap": (
        with_weights(b"\0" * 8, a=entry([2], [0, 8]), b=entry([1], [4, 8])),
        "'b' does not lie where its shape says",
    ),
    "bytes left over": (
        with_weights(b"\0" * 8, w=entry([1], [0, 4])),
        "4 of its bytes belong to no weight",
    ),
    "lone surrogate": (with_weights(b"1234", **{"\ud800": entry([2], [0, 4])}), "d800"),
    "no checksum": (SOUND, "SHA-256 differs"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_anything_else_is_refused_in_words(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(path)
    assert "bad.safetensors" in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no model file .*none.*striate train"):
        load_model(tmp_path / "none.safetensors")


def test_folders_and_pipes_are_refused_without_reading(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is a folder; give the path"):
        load_model(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    with pytest.raises(ModelFileError, match="is not a regular file"):
        load_model(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model("nul\0byte")


def test_a_huge_sparse_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(SOUND)
    os.truncate(path, 2**42)
    with pytest.raises(ModelFileError, match="bytes belong to no weight"):
        load_model(path)


@given(data=st.data())
def test_flipped_and_cut_files_never_load_as_something_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flips")
    path = folder / "model"
    save_model(path, WEIGHTS, METADATA)
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1)
    changes = data.draw(st.lists(st.tuples(places, st.integers(1, 255)), max_size=4))
    for place, change in changes:
        content[place] ^= change
    del content[data.draw(st.integers(0, len(content)) | st.just(len(content))) :]
    path.write_bytes(content)
    try:
        weights, metadata = load_model(path)
    except ModelFileError:
        return
    assert metadata == METADATA
    assert all(np.array_equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


@given(content=st.binary(max_size=200))
def test_random_bytes_never_load(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("random") / "model"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load_model(path)


JSON = st.recursive(
    st.sampled_from([None, True, "", "1"]) | st.integers(-(2**70), 2**70),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets", "F32", "striate"]), inner
        )
    ),
    max_leaves=8,
)


@given(header=st.dictionaries(st.sampled_from(["w", "__metadata__", "v"]), JSON))
def test_headers_of_wrong_types_never_load(
    header: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("types") / "model"
    if header.get("__metadata__") is None:
        header["__metadata__"] = {"striate": json.dumps(METADATA)}
    path.write_bytes(pack(header, b"1234"))
    with pytest.raises(ModelFileError):
        load_model(path)


@given(changes=st.dictionaries(st.sampled_from(sorted(METADATA)), JSON, min_size=1))
def test_metadata_of_wrong_types_never_crashes(
    changes: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("metadata") / "model"
    path.write_bytes(with_metadata(**changes))
    with pytest.raises(ModelFileError):
        load_model(path)


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_model(
    model: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = model.read_bytes()
    monkeypatch.setattr(files.os, call, failing(errno.ENOSPC))
    with pytest.raises(
        ModelFileError, match=r"No space left on device; name a file in"
    ):
        save_model(model, {"w": np.ones(3, np.float32)}, METADATA)
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_an_interrupted_save_leaves_the_old_model(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.read_bytes()

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, {"w": np.ones(3, np.float32)}, METADATA)
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_places_where_no_file_can_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"saved as .*: that is a folder"):
        save_model(tmp_path, WEIGHTS, METADATA)
    with pytest.raises(ModelFileError, match=r"there is no folder .*missing"):
        save_model(tmp_path / "missing" / "m", WEIGHTS, METADATA)
    with pytest.raises(ModelFileError, match="File name too long"):
        save_model(tmp_path / ("m" * 300), WEIGHTS, METADATA)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="that is a device, not a file"):
        save_model(tmp_path / "pipe", WEIGHTS, METADATA)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ModelFileError, match="Permission denied"):
        save_model(tmp_path / "m", WEIGHTS, METADATA)


def test_permissions_follow_the_umask_and_the_replaced_file(tmp_path: Path) -> None:
    path = tmp_path / "m"
    before = os.umask(0o027)
    try:
        save_model(path, WEIGHTS, METADATA)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        save_model(path, WEIGHTS, METADATA)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_symbolic_link_stays_one(model: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(model)
    save_model(link, {"w": np.ones(3, np.float32)}, METADATA)
    assert link.is_symlink()
    assert load_model(model)[0].keys() == {"w"}

"""The face examples: on a few made-up people, as a user runs them, and on the real ones."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people, seven pictures of each: a shape on a noisy ground."""
    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("people")
    shapes = [np.eye(8), np.eye(8)[::-1], np.ones((3, 8)), np.ones((8, 3))]
    for name, shape in zip(("ann", "bob", "cy", "dee"), shapes, strict=True):
        (root / name).mkdir()
        for number in range(7):
            pixels = random.integers(0, 60, (12, 11), dtype=np.uint8)
            top, left = random.integers(1, 4, 2)
            rows, columns = shape.shape
            pixels[top : top + rows, left : left + columns] += (150 * shape).astype(
                "u1"
            )
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def run(
    example: str, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / example), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def no_sklearn(tmp_path: Path) -> dict[str, str]:
    """An environment in which scikit-learn is not installed."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules['sklearn'] = None"
    )
    return {"PYTHONPATH": str(tmp_path)}


def test_faces_tells_errors_as_a_table_and_as_json(
    people: Path, no_sklearn: dict[str, str]
) -> None:
    done = run("faces.py", people, "--splits", 2, "--json", **no_sklearn)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    found = json.loads(last)
    assert lines[0].startswith("4 people, 20 images to train, 8 to test, 12x11 pixels")
    assert [line.split(":")[0] for line in lines[1:3]] == [
        "split 1 of 2",
        "split 2 of 2",
    ]
    assert "self-organising map + convolutional network       3.80 %" in lines
    assert found["splits"] == len(found["errors"]) == 2
    assert found["mean_error"] == np.mean(found["errors"]) <= 0.25
    assert found["deviation"] == pytest.approx(np.std(found["errors"], ddof=1))
    assert found["seconds"] > 0
    assert found["others"] == {}
    assert "eigenfaces and the multilayer perceptron are left out" in done.stderr
    assert "pip install scikit-learn" in done.stderr


@pytest.mark.oracle
def test_faces_has_its_rivals_with_scikit_learn(people: Path) -> None:
    pytest.importorskip("sklearn")
    done = run("faces.py", people, "--splits", 1, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["others"]) == {"eigenfaces", "multilayer perceptron"}
    for rival in found["others"].values():
        assert 0 <= rival["mean_error"] <= 0.75  # guessing is wrong in 3 of 4


def test_what_is_wrong_is_told_in_words(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    (few / "ann").symlink_to(people / "ann")
    (few / "eve").mkdir()
    for number in range(3):
        (few / "eve" / f"{number}.png").symlink_to(people / "bob" / f"{number}.png")
    monkeypatch.syspath_prepend(EXAMPLES)
    for example, arguments, words in (
        ("faces.py", [few], "'eve' has 3 images but 5 of every class shall train"),
        ("faces.py", [tmp_path / "nowhere"], "nowhere"),
        ("faces.py", [people, "--splits", 0], "must be at least 1 but is 0"),
        ("faces.py", [people, "--seed", "x"], "invalid whole number value: 'x'"),
        ("face_hierarchy.py", [people, "--kernel", 6], "must be odd, to have a middle"),
    ):
        monkeypatch.setattr(sys, "argv", [example, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / example), run_name="__main__")
        # A code of words is what Python prints before it ends with 1.
        assert words in f"{ended.value.code}\n{capsys.readouterr().err}"


@pytest.mark.plot
def test_face_hierarchy_measures_every_layer(people: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = ("--splits", 1, "--kernel", 5, "-o", tmp_path / "pictures", "--json")
    done = run("face_hierarchy.py", people, *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["errors"]) == {"3", "5"}
    for layers in found["layers"].values():
        assert list(layers)[:2] == ["relu1", "relu2"]
        for figures in layers.values():
            regions = ("eyes", "nose", "mouth", "skin", "outline")
            assert sum(figures[name][0] for name in regions) == pytest.approx(1)
            assert 0 <= figures["explained by the person"][0] <= 1
    assert set(found["filters"]["5"]) == {
        "trained",
        "as it began",
        "trained, weights shuffled",
        "noise as smooth as trained",
        "noise",
    }
    assert "| explained by the person |" in done.stdout
    written = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert written == ["filters.png", "places.png"]


@pytest.mark.slow
def test_faces_makes_fewer_errors_than_in_1997(real_data) -> None:
    """Ten splits make 0.9 ± 1.1 % errors; two of them hardly ever more than 4 %."""
    done = run("faces.py", real_data("orl-faces"), "--splits", 2, "--json")
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["mean_error"] <= 0.04

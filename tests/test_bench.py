"""The comparison with other tools: its networks, its reference, what it writes."""

from pathlib import Path

import filtering_report
import numpy as np
import pytest
from cases import CASES, QUICK, SUBJECTS, TARGETS, Case, Subject, make_material
from end_to_end import EndToEnd, Process
from filtering import layer_errors
from filtering_report import Accuracy, Error, Filtering, LayerErrors, Speed
from growth_report import Epoch, Growth, Mapped, Measured, Sweep, filled
from reference import Check
from report import Line, Report, Result
from worker import Answers

import striate as st

# By the description: inputs and outputs of a layer, its kernel's area, its map's area.
VGG = [
    (3, 32, 9, 32 * 32),
    (32, 32, 9, 32 * 32),
    (32, 64, 9, 16 * 16),
    (64, 64, 9, 16 * 16),
    (64, 128, 9, 8 * 8),
    (128, 128, 9, 8 * 8),
]
VGG_DENSE = [(128 * 4 * 4, 256), (256, 10)]
FACE = [(1, 16, 25, 108 * 88), (16, 32, 25, 50 * 40), (32, 64, 25, 21 * 16)]
FACE_DENSE = [(64 * 10 * 8, 128), (128, 40)]
SEPARABLE = [
    (3, 16, 9, 48 * 48),
    (1, 16, 9, 48 * 48),
    (16, 32, 1, 48 * 48),
    (1, 32, 9, 24 * 24),
    (32, 64, 1, 24 * 24),
    (1, 64, 9, 12 * 12),
    (64, 128, 1, 12 * 12),
]
SEPARABLE_DENSE = [(128, 10)]


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(
    ("name", "convolutions", "dense"),
    [
        ("vgg", VGG, VGG_DENSE),
        ("face", FACE, FACE_DENSE),
        ("separable", SEPARABLE, SEPARABLE_DENSE),
    ],
)
def test_networks_are_what_their_description_says(
    name: str,
    convolutions: list[tuple[int, int, int, int]],
    dense: list[tuple[int, int]],
    normalized: bool,
) -> None:
    network = SUBJECTS[name + ("-bn" if normalized else "")].build()
    vectors = 2 if normalized else 1  # scale and shift of a channel, or its bias
    parameters = sum(i * o * k + vectors * o for i, o, k, _ in convolutions)
    parameters += sum((i + 1) * o for i, o in dense)
    multiply_adds = sum(i * o * k * area for i, o, k, area in convolutions)
    multiply_adds += sum(i * o for i, o in dense)
    assert network.parameters == parameters
    assert network.summary().multiply_adds == multiply_adds
    kinds = [type(one.layer) for one in network.resolved]
    behind = [st.BatchNorm, st.ReLU] if normalized else [st.ReLU]
    places = [at for at, kind in enumerate(kinds) if kind is st.Conv2D]
    assert len(places) == len(convolutions)
    for at in places:
        assert kinds[at + 1 : at + 1 + len(behind)] == behind


def test_every_target_and_every_quick_case_is_measured() -> None:
    assert {*TARGETS, *QUICK} <= {*CASES}
    for case in CASES:
        assert SUBJECTS[case.subject].images % case.batch == 0


def small() -> st.Network:
    """Every kind of layer the subjects have, with decisions that come close."""
    return st.Network(
        [
            st.Conv2D(4, 3, padding=1, bias=False),
            st.BatchNorm(),
            st.ReLU(),
            st.Conv2D(4, 3, padding=1, groups=4),
            st.ReLU(),
            st.MaxPool2D(2),
            st.Conv2D(8, 1, bias=False),
            st.BatchNorm(),
            st.ReLU(),
            st.GlobalAvgPool2D(),
            st.Dense(5),
        ],
        (9, 8, 3),
    )


def test_the_reference_agrees_with_the_engine_and_sees_what_does_not() -> None:
    material = make_material(Subject("small", small, (9, 8, 3), 32))
    check, network = Check(material, 32), small()
    network.set_weights(material.weights)
    images = material.inputs.transpose(0, 2, 3, 1)

    def answers(training: bool) -> Answers:
        loss, gradients = network.loss_and_gradients(
            images, material.labels, training=training
        )
        return Answers(network.predict_proba(images), loss, dict(gradients))

    assert check.worst("Striate", answers(training=True)) <= 1
    with pytest.raises(AssertionError, match="Striate computes another loss"):
        check.worst("Striate", answers(training=False))
    wrong = answers(training=True)
    assert wrong.gradients is not None
    wrong.gradients["bn1.bias"] = np.zeros(4, np.float32)
    with pytest.raises(AssertionError, match=r"computes another bn1\.bias"):
        check.worst("Striate", wrong)


def report() -> Report:
    """Two cases whose figures are easy to follow."""
    rates = {"Striate": (5.0e4, 6.0e4, 7.0e4), "PyTorch eager": (1.0e4, 1.2e4, 1.4e4)}
    train = tuple(Line(tool, 2, values) for tool, values in rates.items())
    latency = (Line("Striate", 1, (5e4,) * 3), Line("ONNX Runtime", 1, (4e4,) * 3))
    return Report(
        date="2026-01-02",
        processor="a processor",
        cores=2,
        load=0.0,
        isa="avx512",
        versions=("Striate 1",),
        missing=("JAX",),
        rounds=3,
        seconds=0.5,
        peak_isa="AVX-512",
        peak=(1.5e11, 1.6e11, 1.4e11),
        idle=0.001,
        accuracy={"Striate": 0.25},
        results=(
            Result(Case("lenet5", "train", 128), 2_000_000, train),
            Result(Case("lenet5", "latency", 1), 800_000, latency),
        ),
        end_to_end=EndToEnd(
            striate=(Process(8.5, 7.0, 10**8, 0.9935),),
            torch=(Process(60.0, 55.0, 5 * 10**8, 0.99),),
            accuracy=0.99,
            options=("--epochs", "3"),
            to_accuracy=(2.0, 3.5),
        ),
    )


def test_the_report_sets_every_line_beside_its_target() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in str(report()).splitlines()
        if line.startswith("| ")
    ]
    assert rows[:6] == [
        ["work", "Striate reaches", "aimed at", "reached"],
        [
            "LeNet-5: train, batch 128",
            "5.00 times PyTorch eager, 75.0% of the peak",
            "5 times, 80% of the peak",
            "no",  # where the two disagree, the share decides
        ],
        [
            "LeNet-5: one image, on one thread",
            "1.25 times ONNX Runtime, 25.0% of the peak",
            "1.43 times",
            "no",
        ],
        [
            "`striate train mnist`, from process start to model saved",
            "8.5 s, 1.5 s of it outside training (test accuracy 99.35%)",
            "10 s, 2 s",
            "yes",
        ],
        [
            "`striate train mnist`, peak memory",
            "100 MB, 0.20 of PyTorch's 500 MB",
            "a third",
            "yes",
        ],
        [
            "`striate train mnist --epochs 3`, to 99.0% test accuracy",
            "2.8 s of training, mean of 2 seeds (2.0 - 3.5)",
            "2.5 s",
            "no",
        ],
    ]
    assert "Not installed: JAX." in str(report())


def test_the_page_on_growth_has_a_place_for_all_that_is_measured() -> None:
    page = Path(__file__).parent.parent / "docs" / "performance.md"
    point = Measured(4e4, 2e4, 1e5, 3_000_000, 1_000_000, 500_000, 2_000_000, 800_000)
    growth = Growth(
        date="2026-01-02",
        processor="a processor",
        cores=2,
        striate="1",
        isa="avx512",
        usual="4 convolutions",
        peak=1.6e11,
        cache="1024K",
        sweeps={
            name: Sweep("what grows", {16: point})
            for name in ("batch", "channels", "side", "depth")
        },
        epochs=(Epoch(5_000, 0.125, 4e4),),
        limit=256 * 2**20,
        maps=(Mapped(320_000, 983_040_000, 3e4, 12.0, 60_000_000),),
        refused=True,
    )
    text = filled(page.read_text(), growth)
    assert text.count("| 16 ") == 4
    assert "second-level cache 1024K a core" in text
    assert "under the same limit raises MemoryError" in text
    assert filled(text, growth) == text
    with pytest.raises(ValueError, match="one place marked for batch"):
        filled(text.replace("<!-- begin batch -->", ""), growth)


def test_the_page_has_a_place_for_minimal_filtering() -> None:
    page = Path(__file__).parent.parent / "docs" / "performance.md"
    filtering = Filtering(
        date="2026-01-02",
        processor="a processor",
        cores=2,
        striate="1",
        isa="avx512",
        layers=(
            LayerErrors(
                "a network, conv2",
                "3 x 3",
                Error(5e-7, 2e-7),
                Error(None, 3e-7),
                Error(2e-6, 4e-7),
            ),
        ),
        speeds=(Speed("a network: train", (2e3, 3e3, 2.2e3), (1e3, 2e3, 1e3)),),
        network="a network, 2 epochs",
        accuracies=(Accuracy("digits", 1438, 359, (0.9, 0.92), (0.91, 0.92)),),
    )
    text = filtering_report.filled(page.read_text(), filtering)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(("| a network", "| digits"))
    ]
    errors = ["5.0e-07", "2.0e-07", "", "3.0e-07", "2.0e-06", "4.0e-07"]
    assert rows == [
        ["a network, conv2", "3 x 3", *errors],
        ["a network: train", "2,200", "1,000", "2.00 (1.50 - 2.20)"],
        ["digits", "1,438 and 359", "91.00 ± 1.41", "91.50 ± 0.71", "-0.50 ± 0.71"],
    ]
    assert filtering_report.filled(text, filtering) == text


def test_errors_of_filtering_are_measured_where_it_is_used() -> None:
    layers = [st.Conv2D(8, 3, padding=1), st.ReLU(), st.Conv2D(9, 3, padding=1)]
    (errors,) = layer_errors("narrow", st.Network(layers, (16, 16, 3)))
    assert (errors.layer, errors.shape) == (
        "narrow, conv2",
        "3 x 3, 8 to 9 channels, 16 x 16",
    )
    for error in (errors.forward, errors.input_gradient):
        assert error.filtering is not None
        assert 0 < error.direct < error.filtering < 1e-6
    # That of the weights computes channels by the sixteen, and stays direct.
    assert errors.weight_gradient.filtering is None
    assert 0 < errors.weight_gradient.direct < 1e-6

"""Gradients at layers and by rules against PyTorch, and methods against captum's.

Against PyTorch tolerances are the bounds that reference_layers.py carries from layer to
layer.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import reference_numpy as reference
from hypothesis import given, settings
from hypothesis import strategies as hyp
from numpy.typing import NDArray
from reference_layers import Bounded
from strategies import Case, cases, make_case

import striate as st
from striate import explain

if find_spec("torch") is None:
    pytest.skip("compares with PyTorch: pip install torch", allow_module_level=True)
if TYPE_CHECKING:
    import torch

pytestmark = [
    pytest.mark.oracle,
    # PyTorch tells that it copies where even kernels need an odd padding.
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
]
needs_captum = pytest.mark.skipif(
    find_spec("captum") is None, reason="compares with captum: pip install captum"
)
RULES = ("gradient", "guided", "deconvolution")


def within(
    what: str, found: NDArray[Any], wanted: NDArray[Any], bound: Bounded
) -> None:
    """Found is as near to PyTorch's number as the bound allows."""
    reference.assert_within(what, found, Bounded(wanted, bound.error))


@settings(max_examples=100, deadline=None)
@given(cases(), hyp.sampled_from(RULES))
def test_gradients_at_every_layer_by_every_rule_agree(case: Case, rule: Any) -> None:
    from torch_twin import Twin

    net, images, labels = case.network, case.images, case.labels
    wanted = Twin(net).answer(images, labels, rule=rule)
    bounds = reference.run(net.resolved, net.weights, images, labels, rule=rule)
    found = net.input_gradient(images, labels=labels, rule=rule)
    within(f"{rule} of the input", found, wanted.input_gradient, bounds.input_gradient)
    for name, gradient in wanted.layer_gradients.items():
        found = net.input_gradient(images, labels=labels, at=name, rule=rule)
        within(f"{rule} at {name}", found, gradient, bounds.layer_gradients[name])


# -------------------------------------------------------------------------- captum


@pytest.fixture(scope="module")
def twins() -> tuple[st.Network, torch.nn.Sequential, Case]:
    """The same network here and as PyTorch's modules in float64, and images for it."""
    from torch_twin import torch

    nn = torch.nn
    theirs = nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 3 * 2, 20), nn.ReLU(), nn.Linear(20, 4)),
    ).double()
    ours = st.Network(
        [
            *(st.Conv2D(6, 3, padding=1), st.ReLU(), st.MaxPool2D(2)),
            *(st.Conv2D(16, 3), st.ReLU(), st.MaxPool2D(2)),
            *(st.Flatten(), st.Dense(20), st.ReLU(), st.Dense(4)),
        ],
        (16, 12, 2),
        seed=3,
    )
    named = zip(theirs.state_dict(), ours.weights.values(), strict=True)
    theirs.load_state_dict({name: torch.tensor(array) for name, array in named})
    return ours, theirs, make_case(ours, 21, seed=5)


def to_torch(images: NDArray[Any]) -> torch.Tensor:
    from torch_twin import torch

    return torch.tensor(images, dtype=torch.float64).permute(0, 3, 1, 2)


def close(found: NDArray[Any], wanted: torch.Tensor) -> None:
    """Float32 against float64, in five layers of sums of at most a hundred terms."""
    from torch_twin import to_numpy

    exact = to_numpy(wanted)
    assert abs(exact).max() > 0
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * abs(exact).max())


@needs_captum
@pytest.mark.filterwarnings("ignore")  # captum warns that it puts hooks on ReLUs
def test_guided_backpropagation_is_captums(twins: Any) -> None:
    from captum.attr import GuidedBackprop
    from torch_twin import torch

    ours, theirs, case = twins
    labels = torch.tensor(case.labels)
    wanted = GuidedBackprop(theirs).attribute(to_torch(case.images), labels)
    found = explain.guided_backpropagation(ours, case.images, target=case.labels)
    close(found, wanted)


@needs_captum
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("layer", "index"), [("conv2", 3), ("relu2", 4), ("pool2", 5)])
def test_the_deconvolution_of_a_unit_is_captums(
    twins: Any, layer: str, index: int
) -> None:
    """Captum's has a seed of 1, so it is multiplied by the activation."""
    from captum.attr import NeuronDeconvolution

    ours, theirs, case = twins
    found = explain.deconvolution(ours, case.images, layer)
    assert (found.activations > 0).sum() > 10
    method = NeuronDeconvolution(theirs, theirs[index])
    for image, values, unit, activation in zip(
        case.images, found.values, found.units, found.activations, strict=True
    ):
        if activation <= 0:
            continue
        row, column, channel = unit.tolist()
        wanted = method.attribute(to_torch(image[None]), (channel, row, column))
        close(values[None] / activation, wanted)


@needs_captum
@pytest.mark.filterwarnings("ignore")
def test_the_deconvolution_of_a_class_is_captums(twins: Any) -> None:
    from captum.attr import Deconvolution

    ours, theirs, case = twins
    wanted = Deconvolution(theirs).attribute(to_torch(case.images), 2)
    close(ours.input_gradient(case.images, target=2, rule="deconvolution"), wanted)


@needs_captum
@pytest.mark.parametrize(
    ("layer", "index"), [("conv1", 0), ("pool1", 2), ("conv2", 3), ("relu2", 4)]
)
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_is_captums(twins: Any, layer: str, index: int, relu: bool) -> None:
    from captum.attr import LayerGradCam
    from torch_twin import torch

    ours, theirs, case = twins
    method = LayerGradCam(theirs, theirs[index])
    labels = torch.tensor(case.labels)
    wanted = method.attribute(to_torch(case.images), labels, relu_attributions=relu)
    found = explain.grad_cam(
        ours, case.images, target=case.labels, layer=layer, relu=relu
    )
    close(found[..., None], wanted.detach())

"""Attributions against captum's, on the same network in PyTorch, in float64.

Both compute the same sums, Striate in float32: tolerances are shares of the largest
attribution, some hundred times the rounding of one number, as sums of that many need.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import striate as st
from striate import explain
from striate.engine.randomness import normal

if find_spec("captum") is None or find_spec("torch") is None:
    pytest.skip("compares with captum: pip install captum", allow_module_level=True)
if TYPE_CHECKING:
    from torch import Tensor

pytestmark = [
    pytest.mark.oracle,
    # captum tells that it sets requires_grad, and its hooks that inputs have it.
    pytest.mark.filterwarnings("ignore:Input Tensor"),
]

RNG = np.random.default_rng(8)
X = RNG.normal(size=(6, 12, 10, 3)).astype(np.float32)
CLASSES = np.array([0, 3, 1, 2, 2, 0])


@pytest.fixture(scope="module", params=["relu", "tanh"])
def network(request: pytest.FixtureRequest) -> st.Network:
    activation = {"relu": st.ReLU, "tanh": st.Tanh}[request.param]
    layers = [
        *(st.Conv2D(5, 3, padding=1), activation(), st.MaxPool2D(2)),
        *(st.Conv2D(6, 3), activation(), st.Flatten(), st.Dense(4)),
    ]
    return st.Network(layers, (12, 10, 3), seed=4)


def logits_of(network: st.Network) -> Any:
    """What captum asks: logits N,K of images N,C,H,W."""
    from torch_twin import Twin, torch

    twin = Twin(network)

    class Module(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, images: Tensor) -> Tensor:
            return twin.forward(images)["dense1"]

    return Module()


def tensor(images: NDArray[Any]) -> Tensor:
    from torch_twin import torch

    return torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float64)


def agree(found: NDArray[Any], wanted: Tensor) -> None:
    expected = wanted.detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=128 * 2.0**-24 * np.abs(expected).max()
    )


def test_saliency_and_gradient_times_input_agree(network: st.Network) -> None:
    from captum.attr import InputXGradient, Saliency
    from torch_twin import torch

    model, target = logits_of(network), torch.tensor(CLASSES)
    given = tensor(X).requires_grad_(True)
    wanted = Saliency(model).attribute(given, target=target, abs=False)
    agree(explain.saliency(network, X, target=CLASSES), wanted)
    wanted = InputXGradient(model).attribute(given, target=target)
    agree(explain.gradient_times_input(network, X, target=CLASSES), wanted)


@pytest.mark.parametrize("own", [False, True])
def test_integrated_gradients_agree(network: st.Network, own: bool) -> None:
    from captum.attr import IntegratedGradients
    from torch_twin import torch

    base = RNG.normal(size=X.shape).astype(np.float32) if own else np.zeros_like(X[:1])
    wanted = IntegratedGradients(logits_of(network)).attribute(
        tensor(X),
        baselines=tensor(base),
        target=torch.tensor(CLASSES),
        n_steps=20,
        method="riemann_middle",
    )
    found = explain.integrated_gradients(
        network, X, target=CLASSES, baseline=base, steps=20
    )
    agree(found.attributions, wanted)


def test_smooth_gradients_agree_under_the_same_noise(
    network: st.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from captum.attr import NoiseTunnel, Saliency
    from torch_twin import torch

    samples, share = 8, 0.1
    drawn = [
        normal(X[0].size, (3, at)).reshape(1, *X.shape[1:]) for at in range(samples)
    ]
    noise = np.float32(share) * np.ptp(X, axis=(1, 2, 3), keepdims=True)
    # captum repeats every image, and asks for noise around all of them at once.
    repeated = tensor((noise[:, None] * np.stack(drawn, 1)).reshape(-1, *X.shape[1:]))
    monkeypatch.setattr(torch, "normal", lambda mean, std: mean + repeated)
    wanted = NoiseTunnel(Saliency(logits_of(network))).attribute(
        tensor(X),
        nt_type="smoothgrad",
        nt_samples=samples,
        target=torch.tensor(CLASSES),
        abs=False,
    )
    found = explain.smooth_gradient(
        network, X, target=CLASSES, samples=samples, noise=share, seed=3
    )
    agree(found, wanted)


@pytest.mark.parametrize("stride", [1, 3])
def test_occlusion_agrees(network: st.Network, stride: int) -> None:
    from captum.attr import Occlusion
    from torch_twin import torch

    wanted = Occlusion(logits_of(network)).attribute(
        tensor(X),
        sliding_window_shapes=(3, 6, 4),
        strides=(3, stride, stride),
        target=torch.tensor(CLASSES),
        baselines=0,
    )
    found = explain.occlusion(
        network, X, target=CLASSES, patch=(6, 4), stride=stride, fill="background"
    )
    agree(found.logit_map[..., None].repeat(3, 3), wanted)

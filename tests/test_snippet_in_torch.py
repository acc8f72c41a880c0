"""The text that `tune` gives to paste, run in torch: models made by it have the spectrum and gradients promised."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from spectra.advice import Target, Tuned, tune
from spectra.advice.snippet import pytorch_snippet
from spectra.agreement import crosscheck
from spectra.flow import flow
from spectra.network.config import Network
from spectra.network.meanfield import mean_field
from spectra.prediction import predict

torch = pytest.importorskip("torch")

WIDTH, SAMPLES = 80, 8
PHI: dict[str, Any] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "erf": lambda x: torch.erf(x * math.sqrt(math.pi) / 2.0),
    "hardtanh": torch.nn.functional.hardtanh,
}


class Activation(torch.nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Any) -> Any:
        return PHI[self.name](x)


def model_of(net: Network, names: dict[str, Any]) -> Any:
    """A model as a reader writes it: `nn.Linear` and φ for dense layers, the snippet's `Block` for residual ones."""
    widths, parts = net.widths, []
    for into, spec in enumerate([one for one in net.layers for _ in range(one.repeat)]):
        fan_in, fan_out = (WIDTH, WIDTH) if widths is None else widths[into : into + 2]
        if spec.kind == "residual":
            several = {"order": spec.order} if "order=" in names["text"] else {}
            block = names["Block"](fan_out, Activation(spec.activation.name), spec.alpha, spec.skip, **several)
            parts.append(block)
        else:
            parts += [torch.nn.Linear(fan_in, fan_out), Activation(spec.activation.name)]
    return torch.nn.Sequential(*parts).double()


def pasted(net: Network) -> dict[str, Any]:
    text = pytorch_snippet(mean_field(net))
    names: dict[str, Any] = {"text": text}
    exec(compile(text, "snippet", "exec"), names)
    return names


def drawn(net: Network, seed: int) -> Any:
    """Models initialised by the snippet, each with an input of the mean square that it asks for."""
    names = pasted(net)
    torch.manual_seed(seed)
    square = float(names["text"].rpartition("mean square of ")[2].rstrip(".\n"))
    for _ in range(SAMPLES):
        model = model_of(net, names)
        names["init_weights"](model)
        x = torch.randn(net.widths[0] if net.widths else WIDTH, dtype=torch.float64)
        yield model, x * math.sqrt(square / float((x**2).mean()))


def singular_values(net: Network, seed: int = 0) -> np.ndarray:
    jacobian = torch.autograd.functional.jacobian
    values = [torch.linalg.svdvals(jacobian(model, x, vectorize=True)).numpy() for model, x in drawn(net, seed)]
    # What a factorisation in doubles leaves of a zero.
    return np.where(np.array(values) < 1e-14 * np.max(values), 0.0, values)


TANH = {"activation": "tanh", "weights": "orthogonal"}
BLOCKS = {"kind": "residual", "activation": "tanh", "sigma_w": 1.2, "sigma_b": 0.3}
CASES: dict[str, tuple[dict[str, Any], Target]] = {
    "orthogonal": (TANH | {"depth": 10}, Target("variance", 0.5)),
    "gaussian": ({"activation": "erf", "depth": 4}, Target("variance", 5.0)),
    "kinks": ({"activation": "hardtanh", "weights": "orthogonal", "depth": 6}, Target("variance", 1.0)),
    "wide in the middle": (
        TANH | {"input_width": 60, "layers": [{"width": 120}, {"width": 90}, {"width": 60}]},
        Target("variance", 2.0),
    ),
    "mixed": (
        {"layers": [
            {"activation": "tanh", "weights": "orthogonal", "repeat": 2},
            {"activation": "gelu", "weights": "uniform"},
            {"activation": "erf", "weights": "rademacher"},
            {"activation": "tanh", "weights": "gaussian"},
        ]},
        Target("variance", 5.0),
    ),
    "blocks, post": (BLOCKS | {"order": "post", "depth": 6}, Target("variance", 0.25)),
    "blocks, pre": (
        {"kind": "residual", "order": "pre", "activation": "relu", "depth": 4, "input_variance": 1.0},
        Target("variance", 0.25),
    ),
    "blocks, after the sum": (
        {"kind": "residual", "order": "sum", "activation": "relu", "depth": 3, "input_variance": 1.0, "sigma_b": 0.2},
        Target("variance", 2.0),
    ),
    "blocks of two layers": (
        {"kind": "residual", "activation": "relu", "depth": 3, "input_variance": 1.0, "branch_layers": 2},
        Target("variance", 0.5),
    ),
    "blocks with layer norm": (
        BLOCKS | {"depth": 4, "input_variance": 1.0, "normalise": {"name": "layer", "gain": 1.2}},
        Target("variance", 0.25),
    ),
    "blocks, orthogonal and skip": (
        BLOCKS | {"order": "post", "depth": 3, "weights": "orthogonal", "skip": 0.9},
        Target("variance", 0.25),
    ),
}  # fmt: skip


def tuned(case: str, factor: float = 1.0) -> Tuned:
    keys, target = CASES[case]
    return tune(keys, Target(target.kind, factor * target.value), advise=False)


@pytest.mark.parametrize("case", CASES)
def test_models_that_are_initialised_so_have_the_spectrum_promised(case: str) -> None:
    found = tuned(case)
    assert found.reachable
    assert found.network is not None
    assert found.prediction is not None
    values = singular_values(found.network)
    assert crosscheck(found.prediction, values).agree
    # And not that of another tuning.
    other = tuned(case, 2.5).prediction
    assert other is not None
    assert not crosscheck(other, values).agree


def test_blocks_of_both_orders_share_a_model() -> None:
    layers = [
        {"activation": "identity"},
        {"kind": "residual", "order": "pre", "alpha": 0.4},
        {"kind": "residual", "order": "post", "alpha": 0.3, "skip": 1.1, "repeat": 2},
    ]
    net = Network(activation="tanh", sigma_w=1.3, sigma_b=0.2, input_variance=1.0, layers=layers)
    PHI["identity"] = lambda x: x
    pred = predict(net)
    assert crosscheck(pred, singular_values(net)).agree
    assert not crosscheck(predict(net.replace(sigma_w=1.6)), singular_values(net)).agree


@pytest.mark.parametrize(
    "case",
    ["orthogonal", "wide in the middle", "mixed", "blocks, post", "blocks, after the sum", "blocks of two layers",
     "blocks with layer norm"],
)  # fmt: skip
def test_torch_finds_the_gradients_predicted_in_every_layer(case: str) -> None:
    found = tuned(case)
    assert found.network is not None
    course, seen = flow(found.network), []
    for model, x in drawn(found.network, 5):
        x.requires_grad_(True)
        out = model(x)
        cost = torch.randn(out.shape, dtype=torch.float64)
        cost = cost / cost.pow(2).mean().sqrt()
        out.backward(cost)
        layers = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]
        grads = [x.grad, *(layer.weight.grad for layer in layers)]
        seen.append([math.log(float((grad**2).mean())) for grad in grads])
    predicted = np.array([course.log_grad_x[0], *course.log_grad_w])
    # A mean square over N entries scatters by √(2/N) at least, and by √(2 (1 + r)/N) where the law has the relative
    # variance r; r ≤ 5 here, and layers as many. Four standard errors, beside a bias of the order of depth/N.
    widths = found.network.widths or (WIDTH,)
    scatter = 4.0 * math.sqrt(2.0 * (1.0 + CASES[case][1].value) / min(widths) / SAMPLES)
    bias = len(course.log_grad_w) / min(widths)
    np.testing.assert_allclose(np.mean(seen, axis=0), predicted, atol=scatter + bias)

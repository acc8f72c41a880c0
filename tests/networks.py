"""Networks shared by the tests of the spectrum: layers given by their variance, golden cases, the battery's table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from spectra.activations import get_activation
from spectra.assembly import Assembly, spectrum_of
from spectra.laws.pushforward import slope_law
from spectra.master import MasterEquation
from spectra.network.config import LayerSpec, Network
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import LayerState, MeanField

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden_spectra.json").read_text())["cases"]
# Golden cases of every kind, for what compiled code and numpy must do alike.
SOME_OF_EACH = [
    "tanh_q1_orthogonal_L16",
    "gelu_q1_gaussian_L64",
    "identity_q1_gaussian_L5",
    "hardtanh_q0.1_orthogonal_L5",
    "rect_leaky_orthogonal_300-100-400",
    "rect_silu_orthogonal_100-150-200",
]

# The twins' `erf` is the plain error function; the package's has slope 1 at 0, as the contract asks.
TWIN_NAMES: dict[str, Any] = {
    "erf": {"expr": "erf(x)"},
    "leaky_relu(0.2)": {"name": "leaky_relu", "negative_slope": 0.2},
}


def layer(
    activation: Any,
    q: float,
    weights: str,
    repeat: int = 1,
    *,
    chi: float = 1.0,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> LayerState:
    """State of `repeat` layers at any variance q, on a mean-field curve or not: the law of JJᵀ needs only q and χ."""
    phi = get_activation(activation)
    mean = slope_law(phi, q).mean
    spec = LayerSpec(phi, weights, math.sqrt(chi / mean), 0.0, width=fan_out, repeat=repeat)
    return LayerState(spec, q, mean, chi, fan_in, fan_out, repeat)


def equation_of(runs: Sequence[LayerState], *, level: int = 0, extra: int = 0) -> MasterEquation:
    """Master equation of layers in the given states."""
    field = MeanField(tuple(runs), 1.0, None, None, "critical", None, None, ())
    return jacobian_equation(field, level=level, extra=extra)


def law_of(runs: Sequence[LayerState], *, refined: bool = False) -> Assembly:
    """Law of JJᵀ of layers in the given states; with laws of D² as fine as it takes where `refined`."""
    return spectrum_of(equation_of(runs), partial(equation_of, runs) if refined else None)


def golden_layers(name: str) -> list[LayerState]:
    """Layers of a golden case; χ from the twins' own numbers."""
    runs = []
    for x in GOLDEN[name]["layers"]:
        chi = 1.0 if x["critical"] else float(x["sigma_w2"]) * float(x["mu_1"])
        phi = TWIN_NAMES.get(x["activation"], x["activation"])
        widths = (x["fan_in"], x["fan_out"]) if x["fan_in"] > 1 else (None, None)
        runs.append(layer(phi, float(x["q"]), x["weights"], x["repeat"], chi=chi, fan_in=widths[0], fan_out=widths[1]))
    return runs


@cache
def golden_law(name: str, *, refined: bool = False) -> Assembly:
    """Law of JJᵀ of a golden case, built once."""
    return law_of(golden_layers(name), refined=refined)


def linear_gaussian(depth: int, sigma_w: float = 1.0) -> Network:
    """Product of `depth` square Gaussian matrices."""
    return Network(depth=depth, activation="identity", weights="gaussian", sigma_w=sigma_w)

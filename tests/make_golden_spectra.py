"""Write golden_spectra.json: reference spectra of random networks, each density certified, by `reference` alone.

Run `python tests/make_golden_spectra.py`; a case already in the file is kept, so a run may be interrupted.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import reference
from closed_forms import bernoulli_edge
from mpmath import mp
from reference import Layer, SquaredSlope

TARGET = Path(__file__).with_name("golden_spectra.json")
DIGITS = 22

# activation: (q, weights, depth)...
HOMOGENEOUS: dict[str, list[tuple[str, str, int]]] = {
    "tanh": [("0.01", "orthogonal", 64), ("0.1", "orthogonal", 5), ("0.1", "gaussian", 16), ("1", "gaussian", 2),
             ("1", "orthogonal", 16), ("1", "orthogonal", 256), ("4", "gaussian", 64), ("1", "gaussian", 1)],
    "erf": [("0.01", "orthogonal", 16), ("0.1", "orthogonal", 64), ("1", "gaussian", 5), ("0.01", "orthogonal", 256)],
    "gelu": [("0.01", "orthogonal", 5), ("0.1", "gaussian", 2), ("1", "orthogonal", 16), ("1", "gaussian", 64),
             ("4", "gaussian", 1)],
    "silu": [("0.01", "gaussian", 5), ("0.1", "orthogonal", 16), ("1", "gaussian", 2), ("4", "orthogonal", 64)],
    "elu": [("0.1", "gaussian", 5), ("1", "orthogonal", 2), ("1", "orthogonal", 64), ("4", "gaussian", 16)],
    "selu": [("0.1", "orthogonal", 5), ("1", "gaussian", 16), ("1", "orthogonal", 64), ("4", "orthogonal", 2)],
    "softplus": [("0.01", "orthogonal", 16), ("0.1", "gaussian", 1), ("1", "orthogonal", 5), ("1", "gaussian", 64)],
    "softsign": [("0.01", "orthogonal", 5), ("1", "gaussian", 2), ("1", "orthogonal", 16), ("4", "gaussian", 64)],
    "hardswish": [("0.1", "orthogonal", 5), ("1", "gaussian", 2), ("1", "orthogonal", 64), ("4", "gaussian", 16)],
    "sin": [("0.1", "orthogonal", 16), ("1", "gaussian", 5), ("1", "orthogonal", 2), ("4", "orthogonal", 64)],
    "leaky_relu(0.2)": [("1", "orthogonal", 2), ("1", "orthogonal", 16), ("1", "gaussian", 5), ("1", "gaussian", 1)],
    "relu": [("1", "gaussian", 1), ("1", "orthogonal", 2), ("1", "orthogonal", 5), ("1", "gaussian", 16),
             ("1", "orthogonal", 64), ("1", "gaussian", 256)],
    "hardtanh": [("0.1", "orthogonal", 5), ("0.1", "orthogonal", 256), ("1", "gaussian", 2), ("1", "orthogonal", 16)],
    "identity": [("1", "gaussian", 1), ("1", "gaussian", 5), ("1", "gaussian", 64), ("1", "gaussian", 256)],
    "mish": [("0.1", "orthogonal", 16), ("1", "gaussian", 5), ("4", "orthogonal", 2)],
    "logsigmoid": [("0.1", "orthogonal", 2), ("1", "gaussian", 16)],
    "sigmoid": [("0.1", "orthogonal", 5), ("1", "gaussian", 2), ("4", "orthogonal", 16)],
}  # fmt: skip


def chain(widths: list[int], steps: list[tuple]) -> list[Layer]:
    """Layers between consecutive widths; each step is (activation, q, weights), with an optional σ_w²."""
    ends = zip(widths, widths[1:], steps, strict=False)
    return [Layer(SquaredSlope(s[0], s[1]), s[2], 1, s[3] if len(s) > 3 else None, n, m) for n, m, s in ends]


def cases() -> dict[str, list[Layer]]:
    """Every case, by name."""
    table = {
        f"{name}_q{q}_{weights}_L{depth}": reference.network(name, q, weights, depth)
        for name, settings in HOMOGENEOUS.items()
        for q, weights, depth in settings
    }
    tanh, relu = ("tanh", "0.5"), ("relu", "1")
    table["rect_relu_gaussian_784-512-256-10"] = chain([784, 512, 256, 10], [(*relu, "gaussian")] * 3)
    table["rect_tanh_orthogonal_100-200-50"] = chain([100, 200, 50], [(*tanh, "orthogonal")] * 2)
    table["rect_tanh_gaussian_100-200-50"] = chain([100, 200, 50], [(*tanh, "gaussian")] * 2)
    leaky = ("leaky_relu(0.2)", "1")
    table["rect_leaky_orthogonal_300-100-400"] = chain([300, 100, 400], [(*leaky, "orthogonal")] * 2)
    table["rect_relu_gaussian_800-400-1200"] = chain([800, 400, 1200], [(*relu, "gaussian", 2)] * 2)
    table["rect_gelu_mixed_64-128-128-32"] = chain(
        [64, 128, 128, 32], [("gelu", "1", "gaussian"), ("gelu", "0.5", "orthogonal"), ("gelu", "0.25", "orthogonal")]
    )
    table["rect_identity_gaussian_100-50"] = chain([100, 50], [("identity", "1", "gaussian")])
    table["rect_silu_orthogonal_100-150-200"] = chain([100, 150, 200], [("silu", "1", "orthogonal")] * 2)
    square = SquaredSlope
    table["mixed_tanh_q_drift"] = [Layer(square("tanh", q), "orthogonal", 1) for q in ("1", "0.6", "0.4", "0.3")]
    table["mixed_relu_tanh"] = [
        Layer(square("relu", "1"), "gaussian", 2),
        Layer(square("tanh", "0.5"), "orthogonal", 6),
    ]
    table["mixed_gelu_selu_identity_noncritical"] = [
        Layer(square("gelu", "1"), "orthogonal", 3, "1.5"),
        Layer(square("selu", "0.5"), "gaussian", 2, "0.75"),
        Layer(square("identity", "1"), "orthogonal", 1, "2"),
    ]
    table["mixed_hardtanh_erf_deep"] = [
        Layer(square("hardtanh", "0.5"), "orthogonal", 20),
        Layer(square("erf", "0.25"), "orthogonal", 30),
    ]
    table["mixed_tanh_input_then_fixed"] = [
        Layer(square("tanh", "2"), "gaussian", 1, "1.5"),
        Layer(square("tanh", "0.8"), "gaussian", 1, "1.5"),
        Layer(square("tanh", "0.6"), "gaussian", 30, "1.5"),
    ]
    return table


def atom_at_zero(layers: list[Layer]) -> Any:
    """Mass of JJᵀ at 0: one minus the smallest rank over factors, over N_L."""
    ranks = [mp.mpf(layers[0].fan_in)]
    for layer in layers:
        ranks.append(layer.fan_out * (1 - sum((p for p, g in layer.law.nodes(7) if g == 0), mp.zero)))
    return 1 - min(ranks) / layers[-1].fan_out


def short(x: float) -> float:
    """Nearest number with an 8-bit mantissa: exact in binary and short in decimal."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(mantissa * 256), exponent - 8)


def chosen(layers: list[Layer], top: float, mean: float, ratio: float) -> list[float]:
    """Up to six points inside the support with density above 1e-6: fractions of λ_max, then around the mean."""
    spread = math.sqrt(max(ratio - 1, 0.0))
    wanted = [f * top for f in (0.01, 0.1, 0.3, 0.6, 0.9)]
    wanted += [mean * math.exp(k * min(spread, 2.0)) for k in (-1.0, 0.0, 0.7, -1.7, 1.3)]
    kept: list[float] = []
    for lam in map(short, wanted):
        if len(kept) == 6 or any(abs(lam / other - 1) < 0.05 * min(spread, 1) for other in kept) or lam >= top:
            continue
        try:
            if reference.double_density(layers, lam) > 1e-6:
                kept.append(lam)
        except ArithmeticError:  # a gap, or beyond a left edge
            continue
    return sorted(kept)


def record(layers: list[Layer]) -> dict[str, Any]:
    """One entry of the file; numbers as decimal strings."""
    text = lambda x, n=DIGITS: mp.nstr(x, n, strip_zeros=False)  # noqa: E731
    with mp.workdps(40):
        m = reference.layer_moments(layers, 3)
        coarse, soft = reference.right_edge(layers, 7)
        top, _ = reference.right_edge(layers, 8)
        entry: dict[str, Any] = {
            "layers": [
                {
                    "activation": x.law.name, "q": x.law.q, "weights": x.weights, "repeat": x.repeat,
                    "fan_in": x.fan_in, "fan_out": x.fan_out, "sigma_w2": text(mp.exp(x.log_variance())),
                    "critical": x.variance is None, "mu_1": text(x.law.mu(1)),
                }
                for x in layers
            ],
            "m_1": text(m[0]), "m_2_over_m_1_squared": text(m[1] / m[0] ** 2), "m_3": text(m[2]),
            "lambda_max": text(top), "lambda_max_soft": soft, "lambda_max_agreement": text(abs(coarse / top - 1), 3),
            "atom_at_zero": text(atom_at_zero(layers)),
            "points": [],
        }  # fmt: skip
        first = layers[0]
        if len(layers) == 1 and first.weights == "orthogonal" and first.law.name.startswith("leaky"):
            entry["lambda_min"] = text(reference.left_edge(first)[0])
        upper = top
        if not soft and first.law.name == "hardtanh" and first.weights == "orthogonal":
            # λ_max is an atom; the bulk ends lower.
            upper = bernoulli_edge(first.law.mu(1), "orthogonal", first.repeat)
            entry["bulk_edge"] = text(upper)
            entry["atom_at_lambda_max"] = text(1 - first.repeat * (1 - first.law.mu(1)))
        for lam in chosen(layers, float(upper), float(m[0]), float(m[1] / m[0] ** 2)):
            try:
                point = reference.density(layers, lam, DIGITS)
            except ArithmeticError as error:
                entry.setdefault("dropped", []).append(str(error))
                continue
            entry["points"].append(
                {
                    "lambda": repr(lam), "density": text(point.density), "residual": text(point.residual, 3),
                    "agreement": text(point.agreement, 3),
                }
            )  # fmt: skip
            if len(entry["points"]) == 2:  # ψ once more by mp.quad, which shares no node with the rule
                wanted = [point.w * layers[-1].fan_out / x.fan_out for x in layers]
                found = [reference.psi_quad(x.law.name, x.law.q, y, 22) for x, y in zip(layers, point.y, strict=True)]
                worst = max(abs(f / w - 1) for f, w in zip(found, wanted, strict=True))
                entry["points"][-1]["quad_residual"] = text(worst, 3)
    return entry


def main() -> None:
    """Compute the missing cases, writing after each."""
    done = json.loads(TARGET.read_text())["cases"] if TARGET.exists() else {}
    for name, layers in cases().items():
        if name not in done:
            began = time.time()
            done[name] = record(layers)
            print(f"{name}: {len(done[name]['points'])} points, {time.time() - began:.1f} s", flush=True)  # noqa: T201
            about = "Spectra of JJ^T by tests/make_golden_spectra.py: fan-in sigma_w2, normalised trace, q = Var h."
            TARGET.write_text(json.dumps({"about": about, "cases": done}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Exact and certified numbers: what they cost, beside sympy alone, and a sweep that no enclosure may fail.

Run `python benchmarks/exact.py`.  `--sweep N` networks, drawn with a seed: every ball of 15 digits must overlap that of
60, for q, χ, q*, χ_1, σ_w, μ_k, m_k and the density at one point, and λ_max of every tenth; exit status 1 where one
does not.  The largest errors of the same numbers in doubles are reported beside.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
from flint import arb

from spectra import ConfigError, ConvergenceError, Network, predict
from spectra.exact.moments import jacobian_moments
from spectra.exact.power_series import working_precision
from spectra.exact.precise import PreciseNetwork
from spectra.exact.symbolic import depth_moments, moment_polynomials

NAMES = (
    "identity", "relu", "leaky_relu", "prelu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus",
    "softsign", "tanh", "hardtanh", "sigmoid", "hardsigmoid", "hardswish", "erf", "sin", "shifted_relu",
)  # fmt: skip
ROUGH, FINE = 15, 60
HOMOGENEOUS = ("identity", "relu", "leaky_relu", "prelu")
# λ_max takes seconds: of one network in so many.
TENTH = 10


def seconds(action: Callable[[], Any], repeats: int = 3) -> float:
    """Shortest of a few runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - start)
    return best


def relu(depth: int) -> Network:
    """Gaussian, critical: all moments are integers."""
    return Network(depth=depth, activation="relu", sigma_w="critical", sigma_b=0.0)


def leaky(slope: float) -> Network:
    """Gaussian, critical, ten layers: all moments are rational."""
    activation = {"name": "leaky_relu", "negative_slope": slope}
    return Network(depth=10, activation=activation, sigma_w="critical", sigma_b=0.0)


def by_sympy(order: int, depth: int) -> list[Any]:
    """Moments of the same network by sympy's own polynomials: m_k = (1/k) [w^{k−1}] (1 + w)^k (1 + 2w)^{Lk}."""
    w = sympy.Symbol("w")
    base = sympy.Poly((1 + w) * (1 + 2 * w) ** depth, w)
    power, found = sympy.Poly(1, w), []
    for k in range(1, order + 1):
        power = sympy.Poly(dict(t for t in (power * base).terms() if t[0][0] < order), w)
        found.append(power.coeff_monomial(w ** (k - 1)) / k)
    return found


def costs() -> list[dict[str, Any]]:
    """Times of exact answers, and of the alternative where there is one."""
    rows: list[dict[str, Any]] = []
    assert list(jacobian_moments(relu(10), 60).values) == [int(m) for m in by_sympy(60, 10)]
    for order in (60, 200, 1000):
        row = {
            "case": f"ReLU, L = 10, m_1 … m_{order}, exact",
            "ours": seconds(lambda n=order: jacobian_moments(relu(10), n)),
        }
        if order <= 200:
            row["sympy"] = seconds(lambda n=order: by_sympy(n, 10), 1)
        rows.append(row)
    for slope, text in ((0.2, "1/5"), (0.01, "1/100")):
        for order in (200, 1000):
            ours = seconds(lambda n=order, s=slope: jacobian_moments(leaky(s), n))
            rows.append({"case": f"leaky ReLU, slope {text}, L = 10, m_1 … m_{order}, exact", "ours": ours})
    rows.append({"case": "polynomials in L with symbols, order 6", "ours": seconds(lambda: moment_polynomials(6))})
    rows.append({"case": "polynomials in L, ReLU, order 30", "ours": seconds(lambda: depth_moments(relu(1), 30))})
    net = Network(depth=10, activation="tanh", weights="orthogonal", sigma_w="critical", sigma_b=0.05)
    precise = PreciseNetwork(net, 50)
    anew = seconds(lambda: PreciseNetwork(net, 50).mean_field())
    rows.append({"case": "tanh: critical σ_w and q*, 50 digits, proven", "ours": anew})
    rows.append(
        {"case": "tanh, L = 10: m_1 … m_20, 50 digits, proven", "ours": seconds(lambda: precise.moments(20), 1)}
    )
    rows.append(
        {
            "case": "tanh, L = 10: density at a point, 50 digits, proven",
            "ours": seconds(lambda: precise.density(0.5), 1),
        }
    )
    rows.append(
        {
            "case": "tanh, L = 10: λ_max, 50 digits, proven",
            "ours": seconds(lambda: PreciseNetwork(net, 50).largest(), 1),
        }
    )
    return rows


def random_network(rng: np.random.Generator) -> Network:
    """One to four layers of any kind; a third of them alike, critical at some q*."""
    if rng.random() < 1 / 3:
        name, q_star = str(rng.choice(NAMES)), round(float(10.0 ** rng.uniform(-2.0, 0.5)), 4)
        weights, depth = str(rng.choice(["gaussian", "orthogonal"])), int(rng.integers(1, 20))
        at = {"sigma_b": 0.0} if name in HOMOGENEOUS else {"q_star": q_star}
        return Network(activation=name, weights=weights, depth=depth, sigma_w="critical", **at)
    layers = []
    for _ in range(int(rng.integers(1, 5))):
        layers.append({"activation": str(rng.choice(NAMES)), "weights": str(rng.choice(["gaussian", "orthogonal"]))})
        if rng.random() < 0.3:
            layers[-1]["repeat"] = int(rng.integers(2, 6))
    shape: dict[str, Any] = {"layers": layers}
    if rng.random() < 0.4:
        shape["input_width"] = int(rng.integers(20, 200))
        for layer in layers:
            layer["width"] = int(rng.integers(20, 200))
    sigma_w, sigma_b, variance = (round(float(x), 3) for x in rng.uniform([0.4, 0.0, 0.01], [2.5, 0.6, 4.0]))
    return Network(sigma_w=sigma_w, sigma_b=sigma_b, input_variance=variance, **shape)


def disagreements(net: Network, worst: dict[str, float], *, largest: bool) -> list[str]:
    """Names of what 15 digits enclose and 60 do not, λ_max among them where `largest`.

    The largest errors of doubles so far are kept in `worst`.
    """
    rough, fine = PreciseNetwork(net, ROUGH), PreciseNetwork(net, FINE)
    pairs = []
    coarse, exact = rough.mean_field(), fine.mean_field()
    for k, (a, b) in enumerate(zip(coarse.runs, exact.runs, strict=True)):
        pairs += [(f"q_{k}", a.law.q, b.law.q), (f"chi_{k}", a.chi, b.chi), (f"sigma_w2_{k}", a.sigma_w2, b.sigma_w2)]
        for order in (1, 2):
            with working_precision(400):
                pairs.append((f"mu_{order} of {k}", a.law.moment(order), b.law.moment(order)))
    for name, a, b in (("q_star", coarse.q_star, exact.q_star), ("chi_1", coarse.chi_1, exact.chi_1)):
        if a is not None and b is not None:
            pairs.append((name, a, b))
    pairs += [(f"m_{k}", a, b) for k, (a, b) in enumerate(zip(rough.moments(4), fine.moments(4), strict=True), 1)]
    pred = predict(net)
    law = pred.spectrum
    # (Half of the mass often ends at an edge, where the density is as uncertain as its place.)
    zero = float(law.cdf(0.0))
    location = float(law.icdf(zero + 0.4 * (1.0 - zero)))
    field = pred.mean_field
    known = [
        ("mean field", x, q) for x, q in zip(field.q, (q for run in exact.runs for q in run.variances), strict=True)
    ]
    chis = (run.chi for run in exact.runs for _ in range(run.repeat))
    known += [("mean field", x, chi) for x, chi in zip(field.chi, chis, strict=True)]
    known += [("moments", x, m) for x, m in zip(pred.moments(4), fine.moments(4), strict=True)]
    if law.pdf(location) > 0.0:
        pairs.append((f"density at {location}", rough.density(location), fine.density(location)))
        kind = "density" if pred.checks.certified else "density, uncertified"
        known.append((kind, law.pdf(location), pairs[-1][2]))
    if largest:
        pairs.append(("lambda_max", rough.largest(), fine.largest()))
    with working_precision(400):
        for kind, value, ball in known:
            error = abs(float(arb(float(value)) / ball.mid() - 1)) if not ball.contains(0) else 0.0
            worst[kind] = max(worst.get(kind, 0.0), error)
        # Balls of 60 digits are 1e-45 as wide as those that are to hold them.
        return [name for name, a, b in pairs if not a.overlaps(b)]


def sweep(count: int, seed: int) -> dict[str, Any]:
    """Random networks, and what of them disagrees."""
    rng = np.random.default_rng(seed)
    worst: dict[str, float] = {}
    outcome: dict[str, Any] = {"enclosed": 0, "refused": 0, "not proven": 0, "false": [], "errors of doubles": worst}
    for index in range(count):
        net = random_network(rng)
        try:
            wrong = disagreements(net, worst, largest=index % TENTH == TENTH - 1)
        except ConfigError:
            outcome["refused"] += 1
        except ConvergenceError as error:
            outcome["not proven"] += 1
            print(f"{index}: {error}", file=sys.stderr)
        else:
            outcome["false"] += [(index, name) for name in wrong]
            outcome["enclosed"] += not wrong
    return outcome


def main() -> int:
    """Print times, then the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sweep", type=int, default=500, help="number of random networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="no times, three networks")
    parser.add_argument("--json", metavar="PATH", help="write the results as JSON")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, sympy {sympy.__version__}")
    rows = [] if arguments.quick else costs()
    for row in rows:
        beside = (
            f"   sympy alone {1e3 * row['sympy']:9.1f} ms, {row['sympy'] / row['ours']:.0f}×" if "sympy" in row else ""
        )
        print(f"{row['case']:55s} {1e3 * row['ours']:9.1f} ms{beside}")
    outcome = sweep(3 if arguments.quick else arguments.sweep, arguments.seed)
    print("sweep:", outcome)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"costs": rows, "sweep": outcome}, file, indent=1)
    return 1 if outcome["false"] else 0


if __name__ == "__main__":
    sys.exit(main())

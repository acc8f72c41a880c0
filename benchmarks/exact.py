"""Exact and certified numbers: what they cost, beside sympy alone, and a sweep that no enclosure may fail.

Run `python benchmarks/exact.py`, or the sweep alone: `python benchmarks/exact.py --sweep 500 --no-costs --jobs 16`.
`--sweep N` networks, each drawn from (seed, number), so that `--first K` can go on elsewhere: every ball of 15 digits
must overlap that of 60, for q, χ, q*, χ_1, σ_w, μ_k, m_k and the density at one point, and λ_max of every tenth. Exit
status 1 where one does not, or a network crashes.  The largest errors of the same numbers in doubles are reported
beside.  Each network has a process and a time limit to itself; `--json` is written anew with each that is done.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
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


def compared(net: Network, *, largest: bool) -> dict[str, Any]:
    """What 15 digits enclose and 60 do not, what is not proven, and the largest errors of doubles.

    λ_max is among it where `largest`.
    """
    rough, fine = PreciseNetwork(net, ROUGH), PreciseNetwork(net, FINE)
    coarse, exact = rough.mean_field(), fine.mean_field()
    pairs: list[tuple[str, arb, arb]] = []
    unproven: dict[str, str] = {}

    def enclose(name: str, both: Callable[[], tuple[Any, Any]]) -> list[arb]:
        """Balls of a quantity, unless it is beyond proof; those of 60 digits once more."""
        try:
            values = both()
        except ConvergenceError as error:
            unproven[name] = str(error)
            return []
        several = isinstance(values[0], (list, tuple))
        found = list(zip(*values, strict=True)) if several else [values]
        pairs.extend((f"{name} {k}" if several else name, a, b) for k, (a, b) in enumerate(found, 1))
        return [b for _, b in found]

    for k, (a, b) in enumerate(zip(coarse.runs, exact.runs, strict=True)):
        pairs += [(f"q_{k}", a.law.q, b.law.q), (f"chi_{k}", a.chi, b.chi), (f"sigma_w2_{k}", a.sigma_w2, b.sigma_w2)]
        with working_precision(400):
            for order in (1, 2):
                enclose(f"mu_{order} of {k}", lambda n=order, a=a, b=b: (a.law.moment(n), b.law.moment(n)))
    for name, a, b in (("q_star", coarse.q_star, exact.q_star), ("chi_1", coarse.chi_1, exact.chi_1)):
        if a is not None and b is not None:
            pairs.append((name, a, b))
    pred = predict(net)
    field = pred.mean_field
    variances = (q for run in exact.runs for q in run.variances)
    chis = (run.chi for run in exact.runs for _ in range(run.repeat))
    known = [("mean field", x, q) for x, q in zip(field.q, variances, strict=True)]
    known += [("mean field", x, chi) for x, chi in zip(field.chi, chis, strict=True)]
    moments = enclose("m", lambda: (rough.moments(4), fine.moments(4)))
    known += [("moments", x, m) for x, m in zip(pred.moments(4), moments, strict=False)]
    law = pred.spectrum
    # (Half of the mass often ends at an edge, where the density is as uncertain as its place.)
    zero = float(law.cdf(0.0))
    location = float(law.icdf(zero + 0.4 * (1.0 - zero)))
    if law.pdf(location) > 0.0:
        kind = "density" if pred.checks.certified else "density, uncertified"
        density = enclose(f"density at {location}", lambda: (rough.density(location), fine.density(location)))
        known += [(kind, law.pdf(location), ball) for ball in density]
    if largest:
        highest = enclose("lambda_max", lambda: (rough.largest(), fine.largest()))
        known += [("lambda_max", float(law.support()[1]), ball) for ball in highest]
    worst: dict[str, float] = {}
    with working_precision(400):
        for kind, value, ball in known:
            error = abs(float(arb(float(value)) / ball.mid() - 1)) if not ball.contains(0) else 0.0
            worst[kind] = max(worst.get(kind, 0.0), error)
        # Balls of 60 digits are 1e-45 as wide as those that are to hold them.
        false = [name for name, a, b in pairs if not a.overlaps(b)]
    return {"false": false, "not proven": unproven, "enclosed": len(pairs) - len(false), "errors of doubles": worst}


def drawn(seed: int, index: int) -> Network:
    """Network number `index` of a seed, whatever came before it."""
    return random_network(np.random.default_rng([seed, index]))


def one(seed: int, index: int) -> dict[str, Any]:
    """What is found of one network, and in a word how it went."""
    try:
        found = compared(drawn(seed, index), largest=index % TENTH == TENTH - 1)
    except ConfigError as error:
        return {"outcome": "refused", "message": str(error)}
    except ConvergenceError as error:
        return {"outcome": "not proven", "message": str(error)}
    outcome = "false" if found["false"] else "not proven" if found["not proven"] else "enclosed"
    return {"outcome": outcome} | found


def alone(seed: int, index: int, limit: float) -> dict[str, Any]:
    """The same in a process of its own: what crashes there or does not end takes nothing else with it."""
    command = [sys.executable, __file__, "--seed", str(seed), "--one", str(index)]
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=limit, check=False, env=os.environ | single
        )
    except subprocess.TimeoutExpired:
        found = {"outcome": "ran out of time"}
    else:
        lines = done.stderr.splitlines() or [""]
        crashed = {"outcome": "crashed", "message": f"status {done.returncode}: {lines[-1]}"}
        found = crashed if done.returncode else json.loads(done.stdout)
    return {"index": index, "seconds": round(time.perf_counter() - start, 2)} | found


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """How many networks went how, what is false, and the largest errors of doubles."""
    counts = {
        name: sum(record["outcome"] == name for record in records)
        for name in ("enclosed", "refused", "not proven", "ran out of time", "crashed")
    }
    false = [(record["index"], name) for record in records for name in record.get("false", [])]
    worst: dict[str, float] = {}
    for record in records:
        for kind, error in record.get("errors of doubles", {}).items():
            worst[kind] = max(worst.get(kind, 0.0), error)
    return counts | {"false": false, "errors of doubles": worst}


def written(path: str | None, rows: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
    """All there is so far; the file is whole at any time."""
    if path is not None:
        beside = Path(f"{path}.part")
        networks = sorted(records, key=lambda record: record["index"])
        beside.write_text(json.dumps({"costs": rows, "sweep": summary(networks), "networks": networks}, indent=1))
        beside.replace(path)


def sweep(options: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Random networks, and what of them disagrees."""
    records: list[dict[str, Any]] = []
    tasks = range(options.first, options.first + options.sweep)
    # Threads: each does nothing but wait for its process.
    parallel = joblib.Parallel(n_jobs=options.jobs, backend="threading", return_as="generator_unordered")
    for record in parallel(joblib.delayed(alone)(options.seed, index, options.limit) for index in tasks):
        records.append(record)
        written(options.json, rows, records)
        if record["outcome"] not in ("enclosed", "refused"):
            print(f"{record['index']}: {record['outcome']} {record.get('message', '')}".rstrip(), file=sys.stderr)
            for name in record.get("false", []):
                print(f"    FALSE: {name}", file=sys.stderr)
            for name, message in record.get("not proven", {}).items():
                print(f"    {name}: {message}", file=sys.stderr)
        if sys.stderr.isatty():
            print(f"\r{len(records)} of {len(tasks)} networks", end="\r", file=sys.stderr, flush=True)
    return summary(sorted(records, key=lambda record: record["index"]))


def main() -> int:
    """Print times, then the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sweep", type=int, default=500, help="number of random networks")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="networks at once")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a network may take")
    parser.add_argument("--no-costs", action="store_true", help="the sweep alone")
    parser.add_argument("--quick", action="store_true", help="no times, three networks")
    parser.add_argument("--one", type=int, metavar="K", help="network K alone, in this process, as JSON")
    parser.add_argument("--json", metavar="PATH", help="write the results as JSON")
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(one(options.seed, options.one)))
        return 0
    if options.quick:
        options.no_costs, options.sweep = True, 3
    print(f"Python {platform.python_version()}, sympy {sympy.__version__}")
    rows = [] if options.no_costs else costs()
    for row in rows:
        beside = (
            f"   sympy alone {1e3 * row['sympy']:9.1f} ms, {row['sympy'] / row['ours']:.0f}×" if "sympy" in row else ""
        )
        print(f"{row['case']:55s} {1e3 * row['ours']:9.1f} ms{beside}")
    written(options.json, rows, [])
    outcome = sweep(options, rows)
    print("sweep:", outcome)
    return 1 if outcome["false"] or outcome["crashed"] else 0


if __name__ == "__main__":
    sys.exit(main())

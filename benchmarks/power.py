"""How often the verdict of `check` says "disagree": when the network is the one described, and when it is broken.

Run `python benchmarks/power.py`.  For a few networks, samples are drawn from the network itself and from four broken
ones: σ_w off by 1 %, orthogonal weights in place of Gaussian ones (or the reverse), one layer too many, one matrix used
in every layer.  Every seed has its own samples, at W, W/2 and W/4; intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg.lapack  # noqa: F401  # has a BLAS of its own, which the limit must find loaded
from threadpoolctl import threadpool_limits

from spectra import Network, crosscheck, predict, sample
from spectra.sampling.ensemble import Ensemble
from spectra.sampling.graded import GradedProduct
from spectra.sampling.weights import random_weights

NETWORKS: dict[str, dict[str, Any]] = {
    "linear, Gaussian, L = 4": {"depth": 4, "activation": "identity", "sigma_w": 1.0, "input_variance": 1.0},
    "ReLU, Gaussian, L = 4": {"depth": 4, "activation": "relu", "sigma_w": 2**0.5, "input_variance": 1.0},
    "ReLU, orthogonal, L = 4": {
        "depth": 4,
        "activation": "relu",
        "sigma_w": 2**0.5,
        "input_variance": 1.0,
        "weights": "orthogonal",
    },
    "tanh, Gaussian, L = 8": {"depth": 8, "activation": "tanh", "sigma_w": 1.1, "sigma_b": 0.1},
    "hard tanh, orthogonal, L = 4": {
        "depth": 4,
        "activation": "hardtanh",
        "sigma_w": 1.1,
        "sigma_b": 0.1,
        "weights": "orthogonal",
    },
}
Z = 1.959964  # of a 95 % interval

Draw = Callable[[int, int, int], Ensemble]


def cases(keys: dict[str, Any]) -> Iterator[tuple[str, Draw]]:
    """The network itself and the broken ones: name, and a function (width, samples, seed) → samples."""
    keys = keys | {"input_variance": predict(Network(**keys)).mean_field.input_variance}
    other = "gaussian" if keys.get("weights") == "orthogonal" else "orthogonal"
    yield "as described", lambda w, s, seed: sample(Network(**keys), w, s, seed)
    yield "σ_w + 1 %", lambda w, s, seed: sample(Network(**keys | {"sigma_w": 1.01 * keys["sigma_w"]}), w, s, seed)
    yield "other weights", lambda w, s, seed: sample(Network(**keys | {"weights": other}), w, s, seed)
    yield "one layer more", lambda w, s, seed: sample(Network(**keys | {"depth": keys["depth"] + 1}), w, s, seed)
    yield "tied weights", lambda w, s, seed: tied(Network(**keys), w, s, seed)


def tied(net: Network, width: int, samples: int, seed: int) -> Ensemble:
    """One matrix for all layers of a network; biases are fresh."""
    (spec,), depth = net.layers, net.layers[0].repeat
    size, offset = float(spec.sigma_w), float(spec.sigma_b or 0.0)  # type: ignore[arg-type]
    rng = np.random.default_rng((seed, width))
    logs, q, chi = np.full((samples, width), -np.inf), np.empty((samples, depth)), np.empty((samples, depth))
    for row in range(samples):
        w = random_weights(spec.weights, width, width, size, rng)
        product = GradedProduct(width)
        x = rng.standard_normal(width)
        x *= math.sqrt(float(net.input_variance or 1.0) / np.mean(x**2))  # type: ignore[arg-type]
        for layer in range(depth):
            h = w @ x + offset * rng.standard_normal(width)
            slopes, x = spec.activation.derivative(h), spec.activation(h)
            q[row, layer], chi[row, layer] = np.mean(h**2), size**2 * np.mean(slopes**2)
            product.multiply(w, slopes, orthogonal=spec.weights == "orthogonal")
        values = product.log_singular_values()
        logs[row, : values.size] = values
    return Ensemble(log_singular_values=logs, q=q, chi=chi, widths=(width,) * (depth + 1), seed=seed, network=net)


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a probability."""
    p, factor = count / total, 1 + Z**2 / total
    middle, half = p + Z**2 / (2 * total), Z * math.sqrt(p * (1 - p) / total + Z**2 / (4 * total**2))
    return max((middle - half) / factor, 0.0), min((middle + half) / factor, 1.0)


def statement(note: str) -> str:
    """What a note of a failed comparison is about."""
    return note.split(":")[0].split(" distance")[0].split(" at λ")[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="PATH")
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=20, help="per broken network")
    parser.add_argument("--null-seeds", type=int, default=40, help="per network as described")
    parser.add_argument("--only", help="networks whose name has this in it")
    options = parser.parse_args()
    if options.quick:
        options.width, options.samples, options.seeds, options.null_seeds = 32, 4, 1, 1
    chosen = {n: k for n, k in NETWORKS.items() if not options.only or options.only in n}
    chosen = dict(list(chosen.items())[:2]) if options.quick else chosen
    begin, rows = time.perf_counter(), []
    # Threads of BLAS that wait for each other cost more than small matrices gain; `sample` has threads of its own.
    limit = threadpool_limits(limits=1, user_api="blas")
    print(f"widths W = {options.width}, W/2, W/4; {options.samples}, 4 and 16 times as many networks")
    print(f"{'network':<30}{'samples from':<18}{'disagree':>10}  {'95 %':<16}found most often by")
    for name, keys in chosen.items():
        pred = predict(Network(**keys))
        for case, draw in cases(keys):
            null = case == "as described"
            seeds = options.null_seeds if null else options.seeds
            count, reasons = 0, Counter()
            for seed in range(seeds):
                shapes = [(options.width // d, options.samples * d * d) for d in (1, 2, 4)]
                result = crosscheck(pred, [draw(w, s, seed) for w, s in shapes])
                count += not result.agree
                reasons.update({statement(note) for note in result.notes if "beyond ±" in note or "exceeds" in note})
            low, high = wilson(count, seeds)
            common = ", ".join(f"{reason} {times}" for reason, times in reasons.most_common(3))
            print(f"{name:<30}{case:<18}{f'{count}/{seeds}':>10}  {f'{low:.1%}–{high:.1%}':<16}{common}", flush=True)
            rows.append(
                {
                    "network": name,
                    "case": case,
                    "disagree": count,
                    "seeds": seeds,
                    "interval": [low, high],
                    "reasons": dict(reasons),
                }
            )
    alarms = sum(row["disagree"] for row in rows if row["case"] == "as described")
    trials = sum(row["seeds"] for row in rows if row["case"] == "as described")
    low, high = wilson(alarms, trials)
    print(f"false alarms: {alarms} of {trials}, {low:.2%}–{high:.2%}; stated: at most 1 %")
    print(f"{time.perf_counter() - begin:.0f} s, {platform.machine()}, Python {sys.version.split()[0]}")
    limit.restore_original_limits()
    if options.json:
        record = {"width": options.width, "samples": options.samples, "rows": rows, "false_alarms": [alarms, trials]}
        Path(options.json).write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Predict random residual networks: what is certified, what is said not to be, and whether m_1 and m_2 agree.

Run `python benchmarks/random_blocks.py --count 220 --seed 6 --jobs 2`.  One line of JSON per network that was neither
refused nor certified, then a table of outcomes; exit status 1 where something went wrong.

Outcomes: `certified`; `uncertified` (said so); `refused` (ConfigError); `unconverged` (ConvergenceError: said so, too);
`slow` (beyond the time limit, in CPU seconds); and the failures `false` (certified, yet m_1 or m_2 of the density is
not that of the recursion, which solves no equation) and `crash`.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections import Counter
from functools import partial
from multiprocessing import Pool
from typing import Any

import numpy as np

from spectra import ConfigError, ConvergenceError, Network, predict
from spectra.correlated.network import first_two_moments

ACTIVATIONS = (
    "relu", "tanh", "leaky_relu", "gelu", "silu", "elu", "softplus", "hardtanh", "erf", "sigmoid", "identity", "sin",
    "mish", "selu", "hardswish", "softsign",
)  # fmt: skip
ORDERS, SHARES = ("pre", "post", "sum"), (0.5, 0.35, 0.15)
FAILURES = ("false", "crash")
# What `certified` promises of moments, and what the recursion, with states of its own, is good to.
MOMENTS = 1e-6


class TookTooLong(Exception):
    """The time limit."""


def random_config(rng: np.random.Generator) -> dict[str, Any]:
    """Keys of a `Network` of residual blocks, all alike."""
    config: dict[str, Any] = {
        "kind": "residual",
        "order": str(rng.choice(ORDERS, p=SHARES)),
        "depth": int(rng.choice([1, 2, 3, 4, 8, 16, 32])),
        "activation": str(rng.choice(ACTIVATIONS)),
        "weights": str(rng.choice(["gaussian", "orthogonal"])),
        "sigma_w": float(np.exp(rng.uniform(-0.7, 0.8))),
        "sigma_b": float(rng.choice([0.0, 0.1, 0.5])),
        "input_variance": float(np.exp(rng.uniform(-3.0, 3.0))),
    }
    scales = ("1/sqrt(depth)", 0.5, 1.0, float(np.exp(rng.uniform(-4.0, 1.0))), "1/depth")
    config["alpha"] = scales[int(rng.integers(len(scales)))]
    if rng.random() < 0.2:
        config["branch_layers"] = 2
    if rng.random() < 0.15:
        config["skip"] = float(rng.uniform(-1.5, 1.5))
    return config


def examined(index: int, seed: int, limit: float) -> tuple[dict[str, Any], str, str, float]:
    """Configuration, outcome, what is to be said of it, and CPU seconds."""
    config = random_config(np.random.default_rng([seed, index]))
    start = time.process_time()

    def ring(*_: Any) -> None:
        raise TookTooLong

    signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        outcome, detail = _outcome(config)
    except ConfigError as error:
        outcome, detail = "refused", str(error)
    except ConvergenceError as error:
        outcome, detail = "unconverged", str(error)
    except TookTooLong:
        outcome, detail = "slow", f"{limit:g} s of CPU"
    except Exception as error:
        outcome, detail = "crash", repr(error)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    return config, outcome, detail, time.process_time() - start


def _outcome(config: dict[str, Any]) -> tuple[str, str]:
    found = predict(Network(**config))
    checks = found.checks
    if not checks.certified:
        return "uncertified", f"mass {checks.mass_defect:.1e}, error {checks.residual:.1e}"
    exact, moments = first_two_moments(found.mean_field), found.moments(2)
    off = float(np.max(np.abs(moments / exact - 1.0)))
    return ("certified", "") if off < MOMENTS else ("false", f"m_1, m_2 = {moments}, by recursion {exact}")


def main() -> int:
    """Run the battery and print what it met."""
    parser = argparse.ArgumentParser(description="Predict random residual networks.")
    parser.add_argument("--count", type=int, default=220)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="index of the first network")
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds allowed for one network")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two networks")
    options = parser.parse_args()
    count = 2 if options.quick else options.count
    counts: Counter[str] = Counter()
    seconds: list[float] = []
    job = partial(examined, seed=options.seed, limit=options.limit)
    indices = range(options.first, options.first + count)
    with Pool(options.jobs) as pool:
        for index, (config, outcome, detail, taken) in zip(indices, pool.imap(job, indices), strict=True):
            counts[outcome] += 1
            if outcome not in ("refused", "certified"):
                print(json.dumps({"index": index, "outcome": outcome, "detail": detail, "config": config}), flush=True)
            if outcome != "refused":
                seconds.append(taken)
    print(f"{count} residual networks, seed {options.seed}:")
    for kind, number in counts.most_common():
        print(f"  {kind:<12} {number:>6}  {100.0 * number / count:6.2f} %")
    if seconds:
        print(f"  CPU seconds a prediction: median {np.median(seconds):.2f}, 90 % {np.quantile(seconds, 0.9):.1f}")
    return int(any(counts[kind] for kind in FAILURES))


if __name__ == "__main__":
    raise SystemExit(main())

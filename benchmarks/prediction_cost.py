"""What a prediction costs: over depth, over distinct layers, from a cold start, and beside sampling.

Run `python benchmarks/prediction_cost.py`.  A prediction is `predict` of a network not seen before (each of
another variance, imports done) with the density at 1000 points; times are medians.  Cold starts are whole processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from spectra import ConfigError, ConvergenceError, Network, predict, sample
from spectra.native import NATIVE
from spectra.network.jacobian import _slope_law

ACTIVATIONS = (
    "identity",
    "relu",
    "leaky_relu",
    "relu6",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softsign",
    "tanh",
    "hardtanh",
    "hardswish",
    "erf",
    "sin",
    "shifted_relu",
    "smoothed_relu",
    "softplus",
)
DEPTHS = (2, 10, 100, 1000, 10**6)
# What the whole should cost, in ms.
HOMOGENEOUS, DISTINCT, IMPORT, COLD = 5.0, 100.0, 200.0, 1000.0
CONFIG = 'depth = 16\nactivation = "tanh"\nweights = "orthogonal"\nsigma_w = "critical"\nq_star = 1.0\n'


def homogeneous(activation: str, weights: str, depth: int, shift: float = 0.0) -> Network:
    """Network on its critical line at q* = 1 + `shift`, so that the mean is one at every depth."""
    # The ReLU kind and the identity keep any variance at criticality: there the input sets it.
    if activation in ("identity", "relu", "leaky_relu"):
        return Network(
            depth=depth,
            activation=activation,
            weights=weights,
            sigma_w="critical",
            sigma_b=0.0,
            input_variance=1.0 + shift,
        )
    return Network(depth=depth, activation=activation, weights=weights, sigma_w="critical", q_star=1.0 + shift)


def distinct(count: int, shift: float = 0.0) -> Network:
    """Tanh layers with weights of `count` different scales, hence of as many variances."""
    layers = [{"sigma_w": 1.2 + shift + 0.4 * i / count} for i in range(count)]
    return Network(activation="tanh", weights="orthogonal", sigma_b=0.1, input_variance=1.0, layers=layers)


def cost(make: Callable[[float], Network], repeats: int, points: int = 1000) -> dict[str, Any]:
    """Median seconds of a prediction never made before, and what it said of itself.

    `make` gives the network for a small shift of its variance: each repetition is of another one.
    """
    try:
        low, high = predict(make(0.0)).spectrum.effective_support
    except (ConfigError, ConvergenceError) as error:
        return {"failed": str(error)}
    x = np.linspace(low, high, points)
    seconds = []
    for count in range(repeats):
        net = make(1e-7 * (count + 1))
        # The law of a homogeneous activation does not depend on the variance.
        _slope_law.cache_clear()
        start = time.perf_counter()
        found = predict(net)
        found.spectrum.pdf(x)
        seconds.append(time.perf_counter() - start)
        checks = found.checks
    return {
        "seconds": float(np.median(seconds)),
        "best": min(seconds),
        "certified": checks.certified,
        "residual": checks.residual,
        "mass_defect": checks.mass_defect,
    }


def process_seconds(arguments: list[str], repeats: int) -> float:
    """Median wall seconds of a Python process, interpreter start included."""
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def over_depth(activations: tuple[str, ...], depths: tuple[int, ...], repeats: int) -> list[dict[str, Any]]:
    """Table of homogeneous networks."""
    print(f"{'milliseconds at depth':<26}" + "".join(f"{d:>12}" for d in depths) + f"{'deepest/10':>12}")
    rows = []
    for weights in ("gaussian", "orthogonal"):
        for activation in activations:
            results = [cost(partial(homogeneous, activation, weights, depth), repeats) for depth in depths]
            cells = [_cell(r) for r in results]
            base = results[min(1, len(results) - 1)]
            known = "seconds" in base and "seconds" in results[-1]
            ratio = f"{results[-1]['seconds'] / base['seconds']:.2f}×" if known else ""
            print(f"{activation + ' ' + weights:<26}" + "".join(f"{c:>12}" for c in cells) + f"{ratio:>12}", flush=True)
            rows.append({"activation": activation, "weights": weights, "depths": list(depths), "results": results})
    for k, depth in enumerate(depths):
        known = [row["results"][k]["seconds"] for row in rows if "seconds" in row["results"][k]]
        within = sum(1e3 * x <= HOMOGENEOUS for x in known)
        print(f"depth {depth}: {within} of {len(known)} within {HOMOGENEOUS:g} ms, median {1e3 * np.median(known):.1f}")
    return rows


def _cell(result: dict[str, Any]) -> str:
    if "failed" in result:
        return "refused"
    return f"{1e3 * result['seconds']:.1f}" + ("" if result["certified"] else "?")


def against_sampling(width: int, repeats: int) -> list[dict[str, Any]]:
    """Prediction and one sampled network of `width`."""
    print(f"\n{f'beside sampling, width {width}':<26}{'predict ms':>12}{'sample ms':>12}{'ratio':>12}")
    rows = []
    for activation, weights, depth in (("tanh", "orthogonal", 16), ("tanh", "gaussian", 16), ("relu", "gaussian", 10)):
        net = homogeneous(activation, weights, depth)
        predicted = cost(partial(homogeneous, activation, weights, depth), repeats)
        sampled = _median(lambda net=net: sample(net, width=width, samples=1, seed=0), max(1, repeats // 3))
        label = f"{activation} {weights} {depth}"
        if "failed" in predicted:
            print(f"{label:<26}{'refused':>12}")
            continue
        ratio = sampled / predicted["seconds"]
        print(f"{label:<26}{1e3 * predicted['seconds']:>12.1f}{1e3 * sampled:>12.1f}{ratio:>11.1f}×", flush=True)
        rows.append({"network": label, "predict": predicted, "sample_seconds": sampled, "ratio": ratio})
    return rows


def _median(action: Callable[[], Any], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def cold(repeats: int) -> dict[str, float]:
    """Import and command line as processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        config, result = Path(folder, "net.toml"), Path(folder, "net.json")
        config.write_text(CONFIG)
        command = ["-m", "spectra", "predict", str(config), "--json", str(result)]
        bare = process_seconds(["-c", "pass"], repeats)
        numpy = process_seconds(["-c", "import numpy"], repeats) - bare
        imported = process_seconds(["-c", "import spectra"], repeats) - bare
        whole = process_seconds(command, repeats)
        json.loads(result.read_text())
    return {"interpreter": bare, "import numpy": numpy, "import spectra": imported, "spectra predict --json": whole}


def main() -> int:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two activations, two depths, small sampling")
    parser.add_argument("--json", help="write the numbers here, too")
    options = parser.parse_args()
    quick = options.quick
    repeats = 2 if quick else 5
    threads = [{"library": x["internal_api"], "threads": x["num_threads"]} for x in threadpool_info()]
    shown = ", ".join(f"{x['library']} {x['threads']}" for x in threads)
    print(f"Python {platform.python_version()}, numpy {np.__version__}; BLAS threads: {shown}")
    print("sums over nodes in compiled code" if NATIVE is not None else "sums over nodes with numpy")
    print(f"median of {repeats}; ? = said to be uncertified; goal {HOMOGENEOUS:g} ms at any depth\n")
    table = over_depth(("identity", "tanh") if quick else ACTIVATIONS, (2, 100) if quick else DEPTHS, repeats)
    count = 4 if quick else 100
    layers = cost(partial(distinct, count), min(repeats, 5))
    print(f"\n{f'{count} distinct layers':<26}{_cell(layers):>12} ms (goal {DISTINCT:g} ms)", flush=True)
    sampling = against_sampling(50 if quick else 500, repeats)
    print()
    start = cold(1 if quick else 7)
    goals = {"import spectra": IMPORT, "spectra predict --json": COLD}
    for name, seconds in start.items():
        goal = f" (goal {goals[name]:g} ms)" if name in goals else ""
        print(f"{name:<26}{1e3 * seconds:>12.0f} ms{goal}")
    if options.json:
        report = {"threads": threads, "depth": table, "distinct": layers, "sampling": sampling, "cold": start}
        Path(options.json).write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

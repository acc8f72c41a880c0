"""Batches of finite size: time and error of their integrals over the sphere; a normalised network beside a plain one.

python benchmarks/normalisation.py [--quick] [--json PATH]
"""

import argparse
import json
import math
import time
from pathlib import Path

from spectra import Network, sample
from spectra.activations import get_activation
from spectra.normalisation.batch import batch_moments


def relu_growth(batch: int) -> float:
    """Yang et al., ICLR 2019, Theorem 8."""
    c = -1.0 / (batch - 1)
    slope = (math.pi - math.acos(c)) / math.pi
    kernel = math.sqrt(1 - c * c) / math.pi + c * slope
    return (slope + batch - 1) / ((batch - 3) * (1 - kernel)) - 1 / (batch - 3)


def integrals(batches: tuple[int, ...]) -> list[dict]:
    """ReLU against its closed form, tanh against nothing but time, without ε and with one."""
    rows = []
    for name in ("relu", "tanh"):
        for ratio in (0.0, 1e-5):
            for batch in batches:
                phi = get_activation(name)
                batch_moments.cache_clear()
                start = time.process_time()
                found = batch_moments(phi, batch, 1.0, ratio)
                taken = time.process_time() - start
                growth = found.block / found.spread
                exact = name == "relu" and ratio == 0.0
                error = abs(growth / relu_growth(batch) - 1.0) if exact else None
                rows.append({"phi": name, "ratio": ratio, "batch": batch, "growth": growth, "s": taken, "error": error})
    return rows


def sampling(width: int, depth: int) -> list[dict]:
    """CPU seconds of one sampled network."""
    rows = []
    for normalise in (None, "rms", "layer", "batch", {"name": "batch", "batch": 4}):
        whole = isinstance(normalise, dict)
        net = Network(depth=depth, activation="tanh", sigma_w=1.0, input_variance=1.0, normalise=normalise)
        n = width // 4 if whole else width
        start = time.process_time()
        sample(net, n, 1, n_jobs=1)
        rows.append({"normalise": normalise, "width": n, "depth": depth, "s": time.process_time() - start})
    return rows


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    found = {"integrals": integrals((4, 8) if options.quick else (4, 8, 32, 128, 1024))}
    print("phi   ε/v      B     growth a layer  CPU ms    error")
    for row in found["integrals"]:
        error = "" if row["error"] is None else f"{row['error']:.0e}"
        at = f"{row['phi']:5s} {row['ratio']:<7g} {row['batch']:5d}"
        print(f"{at}   {row['growth']:.12f} {1e3 * row['s']:7.1f}   {error}")
    found["sampling"] = sampling(*((24, 2) if options.quick else (400, 8)))
    print("normalise                      N   L  CPU s a network")
    for row in found["sampling"]:
        print(f"{row['normalise']!s:28s} {row['width']:4d} {row['depth']:3d}   {row['s']:8.3f}")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Time of tuning and of an audit, and how exactly targets are met.

For erf with orthogonal weights q* is known in closed form: (1 + πq)/√(1 + 2πq) = 1 + V/L.

    python benchmarks/advice.py [--quick] [--json PATH]
"""

import argparse
import json
import math
import time
from pathlib import Path

import spectra

DEPTHS = (4, 32, 256)


def timed(function):
    """CPU seconds, the best of three after one to warm up, and the result."""
    result, best = function(), math.inf
    for _ in range(3):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="PATH", type=Path)
    options = parser.parse_args()
    depths = DEPTHS[:1] if options.quick else DEPTHS
    rows = []
    print("depth   target             CPU s     q*           missed by")
    for depth in depths:
        keys = {"depth": depth, "activation": "erf", "weights": "orthogonal"}
        for kind, value in (("variance", 0.25), ("s_max", 2.0), ("condition", 10.0), ("gradient", 2.0)):
            target = spectra.Target(kind, value)
            seconds, tuned = timed(lambda keys=keys, target=target: spectra.tune(keys, target, advise=False))
            missed = abs(target.of(tuned.network) / value - 1)
            rows.append({"depth": depth, "target": kind, "seconds": seconds, "missed": missed})
            print(f"{depth:5d}   {kind:9s} {value:5.2f}   {seconds:8.3f}   {tuned.found.q_star:.6e}   {missed:8.1e}")
        v = 0.25 / depth
        square = v * (2 + v)
        exact = (square + (1 + v) * math.sqrt(square)) / math.pi
        found = spectra.tune(keys, spectra.Target("variance", 0.25), advise=False).found.q_star
        print(f"{depth:5d}   q* of the variance against its closed form: {abs(found / exact - 1):.1e}")
        net = spectra.Network(depth=depth, activation="tanh", init="torch_default", width=256)
        print(
            f"{depth:5d}   audit of torch's default: {timed(lambda net=net: spectra.audit(net, advise=False))[0]:.3f} s"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

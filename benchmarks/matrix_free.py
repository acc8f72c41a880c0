"""Matrix-free estimates beside the dense route: time, memory and error over the width.

Run `python benchmarks/matrix_free.py`.  One network a row: `spectra.sample` (weights, product, all singular values)
against `matrix_free.sample` with its defaults, weights drawn anew for every product (`redrawn`) or kept (`kept`).
Time is CPU time of the process, memory the peak of traced allocations in a run of its own.
Errors: λ_max by the bound that comes with it, m_2 by the standard error over the probes.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spectra import Network, sample
from spectra.sampling import matrix_free

WIDTHS = (500, 1000, 2000, 4000, 8000)
DENSE_UP_TO = 4000  # above, the dense time is the last one times the cube of the ratio, and said to be


def network(weights: str, depth: int) -> Network:
    """Critical tanh layers at q* = ½."""
    return Network(depth=depth, activation="tanh", weights=weights, sigma_w="critical", q_star=0.5)


def measured(call: Callable[[], Any], *, memory: bool) -> dict[str, Any]:
    """CPU seconds and result of a call, and the peak of its allocations in a second one where asked for."""
    start = time.process_time()
    result = call()
    found = {"seconds": time.process_time() - start, "result": result, "mebibytes": None}
    if memory:
        tracemalloc.start()
        call()
        found["mebibytes"] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    return found


def row(weights: str, depth: int, width: int, last: dict[str, Any] | None, dense_up_to: int) -> dict[str, Any]:
    """All routes at one width."""
    net = network(weights, depth)
    memory = width <= 2000  # of order N² and N, both known by then: no second run of minutes
    found: dict[str, Any] = {"weights": weights, "depth": depth, "width": width, "extrapolated": width > dense_up_to}
    if not found["extrapolated"]:
        dense = measured(lambda: sample(net, width, samples=1), memory=memory)
        found["dense"] = {"seconds": dense["seconds"], "mebibytes": dense["mebibytes"]}
    elif last is not None:
        found["dense"] = {"seconds": last["dense"]["seconds"] * (width / last["width"]) ** 3, "mebibytes": None}
    for name, kept in (("redrawn", 0.0), ("kept", 1e12)):
        if name == "kept" and 8 * depth * width**2 > 4e9:
            continue
        run = measured(lambda kept=kept: matrix_free.sample(net, width, samples=1, memory=kept), memory=memory)
        estimate = run["result"]
        found[name] = {
            "seconds": run["seconds"],
            "mebibytes": run["mebibytes"],
            "products": estimate.products,
            "top_bound": float(estimate.top_bound[0]),
            "m_2_error": float(estimate.moment_errors[1] / estimate.moments[1]),
        }
    return found


def show(found: dict[str, Any]) -> None:
    """Print one row."""

    def cell(name: str) -> str:
        route = found.get(name)
        if route is None:
            return f"{'':>20}"
        size = "" if route["mebibytes"] is None else f"{route['mebibytes']:.0f} MiB"
        mark = "*" if name == "dense" and found["extrapolated"] else ""
        return f"{route['seconds']:>9.2f} s{mark:<1}{size:>9}"

    ratio = found["dense"]["seconds"] / found["redrawn"]["seconds"]
    errors = f"{found['redrawn']['products']:>9}{found['redrawn']['top_bound']:>10.0e}"
    errors += f"{found['redrawn']['m_2_error']:>10.1e}"
    cells = "".join(cell(name) for name in ("dense", "redrawn", "kept"))
    print(f"{found['weights']:<11}{found['depth']:>3}{found['width']:>7}{cells}{ratio:>14.2f}{errors}", flush=True)


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smallest size")
    parser.add_argument("--json", metavar="PATH", help="also write the numbers here")
    arguments = parser.parse_args()
    widths, dense = ((60, 90), 60) if arguments.quick else (WIDTHS, DENSE_UP_TO)
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    heading = "".join(f"{name:>20}" for name in ("dense", "redrawn", "kept"))
    columns = f"{'dense/redrawn':>14}{'products':>9}{'λ_max to':>10}{'m_2 to':>10}"
    print(f"{'weights':<11}{'L':>3}{'width':>7}{heading}{columns}")
    rows: list[dict[str, Any]] = []
    for weights, depth in (("gaussian", 3), ("orthogonal", 3)):
        last = None
        for width in widths:
            rows.append(row(weights, depth, width, last, dense))
            show(rows[-1])
            last = last if rows[-1]["extrapolated"] else rows[-1]
    print("* from the last width, by the cube")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

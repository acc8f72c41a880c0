"""The phase diagram: seconds for a grid, error against maps of single networks, and mean-field figures beside peers.

Run `python benchmarks/phase.py`.  A grid has q*, χ_1, phase, ξ_q and ξ_c at every point, caches emptied before it.
Errors are the largest at points drawn at random, against `VarianceMap` and `CorrelationMap`, which share no table with
the grid.  Mean field of one network: dks and neural-tangents (which wants jax 0.4) are timed warm where they are
installed, iterated to the fixed point; a name that is not printed is not installed.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spectra import edge_of_chaos, phase_grid
from spectra.activations import get_activation
from spectra.network.correlation import CorrelationMap
from spectra.network.expectations import gaussian_moments
from spectra.network.qmap import VarianceMap, scan
from spectra.phase.curve import _edge
from spectra.phase.grid import Phase, PhaseGrid
from spectra.phase.interpolated import interpolated_moments

ACTIVATIONS = ("tanh", "erf", "hardtanh", "elu", "selu", "gelu", "silu", "softsign", "sin", "relu", "softplus")
SIGMA_W, SIGMA_B = 1.5, 0.3
BIAS = SIGMA_B**2
STEPS = 1000


def cold(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds with the caches of moments emptied, and the result."""
    for cache in (gaussian_moments, interpolated_moments, scan, _edge):
        cache.cache_clear()
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def filled(name: str, cells: int) -> PhaseGrid:
    grid = phase_grid(name, np.linspace(4.0 / cells, 4.0, cells), np.linspace(0.0, 1.0, cells))
    assert grid.xi_q.shape == grid.xi_c.shape
    return grid


def errors(grid: PhaseGrid, count: int) -> tuple[float, float]:
    """Largest relative error of q* times |1 − slope|, and absolute error of χ_{c*}, at random points."""
    known = np.argwhere(grid.q_star > 0.0)
    worst_q = worst_c = 0.0
    for i, j in known[np.random.default_rng(0).integers(0, len(known), count)]:
        w, b = math.sqrt(grid.weight_variances[j]), math.sqrt(grid.bias_variances[i])
        points = VarianceMap(grid.activation, w, b).fixed_points().stable_positive
        q = float(grid.q_star[i, j])
        nearest = min((p.q for p in points), key=lambda x, q=q: abs(x - q), default=math.nan)
        worst_q = max(worst_q, abs(q / nearest - 1.0) * abs(1.0 - float(grid.slope[i, j])))
        if grid.phase[i, j] == Phase.CHAOTIC:
            one = CorrelationMap(grid.activation, w, b, q)
            worst_c = max(worst_c, abs(float(grid.chi_c_star[i, j]) - one.slope(one.fixed_point)))
    return worst_q, worst_c


def best(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Least seconds of several calls, the first one apart, and the result."""
    result, times = call(), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def ours(name: Any) -> tuple[float, float]:
    """q* and χ_1 of one network, moments kept from call to call."""
    activation = get_activation(name)
    q = VarianceMap(activation, SIGMA_W, SIGMA_B).fixed_points().stable_positive[0].q
    return q, SIGMA_W**2 * gaussian_moments(activation).at(q).slope2


def per_point(name: Any, cells: int) -> tuple[float, tuple[float, float]]:
    """Seconds per point of q*, χ_1 and ξ_q over a grid around the network, warm, and its middle."""
    weights, biases = (np.linspace(0.5, 1.5, 2 * cells + 1) * x for x in (SIGMA_W**2, BIAS))
    seconds, grid = best(lambda: phase_grid(name, weights, biases), 3)
    return seconds / grid.q_star.size, (float(grid.q_star[cells, cells]), float(grid.chi_1[cells, cells]))


def by_dks(name: str) -> Callable[[], tuple[float, float]] | None:
    """The variance map by dks's Gaussian means (100,000 nodes, its own), iterated to 1e-14; χ_1 by its derivative."""
    try:
        import autograd.numpy as anp
        from autograd import elementwise_grad
        from dks.base import activation_transform as dks
    except ImportError:
        return None
    phi = {"tanh": anp.tanh, "hardtanh": lambda x: anp.clip(x, -1.0, 1.0)}.get(name)
    if phi is None:
        return None

    def call() -> tuple[float, float]:
        q = 1.0
        for _ in range(STEPS):
            after = SIGMA_W**2 * float(dks._estimate_gaussian_mean(lambda x, q=q: phi(math.sqrt(q) * x) ** 2)) + BIAS
            done = abs(after - q) < 1e-14 * q
            q = after
            if done:
                break
        slope = elementwise_grad(phi)
        return q, SIGMA_W**2 * float(dks._estimate_gaussian_mean(lambda x: slope(math.sqrt(q) * x) ** 2))

    return call


def by_neural_tangents(name: str) -> Callable[[], tuple[float, float]] | None:
    """The kernel of 60 layers, compiled: its value is q*; it has no χ_1."""
    try:
        import jax
        from neural_tangents import stax
    except ImportError:
        return None
    if name != "plain erf":
        return None
    jax.config.update("jax_enable_x64", True)
    layers = [part for _ in range(60) for part in (stax.Dense(1, SIGMA_W, SIGMA_B), stax.Erf())]
    kernel = stax.serial(*layers, stax.Dense(1, SIGMA_W, SIGMA_B))[2]
    compiled = jax.jit(lambda x: kernel(x, x, "nngp"))
    x = jax.numpy.ones((1, 1))
    return lambda: (float(compiled(x)[0, 0]), math.nan)


def mean_field_rows(repeats: int) -> list[dict[str, Any]]:
    """Print and return time and digits of q* and χ_1 at σ_w = 1.5, σ_b = 0.3, warm."""
    print(f"\none network, sigma_w = {SIGMA_W}, sigma_b = {SIGMA_B}, warm")
    print("activation   by                      ms                 q*              chi_1")
    rows = []
    for name in ("tanh", "hardtanh", "plain erf"):
        spec: Any = {"expr": "erf(x)"} if name == "plain erf" else name
        for who, call in (
            ("spectra", lambda spec=spec: ours(spec)),
            ("dks", by_dks(name)),
            ("neural-tangents", by_neural_tangents(name)),
        ):
            if call is None:
                continue
            seconds, (q, chi) = best(call, repeats)
            shown = "" if math.isnan(chi) else f"{chi:18.14f}"
            print(f"{name:12s} {who:16s} {1e3 * seconds:9.3f} {q:18.14f} {shown}")
            if who == "spectra":
                each, (q_grid, chi_grid) = per_point(spec, 5 if repeats < 5 else 100)
                print(f"{name:12s} {'… a grid point':16s} {1e3 * each:9.3f} {q_grid:18.14f} {chi_grid:18.14f}")
                rows.append({"activation": name, "by": "grid", "seconds": each, "q_star": q_grid, "chi_1": chi_grid})
            rows.append({"activation": name, "by": who, "seconds": seconds, "q_star": q, "chi_1": chi})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cells, checked, names = (20, 5, ACTIVATIONS[:2]) if arguments.quick else (200, 60, ACTIVATIONS)
    rows: list[dict[str, Any]] = []
    print(f"{cells} × {cells} grid, {platform.machine()}, Python {platform.python_version()}")
    print("activation    s, cold   q* error   χ_c* error   no q*   curve, ms")
    for name in names:
        seconds, grid = cold(lambda name=name: filled(name, cells))
        q_error, c_error = errors(grid, checked)
        lost = float((grid.phase == Phase.NO_FIXED_POINT).mean())
        curve, _ = cold(lambda name=name: edge_of_chaos(name))
        rows.append({"activation": name, "seconds": seconds, "q_error": q_error, "c_error": c_error, "curve": curve})
        print(f"{name:12s} {seconds:8.2f} {q_error:10.0e} {c_error:12.0e} {lost:7.0%} {1e3 * curve:11.0f}")
    print(f"\nslowest grid: {max(row['seconds'] for row in rows):.2f} s; the goal is 2 s")
    points = mean_field_rows(2 if arguments.quick else 5)
    for row in points:
        row["chi_1"] = None if math.isnan(row["chi_1"]) else row["chi_1"]
    if arguments.json:
        arguments.json.write_text(json.dumps({"cells": cells, "rows": rows, "points": points}, indent=1))


if __name__ == "__main__":
    main()

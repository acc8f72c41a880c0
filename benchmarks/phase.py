"""The phase diagram: seconds for a grid, error against maps of single networks, and mean-field figures beside peers.

Run `python benchmarks/phase.py`.  A grid has q*, χ_1, phase, ξ_q and ξ_c at every point, caches emptied before it.
Errors are the largest at points drawn at random, against `VarianceMap` and `CorrelationMap`, which share no table with
the grid.  Mean field of one point: neural-tangents and dks are timed warm where they are installed, as their users
would iterate them to the fixed point; a name that is not printed is not installed.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
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


def ours(name: str) -> Callable[[], tuple[float, float]]:
    activation = get_activation(name)

    def call() -> tuple[float, float]:
        q = VarianceMap(activation, SIGMA_W, SIGMA_B).fixed_points().stable_positive[0].q
        return q, SIGMA_W**2 * gaussian_moments(activation).at(q).slope2

    return call


def peers(name: str) -> Iterator[tuple[str, Callable[[], tuple[float, float]]]]:
    """(name, function that gives q* and χ_1) of every peer installed that knows the activation."""
    try:
        import jax
        from neural_tangents import stax

        jax.config.update("jax_enable_x64", True)
        layer = {"erf": stax.Erf, "relu": stax.Relu, "gelu": stax.Gelu}.get(name)
        if layer is not None:
            _, _, kernel = stax.serial(stax.Dense(1, SIGMA_W, SIGMA_B, parameterization="standard"), layer())
            del kernel
    except ImportError:
        pass
    try:
        from dks.base import activation_transform, activation_getter
    except ImportError:
        return
    getter = getattr(activation_getter, "get_activation_function", None)
    if getter is None:
        return
    phi = getter(name) if name != "hardtanh" else None
    if phi is None:
        return
    transform = activation_transform

    def by_dks() -> tuple[float, float]:
        q = 1.0
        for _ in range(STEPS):
            step = SIGMA_W**2 * float(transform._compute_local_q_map(phi, q)) + SIGMA_B**2  # noqa: SLF001
            if abs(step - q) < 1e-14 * q:
                break
            q = step
        return q, math.nan

    yield "dks", by_dks


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
    if arguments.json:
        arguments.json.write_text(json.dumps({"cells": cells, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()

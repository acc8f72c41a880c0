"""Residual blocks: CPU seconds against depth, both orders, and how far the free formula is off.

Run `python benchmarks/residual.py`, or `--quick` for a small version. x ← x + α(Wφ(x)) ("pre") or x + αφ(Wx) ("post"),
α = 1/√L, σ_w = 1, x_0 of variance 1. "law" is the whole law: edges, density, moments, error; "mass" how far it closes.
The last table holds the free formula against the equation over diagonal matrices where slopes are independent.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import spectra
from spectra.correlated import BlockEquation, Layer, block_law, blocks_of, free_law
from spectra.correlated.free_product import freeness_defect
from spectra.correlated.known import density_at
from spectra.network.config import Network

POINTS = 1000


def network(depth: int, activation: str, order: str) -> Network:
    return spectra.Network(
        kind="residual",
        depth=depth,
        activation=activation,
        order=order,
        alpha="1/sqrt(depth)",
        sigma_w=1.0,
        sigma_b=0.0,
        input_variance=1.0,
    )


def predicted(net: Network) -> tuple[float, spectra.Prediction]:
    """CPU seconds for the law and `POINTS` values of its density."""
    start = time.process_time()
    found = spectra.predict(net)
    found.spectrum.pdf(np.linspace(*found.spectrum.support(), POINTS))
    return time.process_time() - start, found


def costs(depths: tuple[int, ...]) -> None:
    print(f"CPU seconds for the law and {POINTS} points, second run")
    for order in ("pre", "post"):
        for name in ("relu", "tanh"):
            for depth in depths:
                net = network(depth, name, order)
                if order == "post":
                    predicted(net)
                seconds, found = predicted(net)
                close = abs(found.checks.mass_defect)
                print(
                    f"{order:5} {name:5} L = {depth:3}  {seconds:8.3f} s  mass to {close:.0e}  {found.checks.certified}"
                )


def deviations(depths: tuple[int, ...]) -> None:
    print("density of the free formula, between the 2nd and the 98th percentile: largest error, and the estimate")
    for name, haar in (("relu", False), ("relu", True), ("tanh", False)):
        activation = network(1, name, "pre").layers[0].activation
        for depth in depths:
            layers = [Layer(activation, 1.0, 1.0, 1.0 / depth, haar, False)] * depth
            free = free_law(layers).spectrum
            u = free.quantile_at(np.array([0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98]))
            exact, _ = density_at(BlockEquation(blocks_of(layers), 9), u)
            worst = float(np.max(np.abs(np.exp(free.log_density_at(u)) / exact - 1.0)))
            kind = "orthogonal" if haar else "gaussian"
            print(f"{name:5} {kind:10} L = {depth:3}  {worst:.1e}  {freeness_defect(layers):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    costs((2,) if quick else (4, 16, 64))
    layers = [Layer(network(1, "relu", "post").layers[0].activation, 1.0, 1.0, 0.01, False, False)] * 100
    free_law(layers)
    start = time.process_time()
    law = free_law(layers)
    law.spectrum.pdf(np.linspace(*law.spectrum.support(), POINTS))
    print(f"100 blocks with fresh masks: {time.process_time() - start:.3f} s")
    if not quick:
        print(f"error of a law of 4 blocks: {block_law(layers[:4]).error:.0e}")
    deviations((3,) if quick else (3, 4, 8, 16))


if __name__ == "__main__":
    main()

"""Residual blocks: CPU seconds against depth, all orders, and how far the free formula is off.

Run `python benchmarks/residual.py`, or `--quick` for a small version. x ← x + α(Wφ(x)) ("pre") or x + αφ(Wx) ("post"),
α = 1/√L, σ_w = 1, x_0 of variance 1. "law" is the whole law: edges, density, moments, error; "mass" how far it closes.
The second table has branches of several layers, φ after the sum, and normalised blocks: beside the cost how far the
mass closes, the error that is stated, and m_1 and m_2 of the density against the recursion that needs no spectrum. The
third has those two moments alone, also where there is no spectrum, and what the product of χ makes of m_1. The last
table holds the free formula against the equation over diagonal matrices where slopes are independent.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import spectra
from spectra.correlated import BlockEquation, Layer, block_law, blocks_of, free_law
from spectra.correlated.free_product import freeness_defect
from spectra.correlated.known import density_at
from spectra.correlated.network import first_two_moments
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


HE = 2.0**0.5
FAMILIES = {
    "pre, 2 layers, ReLU": {"branch_layers": 2, "sigma_w": HE},
    "pre, 3 layers, tanh": {"branch_layers": 3, "activation": "tanh", "sigma_w": 1.3},
    "post, 2 layers, ReLU": {"order": "post", "branch_layers": 2, "sigma_w": HE},
    "sum, ReLU": {"order": "sum", "alpha": 0.5},
    "sum, 2 layers, ReLU": {"order": "sum", "branch_layers": 2, "sigma_w": HE, "alpha": 0.5},
    "sum, hard tanh": {"order": "sum", "activation": "hardtanh", "alpha": 0.5},
    "pre, layer norm, ReLU": {"normalise": "layer"},
    "pre, batch norm, tanh": {"normalise": "batch", "activation": "tanh"},
    "post, RMS norm of the sum, ReLU": {"normalise": {"name": "rms", "position": "sum"}, "order": "post"},
}


def families(depths: tuple[int, ...]) -> None:
    print(f"CPU seconds for the law and {POINTS} points; mass; stated error; m_1, m_2 against the recursion")
    for name, keys in FAMILIES.items():
        for depth in depths:
            net = network(depth, "relu", "pre").replace(**keys)
            try:
                seconds, found = predicted(net)
            except (spectra.ConvergenceError, ValueError) as error:
                print(f"{name:32} L = {depth:3}  {str(error)[:70]}", flush=True)
                continue
            moments = found.spectrum.moment(1), found.spectrum.moment(2)
            off = [abs(a / b - 1.0) for a, b in zip(moments, first_two_moments(found.mean_field), strict=True)]
            checks = found.checks
            print(
                f"{name:32} L = {depth:3}  {seconds:8.3f} s  {abs(checks.mass_defect):.0e}  {checks.residual:.0e}  "
                f"{off[0]:.0e}, {off[1]:.0e}  {checks.certified}",
                flush=True,
            )


def moments_alone(depths: tuple[int, ...]) -> None:
    print("m_1 and m_2/m_1² after the sum, α = ½: CPU ms with the mean field; the product of χ over m_1")
    for name in ("relu", "tanh", "gelu"):
        for depth in depths:
            net = network(depth, name, "sum").replace(alpha=0.5)
            start = time.process_time()
            try:
                field = spectra.mean_field(net)
                first, second = first_two_moments(field)
            except ValueError as error:
                print(f"{name:5} L = {depth:3}  {str(error)[:70]}")
                continue
            seconds = time.process_time() - start
            product = float(np.prod(field.chi)) / first
            print(
                f"{name:5} L = {depth:3}  {1e3 * seconds:7.1f} ms  {first:.6g}  {second / first**2:.6g}  {product:.3g}"
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
    families((1,) if quick else (4, 8, 16))
    moments_alone((2,) if quick else (4, 16, 64))
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

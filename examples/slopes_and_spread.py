"""Unequal slopes φ'(h), and what they do to the spectrum of JJᵀ along the edge of chaos.

With orthogonal weights the variance of JJᵀ after L layers is L (μ_2/μ_1² − 1), the relative variance of φ'(h)² times
the depth. Of tanh and its kind it falls like q*², of hard tanh exponentially, of ReLU it does not depend on q* at all:
its slopes are 0 or 1 with equal probability whatever q* is.

Saves slopes.png (φ above the law of φ'(h), for four q*) and along.png in the working directory.
"""

from pathlib import Path

import numpy as np

import spectra
from spectra.phase.universality import depth_scaling
from spectra.plot import along_figure, figure_bytes, slopes_figure

names = ("relu", "hardtanh", "erf", "smoothed_relu")
columns = [[spectra.slope_distribution(name, q) for q in (0.2, 0.5, 1.0, 2.0)] for name in names]
Path("slopes.png").write_bytes(figure_bytes(slopes_figure(columns)))

q = np.geomspace(1e-3, 10.0, 33)
runs = [spectra.spectrum_along(name, depth, q) for name in ("tanh", "hardtanh") for depth in (4, 32)]
depths = np.array([1, 10, 100, 1000, 10000])
needed = [depth_scaling(name, depths, spread=0.25) for name in ("tanh", "erf", "hardtanh", "gelu", "relu")]
Path("along.png").write_bytes(figure_bytes(along_figure(runs, needed, 0.25)))

print("at q* = 1       mu_1     mu_2   s.d. of JJ^T per layer: orthogonal, Gaussian   class")
for one in spectra.universality_table(("tanh", "erf", "hardtanh", "gelu", "silu", "elu", "selu", "relu")):
    deviations = f"{one.deviation('orthogonal'):26.4f} {one.deviation('gaussian'):9.4f}"
    print(f"{one.activation.name:10s} {one.mu_1:9.5f} {one.mu_2:8.5f} {deviations} {one.kind:>19s}")

print("\nlargest q* for a variance of JJ^T of 1/4 after L orthogonal layers")
print("L         " + "".join(f"{depth:>12d}" for depth in depths))
for one in needed:
    print(f"{one.activation.name:10s}" + "".join(f"{x:12.4g}" if x == x else f"{'none':>12s}" for x in one.q_star))

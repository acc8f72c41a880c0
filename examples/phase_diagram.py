"""Where do signals survive? The phase diagram of tanh, its edge of chaos coloured by q*, and the curves of others.

Left of the curve two inputs become the same, right of it neighbours part; along it both live on, and gradients neither
vanish nor explode. The curve is traced by q*, the variance of the pre-activations: σ_w² = 1/E φ'² and
σ_b² = q* − σ_w² E φ². ReLU has one critical point and no more; beyond the dotted lines variances grow without bound.

Saves phase_tanh.png and phase_several.png in the working directory.
"""

from pathlib import Path

import numpy as np

import spectra
from spectra.plot import figure_bytes, phase_figure

weights, biases = np.linspace(0.02, 4.0, 200), np.linspace(0.0, 0.5, 200)

tanh = spectra.edge_of_chaos("tanh")
grid = spectra.phase_grid("tanh", weights, biases)
Path("phase_tanh.png").write_bytes(figure_bytes(phase_figure([grid], [tanh.within(4.0, 0.5)])))

print("tanh: sigma_b    sigma_w on the edge of chaos    q*")
for sigma_b in (0.05, 0.1, 0.3):
    for point in tanh.at_bias(sigma_b):
        print(f"{sigma_b:13g} {point.sigma_w:31.14f} {point.q_star:8.4f}")

names = ("tanh", "erf", "hardtanh", "relu", "elu", "gelu")
edges = [spectra.edge_of_chaos(name) for name in names]
grids = [spectra.phase_grid(name, weights, biases) for name in names]
figure = phase_figure(grids, [edge.within(4.0, 0.5) for edge in edges])
Path("phase_several.png").write_bytes(figure_bytes(figure))
for edge in edges:
    print(edge.shape())

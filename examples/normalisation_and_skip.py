"""Which order of normalisation and skip makes gradients explode: mean squares over the depth, predicted and sampled.

Normalised after the sum, x itself is divided in every block, and gradients grow by one factor a block; normalised in
the branch, before the activation, x grows beside it, and gradients grow like a power of the depth. Batch norm without
a skip explodes fastest.

Saves normalisation_and_skip.png.
"""

import math

import numpy as np
from matplotlib.figure import Figure

import spectra
from spectra.network.meanfield import mean_field
from spectra.normalisation.growth import growth

DEPTH = 64
SAMPLED = (1, 2, 4, 8, 16, 32)
WIDTH, SAMPLES = 64, 8

shared = {"activation": "relu", "sigma_w": math.sqrt(2.0), "input_variance": 1.0}
block = {"kind": "residual", "alpha": 1.0}
NETWORKS = {
    "batch norm, no skip": {"normalise": "batch"},
    "batch norm after the sum": block | {"normalise": {"name": "batch", "position": "sum"}},
    "batch norm in the branch": block | {"normalise": "batch"},
    "layer norm in the branch": block | {"normalise": "layer"},
    "layer norm, no skip": {"normalise": "layer"},
    "RMS norm after the sum, φ last": block | {"normalise": {"name": "rms", "position": "sum"}, "order": "post"},
}

figure = Figure(figsize=(7.2, 4.4), layout="constrained")
panel = figure.subplots()
depths = np.arange(1, DEPTH + 1)
for colour, (label, keys) in enumerate(NETWORKS.items()):
    net = spectra.Network(depth=DEPTH, **shared, **keys)
    panel.loglog(depths, np.cumprod(mean_field(net).chi), color=f"C{colour}", label=label)
    for depth in SAMPLED:
        found = spectra.sample(net.replace(depth=depth), width=WIDTH, samples=SAMPLES, seed=1).singular_values
        panel.plot(depth, np.mean(found**2), "o", color=f"C{colour}", markersize=4)
    long = growth(net)
    print(f"{label}: rate {long.rate:.4f}, exponent {long.exponent:.4f}: {long.reason}")
panel.set_xlabel("depth")
panel.set_ylabel("mean square gradient, (1/N) tr JJᵀ")
panel.set_ylim(1e-5, 1e6)
panel.legend(fontsize=8, frameon=False, loc="upper left")
figure.savefig("normalisation_and_skip.png", dpi=120)

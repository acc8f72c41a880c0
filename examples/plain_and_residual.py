"""What does a skip buy? ReLU nets of one depth, plain and residual, side by side.

Eight plain layers at He's initialisation keep the mean square gradient at 1, but half of all directions are lost at
each layer, and the rest spreads over decades. Eight blocks x + α φ(Wx), α = 1/√8, lose none: s stays within bounds
that the norms of the branches give, and close to the law that infinitely many such blocks have. The means of φ add up
from block to block: one eigenvalue, along the signal, lies above the law, here the triangle on the axis.

Saves plain_and_residual.png.
"""

from pathlib import Path

import spectra
from spectra.plot import figure_bytes
from spectra.plot.singular_values import comparison_figure

DEPTH = 8
relu = {"activation": "relu", "depth": DEPTH, "input_variance": 1.0}
blocks = relu | {"kind": "residual", "alpha": "1/sqrt(depth)", "sigma_w": 1.0, "order": "post"}

nets = {
    "plain, Gaussian": spectra.Network(**relu, sigma_w="critical", sigma_b=0.0),
    "plain, orthogonal": spectra.Network(**relu, sigma_w="critical", sigma_b=0.0, weights="orthogonal"),
    "residual, x + α φ(Wx)": spectra.Network(**blocks),
}
predictions = {name: spectra.predict(net) for name, net in nets.items()}
print("net                        E x² out     s: 1 %   median     99 %      max   bounds of s        above the law")
for name, pred in predictions.items():
    s, record = pred.singular_values, pred.to_dict(points=2)
    low, median, high = s.icdf([0.01, 0.5, 0.99])
    bounds = "[{:.3g}, {:.3g}]".format(*record["singular_values"].get("bounds", (0.0, float("inf"))))
    above = ", ".join(f"{outlier.location**0.5:.3f}" for outlier in pred.outliers or ())
    r = pred.mean_field.leaving.second
    print(f"{name:25s} {r:9.3f} {low:10.3f} {median:8.3f} {high:8.3f} {s.support()[1]:8.3f}   {bounds:16s}   {above}")
figure = comparison_figure(list(predictions.items()))
Path("plain_and_residual.png").write_bytes(figure_bytes(figure))

# Infinitely many blocks have one law, of c = Σ α²σ_w² E φ'² = 1/2.
c = spectra.residual_strength(nets["residual, x + α φ(Wx)"])
limit = spectra.residual_limit(c).spectrum()
print(f"limit of depth, c = {c:.3f}: s from {limit.support()[0] ** 0.5:.3f} to {limit.support()[1] ** 0.5:.3f}")

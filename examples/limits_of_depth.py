"""What is left of a net as its depth grows without bound.

With orthogonal weights on the edge of chaos, and q* so small that the variance of JJᵀ stays at σ_0² = 1/4: one of two
laws, whatever the activation. Hard-tanh and the shifted ReLU, linear at 0 and flat beyond, lead to one with an atom;
erf and a smoothed ReLU to one without. With Gaussian weights there is no limit: s_max² grows like e L, and only s^{1/L}
settles, to the triangular law.

Saves limits_of_depth.png and gaussian_depth.png.
"""

from pathlib import Path

import numpy as np

import spectra
from spectra.limits import approach, deep_edge, gaussian_edge, gaussian_exponent_variances, gaussian_exponents
from spectra.plot import approach_figure, figure_bytes, gaussian_figure
from spectra.sampling.graded import GradedProduct

DEPTHS = (2, 8, 32, 128, 512, 2048, 8192)
# max(x + 1/2, 0) − 1/2 smoothed by a normal law of width 1/4, with φ(0) = 0: else small q* are off the edge of chaos.
SMOOTHED = "(x + 1/2)*normal_cdf(4*x + 2) + normal_pdf(4*x + 2)/4 - normal_cdf(2)/2 - normal_pdf(2)/4"

cases = {
    "hard-tanh": approach("hardtanh", 0.25, DEPTHS),
    "shifted ReLU": approach("shifted_relu", 0.25, DEPTHS),
    "erf": approach("erf", 0.25, DEPTHS),
    "smoothed ReLU": approach({"expr": SMOOTHED}, 0.25, DEPTHS),
}
print("activation      depth         q*   distance to the limit   end of the bulk   limit")
for name, nets in cases.items():
    limit = nets[0].limit.spectrum()
    for net in nets:
        end = net.prediction.spectrum.bulks[-1][1]
        print(
            f"{name:14s} {net.depth:6d} {net.q_star:10.6f} {net.distance:23.6f} {end:17.6f} {limit.bulks[-1][1]:7.4f}"
        )
Path("limits_of_depth.png").write_bytes(figure_bytes(approach_figure(cases)))

# Gaussian weights: the largest singular value, exactly and from the first three moments.
depth = 2.0 ** np.arange(1, 14)
edges = {"depth": depth, "exact": np.array([gaussian_edge(L) for L in depth])}
# m_2 = L + 1 and m_3 = (3L + 2)(L + 1)/2, Fuss and Catalan's.
found = [deep_edge(1.0, L + 1.0, (3.0 * L + 2.0) * (L + 1.0) / 2.0) for L in depth]
edges |= {"leading": np.array([e.leading for e in found]), "corrected": np.array([e.corrected for e in found])}

# The law of r = s^{1/L}: if F is that of λ = r^{2L}, its density is 2 L λ F'(λ)/r.
r = np.linspace(1e-3, 1.4, 800)
triangles = {}
for L in (1, 2, 8, 32, 128, 1024):
    law = spectra.predict(spectra.Network(depth=L, activation="identity", sigma_w=1.0, input_variance=1.0)).spectrum
    u = -2.0 * L * np.log(r)
    triangles[f"L = {L}"] = r, 2.0 * L * np.exp(law.log_density_at(u)) / r

# Twelve units and 1500 layers: now depth is first, and every exponent is a number.
N, L = 12, 1500
rng = np.random.default_rng(0)
product = GradedProduct(N)
for _ in range(L):
    product.multiply(rng.standard_normal((N, N)) / N**0.5, np.ones(N))
exact, sampled = gaussian_exponents(N), product.log_singular_values() / L
share, sigma = (np.arange(N) + 0.5) / N, np.sqrt(gaussian_exponent_variances(N) / L)
print("\nLyapunov exponents of 12 × 12 Gaussian matrices, and (1/1500) log s of one product of 1500")
for i in range(N):
    print(f"{i + 1:3d} {exact[i]:10.5f} {sampled[i]:10.5f} ± {sigma[i]:.5f}")
exponents = {"N = 12, exact": (share, exact, 0.0 * sigma), "one product, L = 1500": (share, sampled, sigma)}
Path("gaussian_depth.png").write_bytes(figure_bytes(gaussian_figure(edges, triangles, exponents)))

"""Tune a network to a spread of gradients, see that samples agree, and how loose a bound by norms would have been.

"Gradients within a factor of 2" in 98 % of all directions: for orthogonal tanh layers a point of the edge of chaos does
it at any depth, q* falling with the depth; for Gaussian weights none does, for the variance of JJᵀ is at least L.
"""

import math

import spectra
from spectra.advice import Target, tune
from spectra.bounds import norm_bound

print("depth       q*    σ_w       σ_b       s_max   bound by norms   a layer")
for depth in (4, 16, 64):
    keys = {"depth": depth, "activation": "tanh", "weights": "orthogonal"}
    tuned = tune(keys, Target("gradient", 2.0), advise=False)
    run = tuned.prediction.mean_field.runs[0]
    bound = norm_bound(tuned.prediction)
    print(
        f"{depth:5d} {tuned.found.q_star:8.5f}  {run.spec.sigma_w:.6f}  {run.spec.sigma_b:.6f}  "
        f"{math.exp(bound.log_s_max):6.3f}   {math.exp(bound.log_bound):14.4g}   {bound.looseness:.4f}"
    )

tuned = tune({"depth": 8, "activation": "tanh", "weights": "orthogonal"}, Target("gradient", 2.0), advise=False)
print()
print(tuned.reason)
sampled = spectra.sample(tuned.network, width=100, samples=4, seed=0)
print("Samples of width 100 agree:", spectra.crosscheck(tuned.prediction, sampled).agree)

print()
print(tune({"depth": 8, "activation": "tanh", "weights": "gaussian"}, Target("variance", 0.25)).reason)
print(tune({"depth": 8, "activation": "relu", "weights": "orthogonal"}, Target("variance", 0.25)).reason)

print()
print("Gaussian weights, linear: the bound doubles with every layer, s_max grows like √(eL)")
for depth in (1, 4, 16, 64):
    bound = norm_bound(spectra.Network(depth=depth, activation="identity", sigma_w=1.0))
    print(f"{depth:5d}   s_max {math.exp(bound.log_s_max):7.3f}   bound {math.exp(bound.log_bound):10.4g}")

print()
print("To paste:")
print(tuned.snippet)

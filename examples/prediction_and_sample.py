"""One prediction, checked by hand against real networks of width 300.

The prediction is exact for infinite width. At width N the moment m_k is off by something of order k² depth/N, so the
first agree to a few percent here; `spectra check` does the same with error bars and a verdict.
"""

from pathlib import Path

import numpy as np

import spectra

net = spectra.Network.from_toml(Path(__file__).with_name("relu_he.toml")).replace(depth=2)
pred = spectra.predict(net)

# Nothing random is hidden: the seed fixes every weight, bias and input.
sampled = spectra.sample(net, width=300, samples=8, seed=0)
eigenvalues = np.zeros((sampled.samples, sampled.n_out))
eigenvalues[:, : sampled.singular_values.shape[1]] = sampled.singular_values**2

print("  k   predicted m_k   sampled m_k")
for k, moment in enumerate(pred.moments(3), start=1):
    print(f"{k:3d} {moment:15.4f} {np.mean(eigenvalues**k):13.4f}")

# At every depth ReLU loses half of all directions, exactly: the law has an atom of mass 1/2 at 0. A sample loses what
# its worst layer loses, which is a little more.
print(f"mass at 0: predicted {pred.spectrum.atom_at_zero:.4f}, sampled {np.mean(eigenvalues < 1e-12):.4f}")
levels = np.array([0.6, 0.75, 0.9])
for level, s in zip(levels, pred.singular_values.icdf(levels), strict=True):
    share = np.mean(eigenvalues <= s**2)
    print(f"s = {s:.4f}: {level:.0%} of the law below, {share:.1%} of the samples")

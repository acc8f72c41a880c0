"""Does one residual block x + √t W x keep small singular values away from zero? Plain free probability answers.

The singular values of 1 + √t W, counted with both signs, are the free sum of a coin (those of 1) and a semicircle of
variance t (those of √t W, W square Gaussian). While t < 1 there is a gap about zero: no direction is lost.
"""

import numpy as np

import spectra
from spectra.laws import Atomic, Semicircle

coin = Atomic((-1, 1))
print("    t   smallest s    largest s    E s²")
for t in (0.05, 0.25, 1.0, 4.0):
    law = spectra.free_sum(coin, Semicircle(t))
    spectrum = law.spectrum()
    # One bulk through zero means that the gap has closed.
    smallest = spectrum.bulks[-1][0] if len(spectrum.bulks) == 2 else 0.0
    print(f"{t:5.2f}{smallest:13.6f}{spectrum.support()[1]:13.6f}{spectrum.moment(2):8.3f}")

# The same by one sampled block of width 600.
t, width = 0.25, 600
block = np.eye(width) + np.sqrt(t / width) * np.random.default_rng(0).standard_normal((width, width))
s = np.linalg.svd(block, compute_uv=False)
print(f"sampled, t = {t}: {s.min():.4f} to {s.max():.4f}")

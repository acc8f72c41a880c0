"""Laws at the extremes: tiny ranks, narrow laws, gaps and atoms on the way down to λ = 0."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectra import Network, predict
from spectra.convolve import free_product
from spectra.laws import Bernoulli, Discrete


@pytest.mark.parametrize("p", [1e-2, 1e-5, 1e-8])
def test_two_points_seen_through_a_projection_of_tiny_rank(p):
    """(δ_1 + δ_2)/2 ⊠ Bernoulli(p), p < 1/2: a beta-like bulk 3/2 ± √(p(1 − p)), the angles of two free projections."""
    law = free_product(Bernoulli(p), Discrete([1.0, 2.0])).spectrum()
    half = math.sqrt(p * (1 - p))
    assert law.bulks[-1] == (pytest.approx(1.5 - half, rel=1e-14), pytest.approx(1.5 + half, rel=1e-14))
    assert law.atom_at_zero == pytest.approx(1 - p, rel=1e-14)
    assert law.arcs[0].mass == pytest.approx(p, rel=1e-11)
    # tr p a p = p · 3/2, tr (p a p)² = p (p κ_2 + m_1²), κ_2 = 1/4 the second free cumulant.
    assert law.scaled_moments(2)[-1] == pytest.approx((p / 4 + 9 / 4) / (p * 9 / 4), rel=1e-14)
    middle = np.array([1.5 - 0.5 * half, 1.5, 1.5 + 0.9 * half])
    exact = np.sqrt(half**2 - (middle - 1.5) ** 2) / (2 * np.pi * (middle - 1) * (2 - middle))
    assert law.pdf(middle) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("q", [1e-4, 1.904e-5])
def test_narrow_laws_are_certified(q):
    """With erf' = exp(−πx²/4) the law of two layers has the width q."""
    found = predict(Network(depth=2, activation="erf", weights="orthogonal", sigma_w="critical", q_star=q))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-11
    # E φ'^{2k} = (1 + πqk)^{−1/2}.
    variance = 2 * ((1 + math.pi * q) / math.sqrt(1 + 2 * math.pi * q) - 1)
    x, weights = _levels(found.spectrum)
    assert weights @ (x - 1) ** 2 == pytest.approx(variance, rel=1e-8)


def _levels(law):
    """Nodes and weights of the law itself."""
    nodes = [arc.quadrature() for arc in law.arcs]
    return np.exp(-np.concatenate([u for u, _ in nodes])), np.concatenate([w for _, w in nodes])


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7, 0.9, 0.95])
def test_two_points_seen_through_a_projection(p):
    """As above; for p > 1/2 an atom of mass p − 1/2 at either point.  At p = 0.9 the bulk ends where w = 0."""
    law = free_product(Bernoulli(p), Discrete([1.0, 2.0])).spectrum()
    half = math.sqrt(p * (1 - p))
    assert law.bulks[-1] == (pytest.approx(1.5 - half, rel=1e-14), pytest.approx(1.5 + half, rel=1e-14))
    atoms = [(0.0, 1 - p)] + ([(1.0, p - 0.5), (2.0, p - 0.5)] if p > 0.5 else [])
    assert [x for atom in law.atoms for x in (atom.location, atom.mass)] == pytest.approx(np.ravel(atoms), rel=1e-14)
    assert law.total_mass == pytest.approx(1.0, abs=1e-14)
    middle = 1.5 + half * np.array([-0.99, -0.5, 0.0, 0.9])
    exact = np.sqrt(half**2 - (middle - 1.5) ** 2) / (2 * np.pi * (middle - 1) * (2 - middle))
    assert law.pdf(middle) == pytest.approx(exact, rel=1e-12)

"""The certificate: of all solutions of the master equation it lets one pass, and that one to its last digits."""

from __future__ import annotations

import closed_forms
import numpy as np
import pytest
from mpmath import mp
from networks import equation_of, layer

from spectra.continuation import locate
from spectra.solve import certify


@pytest.mark.parametrize("depth", [2, 5, 8])
def test_one_root_of_the_polynomial_is_certified(depth):
    """ReLU, Gaussian: λ w/2^L = (1 + w)(1/2 + w)^L has L + 1 roots; the density is that of one of them."""
    equation = equation_of([layer("relu", 1.0, "gaussian", depth)])
    for lam in (0.3, 2.0):
        with mp.workdps(60):
            half = mp.mpf(1) / 2
            rising = [mp.binomial(depth, k) * half ** (depth - k) for k in range(depth + 1)]
            product = [x + y for x, y in zip([*rising, mp.zero], [mp.zero, *rising], strict=True)]
            product[1] -= mp.mpf(lam) * half**depth
            roots = mp.polyroots(product[::-1], maxsteps=500, extraprec=300)
            zeta = np.array([complex(w / (w + half)) for w in roots])
            exact = float(closed_forms.bernoulli_density(lam, 0.5, "gaussian", depth))
        log_u = np.full(zeta.size, -np.log(lam))
        found = certify(equation, log_u, zeta, np.zeros((0, zeta.size), complex))
        assert found.certified.sum() == 1
        density = np.exp(equation.log_density(zeta[found.certified])) / lam
        assert density == pytest.approx(exact, rel=1e-12)
        # In the lower half plane lies the same density with the wrong sign.
        mirrored = certify(equation, log_u, zeta.conj(), np.zeros((0, zeta.size), complex))
        assert not mirrored.certified[found.certified].any()


def test_a_root_moved_by_a_part_in_a_thousand_million_is_refused():
    equation = equation_of([layer("tanh", 0.5, "gaussian", 3), layer("gelu", 1.0, "orthogonal", 2)])
    log_u = np.array([-0.5, 0.0, 1.0])
    found = locate(equation, log_u)
    assert found.certified.all()
    assert np.all(found.residual < 1e-13)
    for shift in (1e-9, 1e-9j):
        assert not certify(equation, log_u, found.zeta * (1 + shift), found.v).certified.any()
        for k in range(2):
            moved = found.v.copy()
            moved[k] *= 1 + shift
            assert not certify(equation, log_u, found.zeta, moved).certified.any()


def test_density_of_a_certified_root_is_that_of_the_twin():
    import reference

    layers = [reference.Layer(reference.SquaredSlope("tanh", "0.5"), "gaussian", 3)]
    equation = equation_of([layer("tanh", 0.5, "gaussian", 3)])
    found = locate(equation, np.array([-np.log(0.7)]))
    exact = float(reference.density(layers, "0.7").density)
    assert np.exp(equation.log_density(found.zeta)) / 0.7 == pytest.approx(exact, rel=1e-12)

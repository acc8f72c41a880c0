"""Leaky networks whose slopes are decades apart: one bulk, with a valley whose density is of the order of the slope."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from spectra import Network, predict


# Where ψ hardly depends on v all digits of v but a few are rounding: the charts asked for them, and gave up.
@pytest.mark.parametrize(
    ("weights", "slope", "depth"),
    [
        ("gaussian", 1e-6, 4),
        ("gaussian", 1e-7, 3),
        ("gaussian", 1e-9, 3),
        ("orthogonal", 1e-7, 3),
        ("orthogonal", 1e-8, 3),
    ],
)
def test_the_density_across_the_valley(weights: str, slope: float, depth: int) -> None:
    activation = {"name": "leaky_relu", "negative_slope": slope}
    found = predict(Network(depth=depth, activation=activation, weights=weights, sigma_w="critical", sigma_b=0.0))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-12
    # Between the upper end and the far side of the valley.
    u = np.linspace(found.spectrum.log_support[1] + 0.3, -2.5 * np.log(slope), 12)
    log_p = found.spectrum.log_density_at(u)
    for at, here in zip(u, log_p, strict=True):
        expected = _log_density(weights, slope, depth, float(at))
        # To 1e-10, or to the rounding of w over the density.
        assert here == pytest.approx(expected, abs=1e-10 + 2e-15 / np.exp(expected))


def _log_density(weights: str, slope: float, depth: int, log_u: float) -> float:
    """(★) of THEORY, section 3, in v: of all roots of that polynomial the one whose arguments sum to 0; 60 digits."""
    with mpmath.workdps(60):
        s = mpmath.mpf(repr(slope)) ** 2
        low, high = 2 * s / (1 + s), 2 / (1 + s)
        gaussian = weights == "gaussian"

        def w_at(v: Any) -> Any:
            return (low * v / (1 - low * v) + high * v / (1 - high * v)) / 2

        # w = v (1 − h v)/((1 − l v)(1 − h' v)) with l + h' = 2, h = l h'; 1 + w = (1 − v)/(…).
        bottom = [1, -2, low * high]
        w, plus = [0, 1, -low * high], [1, -1]
        # log u = log w − log(1 + w) + L (log v + log(1 + w) − log w [− log(1 + w)]).
        left = _power(w, depth - 1)
        right = [0] * depth + [1]
        if gaussian:
            # u (1 + w) w^{L−1} = v^L.
            left = _times(left, plus)
            right = _times(right, _power(bottom, depth))
        else:
            # u w^{L−1} = v^L (1 + w)^{L−1}.
            right = _times(right, _power(plus, depth - 1))
        u = mpmath.exp(mpmath.mpf(log_u))
        size = max(len(left), len(right))
        terms = [u * (left[k] if k < len(left) else 0) - (right[k] if k < len(right) else 0) for k in range(size)]
        while terms[0] == 0:
            terms = terms[1:]
        roots = mpmath.polyroots(terms[::-1], maxsteps=2000, extraprec=2000)
        good = []
        for v in roots:
            if v.imag <= abs(v) * mpmath.mpf(10) ** -40:
                continue
            x = w_at(v)
            layer = mpmath.log(v) + mpmath.log((1 + x) / x) - (mpmath.log(1 + x) if gaussian else 0)
            total = mpmath.log(x) - mpmath.log(1 + x) + depth * layer
            if x.imag > 0 and abs(total.imag) < mpmath.mpf(10) ** -25:
                good.append(x)
        assert len(good) == 1
        return float(mpmath.log(good[0].imag / mpmath.pi))


def _times(a: list, b: list) -> list:
    out = [mpmath.mpf(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return out


def _power(a: list, n: int) -> list:
    out = [mpmath.mpf(1)]
    for _ in range(n):
        out = _times(out, a)
    return out

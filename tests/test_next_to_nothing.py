"""Losses below rounding, and bulks so narrow that a step goes past them: against the equations themselves."""

from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from spectra import Network, predict
from spectra.laws.nodes import NodeLaw
from spectra.master import Factor, MasterEquation
from spectra.ratio import Ratio, gap


@pytest.mark.parametrize("lost", [1e-21, 1.2e-16, 1e-12])
def test_no_ratio_is_beyond_the_largest(lost) -> None:
    ratio = Ratio(1.0, 1.0 - lost, lost)
    law = NodeLaw(np.array([0.5, 1.5]), np.array([0.5, 0.5]), 1.0, 1.0 - lost, lost, 1.5, 0.5, ((0.5, 0.5), (1.5, 0.5)))
    equation = MasterEquation(((1.0, -1.0), (1.0, 1.0), (ratio, -1.0)), (Factor(law, ratio, 1.0),))
    assert np.all(equation.gaps >= 0.0)
    assert all(d >= 0.0 for d, _ in equation.terms)
    assert float(gap(1.0, ratio)) == pytest.approx(lost if lost > 1e-16 else 0.0, rel=1e-12)


def test_of_ratios_with_one_value_the_one_that_loses_most_is_largest() -> None:
    """1 − 1.2e-16 and 1 − 1.4e-16 are one double."""
    ratios = [Ratio(1.0, 1.0 - lost, lost) for lost in (1.2e-16, 1.4e-16)]
    assert ratios[0] == ratios[1]
    equation = MasterEquation(((1.0, -1.0), (ratios[0], 2.0), (ratios[1], -2.0)))
    assert sorted(d for d, _ in equation.terms if d < 1.0) == pytest.approx([0.2e-16, 1.4e-16], rel=1e-6)


@pytest.mark.parametrize("variance", [0.08, 0.1, 0.12])
def test_a_narrowing_layer_with_next_to_no_dead_units(variance) -> None:
    """One hardswish layer of 500 units on 1000 inputs, φ' = x/3 + ½ but for 1e-20 of them."""
    found = predict(
        Network(layers=[{"width": 500}], input_width=1000, activation="hardswish", sigma_w=1, input_variance=variance)
    )
    assert found.checks.certified
    for place in (0.1, 0.3):
        # Of the larger matrix WᵀD²W half of the values are the same, half are 0.
        density = 2.0 * _silverstein(place, variance).imag / np.pi
        assert float(found.spectrum.pdf(place)) == pytest.approx(density, rel=1e-10)


def _silverstein(place: float, variance: float) -> complex:
    """Solve z = −1/m + c E t/(1 + t m), t = φ'(h)², c = ½, from above the axis: Silverstein, JMVA 55 (1995)."""
    x = np.arange(-9.0, 9.0, 1e-2)
    weight = 0.5e-2 * np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
    t = (np.sqrt(variance) * x / 3.0 + 0.5) ** 2
    m = 1j
    for _ in range(200):
        m = 1.0 / (weight @ (t / (1.0 + t * m)) - (place + 3j))
    for height in np.append(np.geomspace(3.0, 0.03, 20), 0.0):
        for _ in range(8):
            miss = -1.0 / m + weight @ (t / (1.0 + t * m)) - (place + 1j * height)
            m -= miss / (1.0 / m**2 - weight @ ((t / (1.0 + t * m)) ** 2))
    assert m.imag > 0.01
    assert abs(miss) < 1e-12
    return m


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_hardswish_narrows_to_ten(weights) -> None:
    widths = [{"width": n} for n in (512, 256, 10)]
    keys = {"sigma_w": 1.0, "sigma_b": 0.1, "input_variance": 1.0, "weights": weights}
    assert predict(Network(layers=widths, input_width=784, activation="hardswish", **keys)).checks.certified


@pytest.mark.parametrize(
    ("widths", "sigma_w", "variance", "far"),
    [((32, 64, 128, 256), 1.0, 1.0, 1e-9), ((784, 512, 256, 10), 1.2, 0.1, 1e-12)],
)
def test_narrow_bulks_of_a_few_lost_units(widths, sigma_w, variance, far) -> None:
    """Hard sigmoid, orthogonal: all D² are projections over 36, and u is a rational function of w."""
    found = predict(
        Network(
            layers=[{"width": n} for n in widths[1:]],
            input_width=widths[0],
            activation="hardsigmoid",
            weights="orthogonal",
            sigma_w=sigma_w,
            sigma_b=0.1,
            input_variance=variance,
        )
    )
    assert found.checks.certified
    edges = _edges(widths, mp.mpf(str(sigma_w)), mp.mpf(str(variance)))
    ends = [end for bulk in found.spectrum.bulks for end in bulk]
    # Bulks with a mass of 1e-15 and a width of 1e-7 have edges to rounding over that.
    wide = [pair for pair in zip(edges[::2], edges[1::2], strict=True) if pair[1] / pair[0] - 1 > 2e-7]
    shown = [pair for pair in zip(ends[::2], ends[1::2], strict=True) if pair[1] / pair[0] - 1 > 2e-7]
    assert len(wide) == len(shown) > 0
    for exact, computed in zip(wide, shown, strict=True):
        assert computed == pytest.approx([float(x) for x in exact], rel=far)


def _edges(widths: tuple[int, ...], sigma_w: Any, variance: Any) -> list[Any]:
    """1/u where d log u/dw = 0, ascending; S = (1 + w)/(p + w) of a projection (Voiculescu), w_l = N_L w/N_l."""
    with mp.workdps(60):
        last, second = widths[-1], variance
        # Terms (r, e) of e log(1 + r w), and the constant of log u.
        terms, constant = [(mp.mpf(last) / widths[0], -1)], mp.mpf(0)
        for before, width in pairwise(widths):
            q = sigma_w**2 * second + mp.mpf("0.01")
            share = mp.erf(3 / mp.sqrt(2 * q))
            ratio = mp.mpf(last) / width
            terms += [(ratio, 1), (ratio / share, -1)]
            if width < before:
                terms += [(mp.mpf(last) / before, 1), (ratio, -1)]
            constant += mp.log(36) - mp.log(share) - mp.log(sigma_w**2)
            second = _second_moment(q)
        # Σ e = −1: of the leading coefficient nothing is left.
        poly = mp.polyroots(_slope(terms)[1:], maxsteps=2000, extraprec=400)
        found = []
        for w in (w.real for w in poly if abs(w.imag) < mp.mpf(10) ** -45):
            u = mp.log(abs(w)) + constant + sum(e * mp.log(abs(1 + r * w)) for r, e in terms)
            found.append(mp.exp(-u))
        return sorted(found)


def _second_moment(q: Any) -> Any:
    """E φ² of the hard sigmoid, clip(h/6 + ½, 0, 1)."""

    def weight(h: Any) -> Any:
        return mp.exp(-h * h / (2 * q)) / mp.sqrt(2 * mp.pi * q)

    inside = mp.quad(lambda h: (h / 6 + mp.mpf("0.5")) ** 2 * weight(h), [-3, 0, 3])
    return inside + mp.erfc(3 / mp.sqrt(2 * q)) / 2


def _slope(terms: list[tuple[Any, int]]) -> list[Any]:
    """Coefficients, highest first, of Π (1 + r w) times w (1/w + Σ e r/(1 + r w)), equal r taken together."""
    merged: dict[Any, int] = {}
    for r, e in terms:
        merged[r] = merged.get(r, 0) + e
    kept = {r: e for r, e in merged.items() if e}

    def product(which: list[Any]) -> list[Any]:
        rows = [mp.mpf(1)]
        for r in which:
            rows = [a * r + b for a, b in zip([*rows, 0], [0, *rows], strict=True)]
        return rows

    total = product(list(kept))
    for r, e in kept.items():
        part = [e * r * x for x in product([s for s in kept if s != r])] + [mp.mpf(0)]
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total

"""Laws of many atoms times Marchenko-Pastur laws, against a fixed point; two atoms and a projection, in closed form."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spectra import Network, between_atoms, predict
from spectra.convolve import free_product
from spectra.laws import Discrete, MarchenkoPastur
from spectra.survey import survey


def numbers(kind: str, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "chi":
        return rng.normal(size=count) ** 2
    if kind == "uniform":
        return rng.uniform(size=count)
    x = rng.normal(size=(count, 2 * count))
    return np.linalg.eigvalsh(x @ x.T / (2 * count))


def density_by_fixed_point(t: np.ndarray, ratio: float, x: np.ndarray) -> np.ndarray:
    """Density at x of T^½ XXᵀ T^½/n, X of size cn×n, T with eigenvalues t: from above, down to the axis.

    Of m(z) = 1/(−z + c E t/(1 + t m)), Marchenko and Pastur (1967), the density is Im m/(πc), off zero; each height
    starts from the one above, and Newton's method ends what iteration begins.
    """
    m: Any = np.full(x.shape, 1j)
    for height in np.geomspace(10.0, 1e-20, 90):
        z = x + 1j * height
        for _ in range(12):
            part = t / (1.0 + t * m[:, None])
            f = 1.0 / m + z - ratio * part.mean(1)
            slope = -1.0 / m**2 + ratio * (part**2).mean(1)
            step = f / slope
            size = np.minimum(1.0, 0.5 * m.imag / np.maximum(np.abs(step), 1e-300))
            m = m - np.where(m.imag - step.imag > 0.0, 1.0, size) * step
    return m.imag / np.pi / ratio


CASES = [
    ("chi", 5, 0, 0.5),
    ("chi", 50, 0, 0.5),
    ("uniform", 50, 0, 0.02),  # Newton's method once took a real root of another sheet, with rounding above the axis
    ("wishart", 50, 3, 0.02),
    ("chi", 200, 1, 0.5),
    ("uniform", 200, 3, 0.5),
    ("chi", 20, 1, 3.0),
    ("chi", 20, 2, 1.0),
]


@pytest.mark.parametrize(("kind", "count", "seed", "ratio"), CASES)
def test_sample_covariance_of_many_eigenvalues(kind: str, count: int, seed: int, ratio: float) -> None:
    t = numbers(kind, count, seed)
    law = free_product(Discrete(t.tolist(), [1.0 / count] * count), MarchenkoPastur(ratio))
    spectrum = law.spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-10)
    # m_2 of the density itself.
    x, weights = spectrum.quadrature()
    assert x**2 @ weights == pytest.approx(np.mean(t**2) + ratio * np.mean(t) ** 2, rel=1e-9)
    low, high = spectrum.support()
    x = low + (high - low) * np.linspace(0.003, 0.997, 37)
    edges = np.array(spectrum.bulks).ravel()
    inside = np.min(np.abs(x[:, None] - edges), axis=1) > 1e-4 * (high - low)
    expected = density_by_fixed_point(t, ratio, x[inside])
    np.testing.assert_allclose(spectrum.pdf(x[inside]), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("kind", "count", "seed", "ratio"), CASES)
def test_every_gap_is_found(kind: str, count: int, seed: int, ratio: float) -> None:
    t = np.sort(numbers(kind, count, seed))
    law = free_product(Discrete(t.tolist(), [1.0 / count] * count), MarchenkoPastur(ratio))
    # Silverstein and Choi: a gap wherever x(m) = −1/m + c E t/(1 + t m) grows, here on a grid between all poles.
    grid = np.sort(np.concatenate([a + (b - a) * np.linspace(1e-3, 1 - 1e-3, 999) for a, b in pairwise(t)]))
    x = grid * (1.0 + ratio * np.mean(t / (grid[:, None] - t), axis=1))
    inside = (1.0 - ratio * np.mean((t / (grid[:, None] - t)) ** 2, axis=1) > 0.0) & (x > 0.0)
    starts = inside & ~np.roll(inside, 1)
    crossed = np.searchsorted(t, grid[starts])
    gaps = np.unique(crossed).size
    bulks = np.array(law.spectrum().bulks)
    assert len(bulks) >= 1 + gaps
    assert all(not np.any((bulks[:, 0] < place) & (place < bulks[:, 1])) for place in x[inside])


def test_several_wishart_factors_and_an_atom_at_zero() -> None:
    law = free_product(Discrete([0.0, 0.3, 1.0, 7.0, 40.0], [0.2] * 5), MarchenkoPastur(0.01), MarchenkoPastur(0.02))
    assert between_atoms.applies(law.equation)
    spectrum = law.spectrum()
    assert spectrum.atom_at_zero == pytest.approx(0.2, abs=1e-12)
    assert len(spectrum.bulks) == 4
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-10)
    # Of every bulk: the mass of its atom.
    assert [float(spectrum.cdf(b) - spectrum.cdf(a)) for a, b in spectrum.bulks] == pytest.approx([0.2] * 4, abs=1e-10)


def test_edges_are_those_of_a_sweep() -> None:
    from spectra.sweep import Sweep

    law = free_product(Discrete([1.0, 2.0, 5.0], [0.5, 0.3, 0.2]), MarchenkoPastur(0.05))
    with np.errstate(all="ignore"):
        swept = Sweep(law.equation).run()
    found = survey(law.equation)
    for one, other in zip(swept.arcs, found.arcs, strict=True):
        assert one.first is not None
        assert one.last is not None
        assert other.first is not None
        assert other.last is not None
        assert other.first.log_u == pytest.approx(one.first.log_u, abs=1e-12)
        assert other.last.log_u == pytest.approx(one.last.log_u, abs=1e-12)


def test_other_equations_are_left_to_the_sweep() -> None:
    assert not between_atoms.applies(MarchenkoPastur(0.5).equation)
    assert not between_atoms.applies(
        free_product(Discrete([1.0, 2.0], [0.5, 0.5]), Discrete([1.0, 3.0], [0.5, 0.5])).equation
    )


@pytest.mark.parametrize(("slope", "width"), [(0.1, 424), (0.1, 437), (0.1, 438), (0.01, 430), (0.25, 444)])
def test_two_slopes_beside_weights_that_widen_are_two_projections(slope: float, width: int) -> None:
    """φ'² is 1 on a projection Q of rank ½, else `slope`², and WWᵀ = (N_1/N_0) P, P of rank α = N_0/N_1.

    The law of PQP on its range has the density √((x_+ − x)(x − x_−))/(2πx(1 − x)), x_± = ½ ± √(α(1 − α)), and atoms of
    mass α − ½ at 0 and 1 (Nica, Speicher, Lectures on the combinatorics of free probability, 2006, example 14.14).
    """
    phi = {"name": "leaky_relu", "negative_slope": slope}
    net = Network(activation=phi, weights="orthogonal", sigma_w=1.0, sigma_b=0.0, input_variance=1.0, input_width=219,
                  layers=[{"width": width}])  # fmt: skip
    found = predict(net)
    assert found.checks.certified
    share, law = 219 / width, found.spectrum
    low, high = (0.5 + side * math.sqrt(share * (1.0 - share)) for side in (-1, 1))
    rise = (1.0 - slope**2) / share
    x = np.linspace(low, high, 41)[1:-1]
    density = np.sqrt((high - x) * (x - low)) / (2.0 * np.pi * x * (1.0 - x) * rise)
    np.testing.assert_allclose(law.pdf(slope**2 / share + rise * x), density, rtol=1e-10)
    (bulk,) = law.bulks
    np.testing.assert_allclose(bulk, [slope**2 / share + rise * x for x in (low, high)], rtol=1e-12)
    expected = [(0.0, 1.0 - share)]
    if share > 0.5:
        expected += [(place / share, share - 0.5) for place in (slope**2, 1.0)]
    np.testing.assert_allclose([(a.location, a.mass) for a in law.atoms], expected, rtol=1e-11)

"""Blocks whose slopes are 0 on many neurons: the atom that stays at Π β², its end, and what ends beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal

import spectra
from spectra.correlated import Layer, block_law, free_law
from spectra.correlated.bulks import bulks_of
from spectra.correlated.edge import edge_beside
from spectra.correlated.free import FreeBlock, FreeEquation
from spectra.correlated.solution import Solution
from spectra.errors import ConvergenceError
from spectra.network.config import Network
from spectra.spectrum import Spectrum


def layer(name: str, variance: float, gain: float, *, haar: bool = False, reads: bool = True) -> Layer:
    activation = Network(depth=1, activation=name, sigma_w=1.0, input_variance=1.0).layers[0].activation
    return Layer(activation, variance, 1.0, gain, haar, reads)


def quartic(x: float, s: float) -> np.ndarray:
    """Of v, highest power first: one block 1 + √s W D, D = 0 or 1 with ½ each, W Gaussian, at λ = x.

    From A = (s/2)(w − A)/Δ_1, B = (s/2)((w − B)/Δ_1 + w/Δ_0), Δ_1 = (w − B)(w − A) − 1, Δ_0 = w(w − A) − 1, w = √x, by
    elimination of B, v = (x − 1 − wA)/(w(w − A)).
    """
    d = x - 1.0
    return np.array(
        [-2.0 * x * x, 2.0 * (x * d + 2.0 * x * x) + s * x, -6.0 * x * d - s * x, 2.0 * d * d - s * d, s * d]
    )


def densities(x: float, s: float) -> list[float]:
    """The density in log λ by each root that is not real."""
    w, found = math.sqrt(x), []
    for v in np.roots(quartic(x, s)):
        a = (x - 1.0 - x * v) / (w * (1.0 - v))
        b = a + s / (2.0 * w * v)
        # ψ = E −p/(p + w), p = −D²B − 1/(w − A).
        psi = sum(-0.5 * p / (p + w) for p in (-1.0 / (w - a), -b - 1.0 / (w - a)))
        found.append(abs(psi.imag) / math.pi)
    return found


def test_one_relu_block_is_what_its_quartic_says() -> None:
    s = 0.25
    spectrum = free_law([layer("relu", 1.0, s)]).spectrum
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-12)
    for x in (0.3, 0.9, 0.9999, 1.002, 1.5, 2.5):
        density = x * float(spectrum.pdf(np.array([x]))[0])
        assert min(abs(density / p - 1.0) for p in densities(x, s) if p > 1e-6) < 1e-9
    # Half of all lies below 1, where the density is infinite; above there is a gap, and then the other half.
    assert spectrum.cdf(np.array([1.0]))[0] == pytest.approx(0.5, abs=1e-12)
    (low, one), (above, high) = spectrum.bulks
    assert one == 1.0
    for edge in (low, above, high):
        roots = np.roots(quartic(edge, s))
        # Two roots meet there: as the square root of a rounding.
        assert min(abs(a - b) for k, a in enumerate(roots) for b in roots[:k]) < 1e-5


@pytest.mark.parametrize(("haar", "order", "gain"), [(False, "post", 1.0), (True, "pre", 0.25), (True, "post", 1.0)])
def test_one_relu_block_has_the_law_of_a_matrix(haar: bool, order: str, gain: float) -> None:
    size = 600
    spectrum = free_law([layer("relu", 1.0, gain, haar=haar, reads=order == "pre")]).spectrum
    w = np.random.default_rng(3).normal(size=(size, size)) / math.sqrt(size)
    if haar:
        q, r = np.linalg.qr(w)
        w = q * np.sign(np.diag(r))
    mask = np.arange(size) < size // 2
    branch = w * mask if order == "pre" else mask[:, None] * w
    values = np.sort(np.linalg.svd(np.eye(size) + math.sqrt(gain) * branch, compute_uv=False) ** 2)
    # Eigenvalues keep their places: √(2 log N)/π of a spacing, and one or two at a hard end.
    off = spectrum.cdf(values) - (np.arange(size) + 0.5) / size
    assert np.max(np.abs(off)) < 5.0 / size


def test_a_network_of_one_relu_block_is_certified() -> None:
    net = Network(kind="residual", depth=1, activation="relu", alpha=0.5, sigma_w=1.0, input_variance=1.0)
    found = spectra.predict(net)
    assert found.checks.certified
    # 1 + s/2 and, by Wick's theorem, 1 + 2s + s²/2 + s²/4·…: of 1 + √s W D, E D = ½.
    s = 0.25
    assert found.moments(2) == pytest.approx([1.0 + s / 2, 1.0 + 2.0 * s + s * s * (0.5 + 0.25)], rel=1e-11)


def law_of_two(order: str) -> tuple[Spectrum, np.ndarray, float]:
    """Two hard tanh blocks, W Gaussian, α = ½, x of variance 25; P of (D_1, D_2) (2, 2); and α²."""
    variances = (25.0, 25.2)
    layers = [layer("hardtanh", r, 0.25, reads=order == "pre") for r in variances]
    spectrum = block_law(layers).spectrum
    single = [math.erf(1.0 / math.sqrt(2.0 * r)) for r in variances]
    both = single[0] * single[1]
    if order == "pre":
        # x_1 = x_0 + noise: covariance 25.
        normal = multivariate_normal([0.0, 0.0], [[variances[0], 25.0], [25.0, variances[1]]])  # type: ignore[arg-type]
        both = float(normal.cdf([1.0, 1.0], lower_limit=[-1.0, -1.0]))
    only = [p - both for p in single]
    return spectrum, np.array([[1.0 - both - sum(only), only[1]], [only[0], both]]), 0.25


@pytest.mark.parametrize("order", ["pre", "post"])
def test_two_hard_tanh_blocks_have_their_atom_and_the_law_of_matrices(order: str) -> None:
    spectrum, paths, gain = law_of_two(order)
    (atom,) = spectrum.atoms
    # mvn's own accuracy is 1e-5.
    assert (atom.location, atom.mass) == (1.0, pytest.approx(2.0 * paths[0, 0] - 1.0, abs=2e-5))
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-11)
    size = 500
    counts = np.round(paths * size).astype(int)
    counts[0, 0] += size - counts.sum()
    first = np.repeat([0.0, 0.0, 1.0, 1.0], counts.ravel())
    second = np.repeat([0.0, 1.0, 0.0, 1.0], counts.ravel())
    generator, j = np.random.default_rng(5), np.eye(size)
    for mask in (first, second):
        w = generator.normal(size=(size, size)) * math.sqrt(gain / size)
        j = j + (w * mask if order == "pre" else mask[:, None] * w) @ j
    values = np.sort(np.linalg.svd(j, compute_uv=False) ** 2)
    # Neurons with a slope take away one dimension each, and ask for one equation each: at every width.
    ones = np.abs(values - 1.0) < 1e-10
    assert ones.sum() == 2 * counts[0, 0] - size
    rest = values[~ones]
    place = np.flatnonzero(~ones) + 0.5
    # As above, and a rounding of each of four counts.
    assert np.max(np.abs(spectrum.cdf(rest) * size - place)) < 5.0 + 4.0 * 2.0


def test_an_atom_that_would_be_smeared_is_refused() -> None:
    layers = [layer("hardtanh", 900.0, 0.25)] * 8
    with pytest.raises(ConvergenceError, match=r"an atom of mass 0\.[0-9]+ at λ = 1"):
        block_law(layers)


class Ending:
    """A density √((U + 5)(20 − U))/300 with what rounding leaves beyond its end, of a law whose bounds allow λ = 0."""

    unknowns = 1
    log_range = (-8.0, math.inf)
    log_mean = 4.0
    zero = 0.0
    atom = None
    skipped = None

    def solve(self, u: np.ndarray, start: np.ndarray | None = None, *, stop: float = 1e-13) -> Solution:
        at = np.log(np.real(u))
        square = np.maximum((at + 5.0) * (20.0 - at), 0.0)
        psi = -1j * math.pi * (np.sqrt(square) / 300.0 + 1e-11)
        return Solution(1.0 + psi[:, None], psi, np.full(at.size, 1e-14), np.ones(at.size, bool))

    def edge_near(self, u: float, x: np.ndarray) -> float | None:
        return edge_beside(self, u, x)


def test_a_density_that_ends_does_not_fade() -> None:
    (bulk,) = bulks_of(Ending())
    assert (bulk.low, bulk.high) == pytest.approx((-5.0, 20.0), abs=1e-6)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh"])
def test_one_block_whose_smallest_eigenvalue_is_next_to_zero(activation: str) -> None:
    """1 + X, X = √s W D, s = α²σ_w²: m_1 = 1 + s μ_1, m_2 = 1 + 4s μ_1 + s²(μ_2 + μ_1²); λ_min is below 1e-4."""
    net = Network(kind="residual", depth=1, activation=activation, alpha=0.7, sigma_w=2.0, input_variance=1.0)
    prediction = spectra.predict(net)
    assert prediction.checks.certified
    ramps = {"relu": lambda z: float(z > 0), "leaky_relu": lambda z: 1.0 if z > 0 else 0.01}
    slope = {**ramps, "tanh": lambda z: 1.0 / math.cosh(z) ** 2}[activation]
    normal = lambda z: math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)  # noqa: E731
    first, second = (quad(lambda z, k=k: slope(z) ** k * normal(z), -9, 9, points=[0.0])[0] for k in (2, 4))
    s = 0.7**2 * 2.0**2
    expected = 1.0 + s * first, 1.0 + 4.0 * s * first + s**2 * (second + first**2)
    np.testing.assert_allclose(prediction.moments(2), expected, rtol=1e-10)
    assert 0.0 < prediction.spectrum.support()[0] < 1e-4


@pytest.mark.parametrize("order", ["pre", "post"])
def test_half_of_the_law_of_one_relu_block_with_two_weights_is_below_one(order: str) -> None:
    """X = UVᵀ of rank N/2: JJᵀ − 1 = (U V) (VᵀV 1; 1 0) (U V)ᵀ has as many signs of either kind; m_1 = 1 + s/4."""
    keys = {"kind": "residual", "order": order, "branch_layers": 2, "input_variance": 1.0}
    prediction = spectra.predict(Network(depth=1, activation="relu", alpha=0.7, sigma_w=1.3, **keys))
    assert prediction.checks.certified
    assert prediction.spectrum.cdf(1.0) == pytest.approx(0.5, abs=1e-10)
    assert prediction.moments(1)[0] == pytest.approx(1.0 + 0.7**2 * 1.3**4 / 4.0, rel=1e-10)


def test_a_real_solution_inside_the_bulk_is_not_taken() -> None:
    """Hard tanh on the brink of a gap: Newton's steps may end at a real w that passes all signs, but falls with u."""
    passed = math.erf(0.5)
    block = FreeBlock(1.0, 0.98, False, np.array([0.0, 1.0]), np.array([1.0 - passed, passed]))
    equation = FreeEquation([block])
    u = np.exp(np.linspace(0.0020, 0.0025, 21)).astype(complex)
    # Of those below the axis there is but one solution, and the limit of them is the one wanted.
    wanted = equation.solve(u * (1.0 - 1e-9j))
    assert wanted.solved.all()
    assert wanted.psi.imag.max() < -0.8
    far = equation.solve(np.exp([0.00228]).astype(complex))
    beneath = equation.solve(np.exp([0.00228]) * (1.0 - 1e-9j))
    assert far.solved.all()
    np.testing.assert_allclose(far.psi, beneath.psi, rtol=1e-3)
    for k in range(u.size):
        near = equation.solve(u, np.repeat(wanted.x[k : k + 1], u.size, axis=0))
        np.testing.assert_allclose(near.psi[near.solved], wanted.psi[near.solved], rtol=1e-4)

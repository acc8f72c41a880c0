"""The law as an object: what `Spectrum` and `SingularValueLaw` make of arcs and atoms known in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from spectra.network import Network
from spectra.prediction import predict
from spectra.spectrum import Atom, SingularValueLaw, Spectrum


@dataclass
class FlatArc:
    """Mass spread evenly over low < U < high: the density of λ is mass/((high − low) λ)."""

    low: float
    high: float
    mass: float

    @property
    def _height(self) -> float:
        return self.mass / (self.high - self.low)

    def log_density(self, u: np.ndarray, correction: np.ndarray | float = 0.0) -> np.ndarray:
        inside = (u + correction > self.low) & (u + correction < self.high)
        return np.where(inside, math.log(self._height), -np.inf)

    def mass_beyond(self, u: np.ndarray) -> np.ndarray:
        return self._height * (self.high - np.clip(u, self.low, self.high))

    def invert(self, mass: np.ndarray) -> np.ndarray:
        return self.high - mass / self._height

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        x, w = np.polynomial.legendre.leggauss(60)
        half = 0.5 * (self.high - self.low)
        return self.low + half * (1 + x), half * w * self._height


def no_series(order: int) -> np.ndarray:
    return np.full(order, np.nan)


def two_bulks() -> Spectrum:
    """0.1 at zero; 0.3 over e^{−2} … e^{−1}; 0.2 at λ = 1; 0.4 over e … e²."""
    arcs = (FlatArc(-2.0, -1.0, 0.4), FlatArc(1.0, 2.0, 0.3))
    return Spectrum(arcs, ((0.0, 0.2),), 0.1, (math.inf, -2.0), no_series, 0.0)


def test_density_is_that_of_the_continuous_part():
    law = two_bulks()
    lam = np.array([-1.0, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 8.0])
    exact = [0, 0, 0, 0.3 / 0.2, 0, 0, 0, 0.4 / 5, 0]
    assert law.pdf(lam) == pytest.approx(exact, rel=1e-15)
    assert law.log_pdf(5.0) == pytest.approx(math.log(0.08), rel=1e-15)
    assert law.log_pdf(0.5) == -math.inf


def test_distribution_function_counts_atoms_and_is_right_continuous():
    law = two_bulks()
    lam = np.array([-1e-300, 0.0, 1e-300, 0.5, np.nextafter(1.0, 0), 1.0, 2.0, math.exp(1.5), 8.0, math.inf])
    assert law.cdf(lam) == pytest.approx([0, 0.1, 0.1, 0.4, 0.4, 0.6, 0.6, 0.8, 1.0, 1.0], rel=1e-14)


def test_quantiles_are_the_smallest_points_that_reach_them():
    law = two_bulks()
    p = np.array([0.0, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.8, 1.0])
    exact = [0, 0, 0, math.exp(-1.5), math.exp(-1), 1.0, 1.0, math.exp(1.5), math.exp(2)]
    assert law.icdf(p) == pytest.approx(exact, rel=1e-14)
    assert np.all(np.isnan(law.icdf([-0.1, 1.0 + 1e-12, math.nan, math.inf])))


def test_atom_inside_a_bulk_splits_its_quantiles():
    law = Spectrum((FlatArc(0.0, 2.0, 0.5),), ((1.5, 0.5),), 0.0, (2.0, 0.0), no_series, 0.0)
    # Below the atom lies a quarter of the arc.
    p = np.array([0.0625, 0.125 + 1e-9, 0.3, 0.625 - 1e-9, 0.8125])
    exact = np.exp([-1.75, -1.5, -1.5, -1.5, -0.75])
    assert law.icdf(p) == pytest.approx(exact, rel=1e-12)
    assert law.cdf(math.exp(-1.5)) == pytest.approx(0.625, rel=1e-14)
    assert law.cdf(math.exp(-1.5) * (1 - 1e-12)) == pytest.approx(0.125, rel=1e-10)


def test_support_bulks_and_atoms():
    law = two_bulks()
    assert law.support() == (0.0, pytest.approx(math.exp(2)))
    assert law.bulks == (
        pytest.approx((math.exp(-2), math.exp(-1))),
        pytest.approx((math.e, math.exp(2))),
    )
    assert law.atoms == (Atom(0.0, 0.1), Atom(1.0, 0.2))
    assert law.total_mass == pytest.approx(1.0, rel=1e-15)
    low, high = law.effective_support
    assert low == 0.0
    # 5e-13 of the mass is left out above.
    assert math.log(high) == pytest.approx(2 - 5e-13 / 0.4, abs=1e-15)


def test_moments_of_any_real_order_come_from_the_density():
    law = Spectrum((FlatArc(-1.0, 1.0, 0.75),), ((0.5, 0.25),), 0.0, (1.0, -1.0), no_series, 0.0)
    for k in (-2.0, -0.5, 0.5, 2.5):
        exact = 0.75 * math.sinh(k) / k + 0.25 * math.exp(-0.5 * k)
        assert law.moment(k) == pytest.approx(exact, rel=1e-14)
    assert law.moment(0) == 1.0


def test_whole_moments_come_from_the_series():
    arcs = (FlatArc(-1.0, 1.0, 1.0),)
    law = Spectrum(arcs, (), 0.0, (1.0, -1.0), lambda n: np.log(np.arange(1.0, n + 1)), math.log(2.0))
    assert law.moment(3) == pytest.approx(2**3 * 3.0, rel=1e-15)


def test_inverse_moments_diverge_where_the_law_reaches_zero():
    assert two_bulks().moment(-1) == math.inf


@pytest.mark.parametrize("centre", [2000.0, -2000.0])
def test_spectra_beyond_the_range_of_doubles_keep_their_logarithms(centre):
    law = Spectrum((FlatArc(centre - 1, centre + 1, 1.0),), (), 0.0, (centre + 1, centre - 1), no_series, -centre)
    inside = np.array([centre - 0.5, centre + 0.5])
    assert law.log_density_at(inside) == pytest.approx([math.log(0.5)] * 2)
    assert law.quantile_at(np.array([0.25])) == pytest.approx(centre + 0.5)
    end = 0.0 if centre > 0 else math.inf
    assert law.support() == (end, end)
    assert law.icdf(0.5) == end
    assert SingularValueLaw(law).support() == (end, end)
    assert law.log_moment_by_quadrature(2) == pytest.approx(-2 * centre + math.log(math.sinh(2) / 2), rel=1e-14)


def test_singular_values_are_roots_of_eigenvalues():
    law = two_bulks()
    singular = SingularValueLaw(law)
    s = np.array([-1.0, 0.0, 0.4, 0.45, 1.0, 2.0, 2.5])
    assert singular.pdf(s) == pytest.approx(2 * s * law.pdf(s**2) * (s > 0), rel=1e-14)
    assert singular.cdf(s) == pytest.approx([0.0, *law.cdf(s[1:] ** 2)], rel=1e-14)
    p = np.array([0.05, 0.25, 0.5, 0.8])
    assert singular.icdf(p) == pytest.approx(np.sqrt(law.icdf(p)), rel=1e-14)
    assert singular.support() == (0.0, pytest.approx(math.e))
    assert singular.atoms == (Atom(0.0, 0.1), Atom(1.0, 0.2))
    assert singular.bulks[1] == pytest.approx((math.exp(0.5), math.e))
    assert singular.moment(3) == pytest.approx(law.moment(1.5), rel=1e-15)


@pytest.mark.parametrize("function", ["pdf", "log_pdf", "cdf", "icdf"])
def test_shapes_in_are_shapes_out(function):
    for law in (two_bulks(), SingularValueLaw(two_bulks())):
        if not hasattr(law, function):
            continue
        call = getattr(law, function)
        p = np.array([[0.2, 0.5, 0.9], [0.3, 0.7, 0.05]])
        grid = call(p)
        assert grid.shape == (2, 3)
        assert np.array_equal(call(p[0]), grid[0])
        assert np.array_equal(call(p.tolist()), grid)
        assert call(p[:0]).shape == (0, 3)
        scalar = call(0.9)
        assert isinstance(scalar, float)
        assert scalar == grid[0, 2]


def test_nothing_is_made_up_for_nan_and_for_moments_that_are_not_known():
    law = predict(Network(depth=4, activation="tanh", sigma_w=1.2, sigma_b=0.1))
    for found in (law.spectrum, law.singular_values):
        for function in (found.pdf, found.cdf, found.icdf):
            assert np.array_equal(np.isnan(function(np.array([np.nan, 0.5]))), [True, False])
        assert found.pdf(-1.0) == found.cdf(-1.0) == 0.0
    # ρ ~ λ^{−4/5}: E λ^k is infinite for k ≤ −1/5; above, it is finite and not computed.
    assert law.spectrum.moment(-1) == law.spectrum.moment(-0.25) == np.inf
    assert np.isnan(law.spectrum.moment(-0.1))
    relu = predict(Network(depth=4, activation="relu", sigma_w=1.2, input_variance=1.0))
    assert relu.spectrum.moment(-0.1) == np.inf


def test_figures_of_other_formats_are_refused_by_name(tmp_path):
    law = predict(Network(depth=1, activation="tanh", sigma_w=1.2, sigma_b=0.1))
    with pytest.raises(ValueError, match=r"\.png, \.pdf, \.svg"):
        law.plot(tmp_path / "figure.jpg")
    assert not list(tmp_path.iterdir())
    law.plot(tmp_path / "figure.PNG")
    assert (tmp_path / "figure.PNG").read_bytes().startswith(b"\x89PNG")


# Atoms, tops and the origin through `predict` itself: closed forms and the definition of a distribution function.
ORTHOGONAL = {"weights": "orthogonal", "sigma_b": 0.0, "input_variance": 1.0}


@pytest.mark.parametrize("q", [0.03, 0.08, 0.15])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 19])
def test_cdf_jumps_at_the_atom_by_its_mass(depth, q):
    """Hard-tanh, orthogonal: mass 1 − L(1 − p) at λ_max = (σ_w² )^L, p = P(|h| < 1), as χ_1 = σ_w² p = 1."""
    p = math.erf(1.0 / math.sqrt(2.0 * q))
    mass = 1.0 - depth * (1.0 - p)
    assert mass > 0
    pred = predict(Network(activation="hardtanh", weights="orthogonal", sigma_w="critical", q_star=q, depth=depth))
    assert pred.checks.certified
    for law, top in ((pred.spectrum, p**-depth), (pred.singular_values, p ** (-0.5 * depth))):
        atom = law.atoms[-1]
        assert atom.location == pytest.approx(top, rel=1e-13)
        assert atom.mass == pytest.approx(mass, rel=1e-9, abs=1e-12)
        before = law.cdf(np.nextafter(atom.location, 0.0))
        for end in (atom.location, law.support()[1], law.icdf(1.0)):
            assert law.cdf(end) == pytest.approx(1.0, abs=1e-14)
        assert before == pytest.approx(1.0 - mass, abs=1e-10)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "smoothed_relu", "softplus", "elu", "gelu", "softsign", "sin"])
def test_one_layer_laws_end_with_all_of_their_mass(name):
    law = predict(Network(activation=name, depth=1, sigma_w=1.0, **ORTHOGONAL)).spectrum
    assert law.cdf(law.support()[1]) == pytest.approx(1.0, abs=1e-14)
    p = np.linspace(0.01, 0.45, 12)
    assert law.cdf(law.icdf(p)) == pytest.approx(p, abs=1e-12)


def test_singular_values_have_their_density_at_zero():
    """One square Gaussian matrix: the quarter circle, 2/π at 0; two: it diverges; tall: it vanishes."""
    quarter = predict(Network(activation="identity", sigma_w=1.0, sigma_b=0.0, input_variance=1.0, depth=1))
    assert quarter.singular_values.pdf(0.0) == pytest.approx(2.0 / math.pi, rel=1e-12)
    product = predict(Network(activation="identity", sigma_w=1.0, sigma_b=0.0, input_variance=1.0, depth=2))
    assert product.singular_values.pdf(0.0) == math.inf
    identity = predict(Network(activation="identity", sigma_w=1.0, depth=3, **ORTHOGONAL))
    assert identity.singular_values.pdf(0.0) == 0.0


def test_quantiles_run_from_one_end_of_the_support_to_the_other() -> None:
    """At p = 0 and 1 exactly, for a law with a gap at 0 (Marchenko–Pastur: (1 ± ½)²) and with an atom there."""
    square = predict(
        Network(activation="identity", sigma_w=1.0, input_variance=1.0, input_width=400, layers=[{"width": 100}])
    )
    assert square.spectrum.icdf([0.0, 1.0]) == pytest.approx([0.25, 2.25], rel=1e-14)
    assert square.spectrum.icdf(1.0) == square.spectrum.support()[1]
    he = predict(Network(depth=3, activation="relu", sigma_w=2**0.5, input_variance=1.0))
    assert he.spectrum.icdf([0.0, 1.0]).tolist() == list(he.spectrum.support())


def test_arrays_of_the_mean_field_are_read_only() -> None:
    field = predict(Network(depth=3, activation="tanh", sigma_w=1.2, input_variance=1.0)).mean_field
    for values in (field.q, field.chi):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 2.0


@pytest.mark.parametrize(
    ("name", "weights", "depth", "q"),
    [("erf", "orthogonal", 100, 0.01), ("tanh", "orthogonal", 300, 0.1), ("gelu", "gaussian", 20, 1.0)],
)
def test_a_distribution_function_keeps_to_its_range(name: str, weights: str, depth: int, q: float) -> None:
    """Not −2e-18 in a thin tail, and 1 beyond the law, not 1 − 3e-16."""
    law = predict(Network(activation=name, weights=weights, depth=depth, sigma_w="critical", q_star=q)).spectrum
    top = law.support()[1]
    below = law.cdf(top * np.geomspace(1e-30, 1.0, 3000))
    assert np.all((below >= 0.0) & (below <= 1.0))
    assert np.all(law.cdf(top * np.array([1.0 + 1e-12, 1.5, 2.0, 1e9])) == 1.0)

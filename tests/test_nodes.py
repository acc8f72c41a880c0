"""ψ of D² at every distance from its cut, against mpmath quadrature along a detour round the poles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import reference
from mpmath import mp
from networks import TWIN_NAMES

from spectra.activations import get_activation
from spectra.laws.nodes import LawStack, NodeLaw
from spectra.laws.pushforward import slope_law

EPS = float(np.finfo(float).eps)
DPS = 22


@dataclass(frozen=True)
class Case:
    """An activation at variance q, and the x with φ'(x)² = 1/Re v that put v on the cut, in the order of depth."""

    name: str
    q: float
    places: tuple[float, ...]
    ends: tuple[Any, ...]  # of the stretches on which φ'² is monotone

    def law(self) -> NodeLaw:
        return slope_law(get_activation(TWIN_NAMES.get(self.name, self.name)), self.q)


# Places run from the bulk of the Gaussian to six standard deviations out, where Im ψ is 1e-8 of |ψ|.
GELU_TURN = 2**0.5
CASES = (
    Case("tanh", 0.3, (0.2, 0.8, 3.2), (0,)),
    Case("erf", 1.0, (0.3, 1.5), (0,)),
    Case("softplus", 0.5, (-1.0, 0.3, 3.5), ()),
    Case("sigmoid", 2.0, (0.5, 6.0), (0,)),
    Case("gelu", 1.0, (-0.3, 0.4), (-GELU_TURN, "zero", GELU_TURN)),
    Case("elu", 1.0, (-0.7, -4.0), (0,)),
    Case("sin", 0.2, (0.4, 1.1), (-1.5 * math.pi, -math.pi, -0.5 * math.pi, 0, 0.5 * math.pi, math.pi, 1.5 * math.pi)),
)
# |Im v|/|v|: comfortable, close, at the height where the plain sum has lost Im ψ, and closer than rounding of Re ψ.
HEIGHTS = (0.3, 1e-2, 1e-6, 1e-12)


def slope_on(name: str, x: Any) -> Any:
    """φ' of the branch that holds the real x, for complex arguments; a number where it is constant."""
    if name == "gelu":  # `mp.ncdf` takes real arguments only
        return lambda x: (1 + mp.erf(x / mp.sqrt(2))) / 2 + x * mp.exp(-(x**2) / 2) / mp.sqrt(2 * mp.pi)
    return next(s for end, s in reference.BRANCHES[name] if x <= end)


def psi(case: Case, y: Any, power: int = 0) -> Any:
    """ψ(y) = E yφ'²/(1 − yφ'²), or yψ'(y) for power 1: the line bent away from the poles, stretch by stretch.

    On a stretch where φ'² is monotone the poles φ'(x)² = 1/y, Im y > 0, lie on one known side of the axis: below it
    if φ'² rises. A straight detour on the other side meets none of them.
    """
    with mp.workdps(DPS):
        root = mp.sqrt(mp.mpf(case.q))
        total = mp.zero
        zero: Any = mp.findroot(lambda x: reference.slope("gelu", x), -0.75) if case.name == "gelu" else mp.zero
        ends: list[Any] = [zero if end == "zero" else mp.mpf(end) for end in case.ends]
        reach = 12 * root
        ends = [-reach, *(end for end in ends if abs(end) < reach), reach]
        for low, high in pairwise(ends):
            slope: Any = slope_on(case.name, (low + high) / 2)
            if not callable(slope):
                weight = (mp.erf(high / root / mp.sqrt(2)) - mp.erf(low / root / mp.sqrt(2))) / 2
                total += weight * y * slope**2 / (1 - y * slope**2) ** (1 + power)
                continue
            rises = bool(mp.fabs(slope(high)) > mp.fabs(slope(low)))
            depth = min(root, high - low) / 4 * (1 if rises else -1)

            def term(x, slope=slope):
                t: Any = slope(x) ** 2
                gauss = mp.exp(-(x**2) / (2 * case.q)) / (root * mp.sqrt(2 * mp.pi))
                return gauss * y * t / (1 - y * t) ** (1 + power)

            step = (high - low) / 8
            path = [low, *(low + k * step + 1j * depth * min(k, 8 - k, 2) / 2 for k in range(1, 8)), high]
            total += mp.quad(term, path, maxdegree=9)
        return +total


def at(case: Case, law: NodeLaw, place: float, height: float) -> tuple[complex, Any]:
    """Return v = a(1 + i·height) with φ'(place)² = 1/a, and the same in units of φ'² itself."""
    a = law.mean / law.rank / float(reference.slope(case.name, mp.mpf(place))) ** 2
    v = complex(a, a * height)
    with mp.workdps(DPS):
        return v, mp.mpc(v) / (mp.mpf(law.mean) / mp.mpf(law.rank))


def test_detour_agrees_with_quadrature_on_the_line():
    """The twin used here against the plain one of `reference`, where that converges."""
    for case in CASES[:3]:
        y = mp.mpc(1.3, 0.9)
        with mp.workdps(DPS):
            assert abs(psi(case, y) / reference.psi_quad(case.name, case.q, y, 20) - 1) < 1e-17


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_psi_of_squared_slopes_keeps_its_digits_close_to_the_cut(case, height):
    law = case.law()
    for place in case.places:
        v, y = at(case, law, place, height)
        found, plus, excess, (first,) = LawStack([law]).evaluate(np.array([[v]]))
        exact = psi(case, y) / law.rank
        # 1e-13 relative, as asked; the rounding of v itself moves ψ by v ψ' eps.
        moved = abs(v * complex(first[0, 0])) * EPS
        assert abs(complex(exact) - found[0, 0]) < 1e-13 * abs(complex(exact)) + 2 * moved
        # Im ψ alone, though it be 1e-12 of |ψ|: the density in a thin tail is nothing else.
        # Above TAIL_HEIGHT it is a plain sum, with absolute accuracy.
        rounding = 16 * EPS * float(abs(exact)) if height > 1e-4 else 0.0
        assert found[0, 0].imag == pytest.approx(float(exact.imag), rel=1e-12, abs=rounding)
        # 1 + ψ = E 1/(1 − vt) adds numbers of size 1, of which next to nothing is left where v is huge.
        assert abs(plus[0, 0] - complex(1 + exact)) < 1e-13 * abs(complex(1 + exact)) + 8 * EPS + 2 * moved
        asked = complex(exact * (1 - mp.mpc(v)) - mp.mpc(v))
        assert abs(excess[0, 0] - asked) < 1e-13 * (abs(asked) + abs(v)) + 2 * moved * abs(1 - v)


@pytest.mark.parametrize("height", [0.3, 1e-6])
@pytest.mark.parametrize("case", CASES[:5], ids=lambda case: case.name)
def test_derivative_of_psi_agrees_with_quadrature(case, height):
    law = case.law()
    v, y = at(case, law, case.places[0], height)
    (first,) = LawStack([law]).evaluate(np.array([[v]]))[3]
    exact = complex(psi(case, y, power=1)) / law.rank / v
    assert abs(first[0, 0] / exact - 1) < 1e-11


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_derivatives_are_those_of_psi(case):
    law = case.law()
    stack = LawStack([law])
    step = 1e-4
    v = np.array([at(case, law, case.places[0], height)[0] for height in (0.9, 0.4)] + [0.3 + 0j, 0.3 + 0.1j])[None]
    _, _, _, (first, second) = stack.evaluate(v, 2)
    # Richardson's difference: error h⁴ ψ⁽⁵⁾, ψ analytic over a distance of 0.4 |v|, and eps/h from rounding.
    values = {k: stack.evaluate(v * (1 + k * step), 2) for k in (-2, -1, 1, 2)}
    scale = 12 * step * v
    for order, exact in ((0, first), (1, second)):
        f = {k: (value[0] if order == 0 else value[3][0]) for k, value in values.items()}
        difference = (f[-2] - 8 * f[-1] + 8 * f[1] - f[2]) / scale
        assert np.all(np.abs(difference / exact - 1) < 1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_psi_is_continuous_where_the_repair_of_its_tail_begins(case):
    law = case.law()
    stack = LawStack([law])
    a = at(case, law, case.places[-1], 0.0)[0].real
    heights = np.geomspace(1e-5, 1e-1, 400)
    imaginary = stack.evaluate((a * (1 + 1j * heights))[None])[0][0].imag
    assert np.all(imaginary > 0)
    # A jump would show as a kink in the logarithmic slope; Im ψ itself moves by less than a step of the grid.
    slope = np.diff(np.log(imaginary)) / np.diff(np.log(heights))
    assert np.max(np.abs(np.diff(slope))) < 0.1


def test_psi_of_atoms_is_a_rational_function():
    law = slope_law(get_activation("leaky_relu"), 1.0)
    v = np.array([[0.3, 0.9 + 1e-9j, 5 + 2j, -3 + 1j]])
    mean = (1 + 1e-4) / 2
    points = np.array([1e-4, 1.0]) / mean
    exact = sum(0.5 * v * t / (1 - v * t) for t in points)
    assert LawStack([law]).evaluate(v)[0] == pytest.approx(exact, rel=1e-14)
    assert law.mean == pytest.approx(mean, rel=1e-15)
    assert [a[1] for a in law.atoms] == pytest.approx([0.5, 0.5], rel=1e-15)


def test_laws_side_by_side_are_the_laws_alone():
    laws = [case.law() for case in CASES[:3]] + [slope_law(get_activation("leaky_relu"), 1.0)]
    v = np.array([[0.2 + 0.1j, 3 + 1e-5j], [1 + 1j, 0.4 + 0j], [-2 + 1j, 1.5 + 1e-8j], [0.3 + 0.2j, 9 + 1j]])
    together = LawStack(laws).evaluate(v, 2)
    for k, law in enumerate(laws):
        alone = LawStack([law]).evaluate(v[k : k + 1], 2)
        for one, other in zip((*together[:3], *together[3]), (*alone[:3], *alone[3]), strict=True):
            assert one[k] == pytest.approx(other[0], rel=1e-14)


@pytest.mark.parametrize("q", [1e-6, 0.01, 1.0, 100.0])
def test_moments_of_squared_slopes_have_their_closed_forms(q):
    # μ_k = 1/√(1 + πkq) for erf(√π x/2); Pennington et al. 2018, table 1.
    law = slope_law(get_activation("erf"), q)
    exact = np.array([1 / math.sqrt(1 + math.pi * k * q) for k in range(1, 9)])
    assert law.mean == pytest.approx(exact[0], rel=4 * EPS)
    # The law is that given φ' ≠ 0: where φ'² underflows it counts as zero.
    given = law.rank ** np.arange(8)
    assert law.moments(8) == pytest.approx(given * exact / exact[0] ** np.arange(1, 9), rel=1e-13)
    # E cos^{2k} by the binomial theorem.
    law = slope_law(get_activation("sin"), q)
    exact = np.array(
        [sum(math.comb(2 * k, j) * math.exp(-2 * (k - j) ** 2 * q) for j in range(2 * k + 1)) / 4**k for k in (1, 2, 3)]
    )
    assert law.moments(3) == pytest.approx(exact / exact[0] ** np.arange(1, 4), rel=1e-13)


@pytest.mark.parametrize(("name", "q"), [("hardtanh", 0.04), ("hardtanh", 1.0), ("relu", 3.0), ("hardsigmoid", 1.0)])
def test_mass_off_zero_is_the_probability_of_a_slope(name, q):
    edge = {"hardtanh": 1.0, "relu": 0.0, "hardsigmoid": 3.0}[name]
    law = slope_law(get_activation(name), q)
    exact = 0.5 if name == "relu" else math.erf(edge / math.sqrt(2 * q))
    assert law.rank == pytest.approx(exact, rel=2 * EPS)
    assert law.atoms == (pytest.approx((1.0, 1.0), rel=2 * EPS),)

"""Enclosures of one orthogonal layer, and of what expressions can be: every rule against values to 60 digits.

JJᵀ = σ_w² D² is a change of variables: its density is known where φ' has a known inverse.
"""

from __future__ import annotations

import math
from typing import Any

import mpmath
import pytest
import sympy
from flint import arb, fmpq

from spectra import ConvergenceError, Network, predict
from spectra.activations import get_activation, grammar, symbolic
from spectra.activations.expression import is_cut_exactly
from spectra.exact.power_series import working_precision
from spectra.exact.precise import PreciseNetwork
from spectra.exact.slope_cells import largest_slope, slope_bound
from spectra.exact.tail_bounds import tail_of

BITS, DIGITS = 200, 60
SIGMA_W, VARIANCE = "1.1", "1.22"  # q = 1.1² · 1 + 0.1²


def layer(activation: Any, **more: Any) -> Network:
    at = {"sigma_w": 1.1, "sigma_b": 0.1, "input_variance": 1.0} | more
    return Network(depth=1, activation=activation, weights="orthogonal", **at)


def holds(ball: Any, value: Any) -> bool:
    with working_precision(BITS):
        return bool(ball.overlaps(arb(mpmath.nstr(value, 55)) + arb(0, abs(float(value)) * 1e-50)))


def weight(h: Any) -> Any:
    q = mpmath.mpf(VARIANCE)
    return mpmath.exp(-h * h / (2 * q)) / mpmath.sqrt(2 * mpmath.pi * q)


def by_tanh(s: Any) -> Any:
    # φ' = 1 − tanh², φ'' = −2 tanh φ'.
    rise = mpmath.sqrt(1 - s)
    return 2 * weight(mpmath.atanh(rise)) / (2 * rise * s)


def by_erf(s: Any) -> Any:
    # φ' = exp(−πx²/4), φ'' = −(π/2) x φ'.
    h = mpmath.sqrt(-4 * mpmath.log(s) / mpmath.pi)
    return 2 * weight(h) / (mpmath.pi / 2 * h * s)


def by_softsign(s: Any) -> Any:
    # φ' = (1 + |x|)^−2, |φ''| = 2 (1 + |x|)^−3.
    return 2 * weight(1 / mpmath.sqrt(s) - 1) / (2 * s ** mpmath.mpf("1.5"))


def by_sin(s: Any) -> Any:
    a = mpmath.acos(s)
    places = [side * a + k * mpmath.pi for k in range(-12, 13) for side in (-1, 1)]
    return mpmath.fsum(map(weight, places)) / mpmath.sin(a)


def by_hardswish(s: Any) -> Any:
    # φ' = (2x + 3)/6 on (−3, 3), from −1/2 to 3/2.
    return sum(weight((6 * t - 3) / 2) * 3 for t in (s, -s) if -0.5 < t < 1.5)


def by_halving(function: Any, low: Any, high: Any) -> Any:
    low, high = mpmath.mpf(low), mpmath.mpf(high)
    rising = function(high) > 0
    for _ in range(DIGITS * 4):
        middle = (low + high) / 2
        low, high = (low, middle) if (function(middle) > 0) == rising else (middle, high)
    return low


def by_gelu(s: Any) -> Any:
    # φ' = Φ + xp falls from 0 to x = −√2, rises to √2, falls to 1; φ'' = (2 − x²) p.
    top = mpmath.sqrt(2)

    def slope(x: Any) -> Any:
        return mpmath.ncdf(x) + x * mpmath.npdf(x)

    total = mpmath.mpf(0)
    for low, high in ((-30, -top), (-top, top), (top, 30)):
        for target in (s, -s):
            if (slope(low) - target) * (slope(high) - target) < 0:
                x = by_halving(lambda x, t=target: slope(x) - t, low, high)
                total += weight(x) / abs((2 - x * x) * mpmath.npdf(x))
    return total


@pytest.mark.parametrize(
    ("name", "route"),
    [("tanh", by_tanh), ("erf", by_erf), ("softsign", by_softsign), ("sin", by_sin), ("hardswish", by_hardswish),
     ("gelu", by_gelu), ({"expr": "x*normal_cdf(x)"}, by_gelu), ({"expr": "sin(x)"}, by_sin)],
)  # fmt: skip
@pytest.mark.parametrize("location", [1e-9, 0.001, 0.012, 0.3, 0.9, 1.2, 1.3, 1.5, 2.5, 3.0])
def test_the_density_of_an_orthogonal_layer_is_a_change_of_variables(name: Any, route: Any, location: float) -> None:
    # Against ρ = Σ p(h)/(2σ_w² |φ'φ''|), solved for h in closed form or by mpmath's own root finder.
    found = PreciseNetwork(layer(name), 25).density(location)
    with mpmath.workdps(DIGITS):
        scale = mpmath.mpf(SIGMA_W) ** 2
        s = mpmath.sqrt(mpmath.mpf(str(location)) / scale)
        top = {by_gelu: mpmath.mpf("1.13"), by_hardswish: mpmath.mpf("1.5")}.get(route, mpmath.mpf(1))
        truth = route(s) / (2 * scale * s) if s < top else mpmath.mpf(0)
        assert holds(found, truth)
    assert found.is_zero() if truth == 0 else found.rel_accuracy_bits() > 3.32 * 25


def test_the_largest_eigenvalue_of_an_orthogonal_layer_is_the_largest_slope() -> None:
    with mpmath.workdps(DIGITS):
        scale, root = mpmath.mpf(SIGMA_W) ** 2, mpmath.sqrt(2)
        tops = {
            "tanh": mpmath.mpf(1),
            "sin": mpmath.mpf(1),
            "softplus": mpmath.mpf(1),  # of no x
            "hardswish": mpmath.mpf(9) / 4,
            "gelu": (mpmath.ncdf(root) + root * mpmath.npdf(root)) ** 2,
        }
        for name, top in tops.items():
            found = PreciseNetwork(layer(name), 30).largest()
            assert holds(found, scale * top)
            assert found.rel_accuracy_bits() > 3.32 * 30


def test_layers_of_one_slope_beside_it_are_a_factor() -> None:
    one = PreciseNetwork(layer("tanh"), 20)
    net = Network(
        layers=[{"activation": "tanh"}, {"activation": {"name": "leaky_relu", "negative_slope": -1.0}, "repeat": 2}],
        weights="orthogonal", sigma_w=1.1, sigma_b=0.1, input_variance=1.0,
    )  # fmt: skip
    two = PreciseNetwork(net, 20)
    with working_precision(100):
        scale = arb(fmpq(11, 10)) ** 4
        assert two.largest().overlaps(one.largest() * scale)
    # 0.3 · 1.1⁴ is the decimal 0.43923.
    with working_precision(100):
        assert (two.density(0.43923) * scale).overlaps(one.density(0.3))


@pytest.mark.parametrize(
    ("activation", "location"),
    [
        ("tanh", 1.0),  # sup φ'²
        ("sin", 1.0),
        ("hardswish", 1.0),  # an atom
        ("hardswish", 0.25),  # φ'(−3)²
        ("hardswish", 2.25),
        ("hardtanh", 1.0),
        ("softplus", 1.0),  # the limit of φ'² for large x
        ("tanh", 0.0),
    ],
)
def test_at_atoms_and_critical_values_nothing_is_proven(activation: str, location: float) -> None:
    precise = PreciseNetwork(layer(activation, sigma_w=1.0), 20)
    with pytest.raises(ConvergenceError, match="not proven"):
        precise.density(location)


def test_off_the_atoms_of_a_law_of_atoms_the_density_is_zero() -> None:
    assert PreciseNetwork(layer("hardtanh"), 20).density(0.5).is_zero()
    at_rest = Network(depth=1, activation="tanh", weights="orthogonal", sigma_w=0.5, sigma_b=0.0,
                      input_variance="fixed-point")  # fmt: skip
    assert PreciseNetwork(at_rest, 20).density(0.1).is_zero()


def test_gaussian_layers_and_those_that_widen_are_no_change_of_variables() -> None:
    wide = Network(depth=1, activation="tanh", weights="orthogonal", width=200, input_width=100, sigma_w=1.1,
                   sigma_b=0.1, input_variance=1.0)  # fmt: skip
    location = float(predict(wide).spectrum.icdf(0.9))
    found = PreciseNetwork(wide, 15).density(location)
    assert float(found.mid()) == pytest.approx(float(predict(wide).spectrum.pdf(location)), rel=1e-10)


# -- tails -----------------------------------------------------------------------------------------------------------

OF_X = ["x", "-x", "x**2/3", "1/x", "-2/x", "2 + 1/x", "x - log(x)", "-x**3 + x", "sqrt(x)", "sin(x)"]


@pytest.mark.parametrize("name", [*symbolic.PRIMITIVES, "exp", "sin", "cos", "atan", "asinh", "erf", "erfc", "log"])
def test_bounds_of_tails_hold_what_is_beyond(name: str) -> None:
    """Every function of every kind of argument, times powers that tell a fall from none."""
    tried = 0
    for inner in OF_X:
        for outer in ("{}", "x**2*{}", "{}/(1 + x)", "1/(2 + x**2*({})**2)"):
            expression = grammar.parse(outer.format(f"{name}({inner})"))
            # e^{−2·26} is seen in sixty digits.
            start = 26
            with working_precision(BITS):
                try:
                    tail = tail_of(expression, arb(start))
                except ConvergenceError:
                    continue
            tried += 1
            function = symbolic.mpmath_function(expression)
            for factor in (1, 1.001, 1.3, 2, 7.7, 100.1, 1e6, 1e12):
                with mpmath.workdps(DIGITS), working_precision(BITS):
                    x = start * mpmath.mpf(factor)
                    try:
                        value = mpmath.re(function(x))
                    except OverflowError:
                        continue
                    scale = arb(mpmath.nstr(x, 58)) ** (arb(tail.power.numerator) / tail.power.denominator)
                    truth = arb(mpmath.nstr(value, 58))
                    room = arb(0, arb(10) ** -50 * abs(truth).upper())
                    assert (scale * tail.factor).overlaps(truth + room), (expression, factor)
    assert tried >= 6


def test_growth_without_bounds_is_no_tail() -> None:
    x = symbolic.X
    with pytest.raises(ConvergenceError):
        tail_of(sympy.exp(x), arb(60))
    with pytest.raises(ConvergenceError, match="without bounds"):
        _ = tail_of(x, arb(60)).range
    # e^{−x/100} is no fall by powers yet at 60.
    with pytest.raises(ConvergenceError, match="has not begun"):
        tail_of(sympy.exp(-x / 100), arb(60))


# -- expressions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("tanh(x) + x/10", "1.1"),
        ("log(1 + x**2)", "1"),
        ("x*exp(-x**2)", "1"),
        ("exp(-x**2/2)", mpmath.mp.exp(-0.5)),
        ("sin(x) + sin(2*x)", "3"),
        ("tanh(x)**2", 4 / (3 * mpmath.sqrt(3))),
        ("max(x, x/10)", "1"),
        ("max(x, 0)**3/(1 + x**2)", "1.125"),  # at √3
        ("abs(x) + tanh(x)", "2"),
    ],
)
def test_the_bound_of_a_slope_is_a_little_above_it(text: str, truth: Any) -> None:
    bound = slope_bound(get_activation({"expr": text}))
    assert bound is not None
    assert float(bound) / float(truth) + 1e-15 >= 1
    assert float(bound) <= float(truth) * (1 + 2e-9)


@pytest.mark.parametrize(("text", "truth"), [("x*atan(x)/2", math.pi / 4), ("sqrt(1 + x**2)", 1.0)])
def test_where_slopes_near_their_supremum_for_large_x_only_the_bound_is_looser(text: str, truth: float) -> None:
    bound = slope_bound(get_activation({"expr": text}))
    assert bound is not None
    assert truth <= float(bound) < truth * (1 + 2.0**-8)


def test_slopes_without_bounds_and_kinks_by_search_have_none() -> None:
    for text in ("x**2", "x**3/3 + tanh(x)", "max(tanh(x), x/2)", "Piecewise((x, x < 1/3), (1/3, True))"):
        assert slope_bound(get_activation({"expr": text})) is None


def test_kinks_count_as_exact_where_polynomials_vanish_at_decimals() -> None:
    exact = ("x", "max(x, 0)", "abs(x - 1/4)", "clip(x, -0.1, 0.3)", "max(x**2 - 1/4, 0)", "abs(max(x, -1))")
    for text in exact:
        assert is_cut_exactly(text), text
    # Roots that are no decimals, and functions whose zeros are found by search.
    for text in ("max(x, 1/3)", "max(x**2 - 2, 0)", "abs(tanh(x))", "max(exp(x), 1)", "abs(max(tanh(x), x/2))"):
        assert not is_cut_exactly(text), text


def test_kinks_by_search_leave_nothing_proven_of_atoms_either() -> None:
    for text, proven in (("max(x, x/2)", True), ("Piecewise((x, exp(x) < 1), (x/2, True))", False)):
        assert PreciseNetwork(layer({"expr": text}), 15).proven == proven


def test_suprema_of_the_catalogue_are_those_it_states() -> None:
    for name in ("gelu", "silu", "mish", "selu", "hardswish", "sigmoid", "smoothed_relu"):
        activation = get_activation(name)
        with working_precision(120):
            found = largest_slope(activation, 80)
        assert float(found.mid()) == pytest.approx(activation.slope_bound, rel=4e-16)
        assert found.rel_accuracy_bits() > 75


@pytest.mark.parametrize(
    ("text", "name"),
    [("x*normal_cdf(x)", "gelu"), ("clip(x, -1, 1)", "hardtanh"), ("x/(1 + abs(x))", "softsign"),
     ("max(x, x/10)", {"name": "leaky_relu", "negative_slope": 0.1})],
)  # fmt: skip
def test_expressions_have_the_enclosures_of_the_same_function_by_name(text: str, name: Any) -> None:
    by_text, by_name = (
        predict(
            Network(depth=1, activation=activation, sigma_w=1.1, sigma_b=0.1, input_variance=1.0), dps=15, certify=True
        ).to_dict(at=[0.4], moments=2)["certified"]
        for activation in ({"expr": text}, name)
    )
    assert by_text.keys() == by_name.keys() >= {"m_1", "lambda_max", "density(0.4)"}
    with working_precision(BITS):
        for key, (middle, radius) in by_text.items():
            other, around = by_name[key]
            assert (arb(middle) + arb(0, arb(radius))).overlaps(arb(other) + arb(0, arb(around)))

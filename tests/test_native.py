"""The compiled sums and equation against the same formulas in numpy, and against plain sums of many digits."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from networks import SOME_OF_EACH, equation_of, golden_layers

from spectra import Network
from spectra import guess as guess_module
from spectra._types import Array
from spectra.activations import get_activation
from spectra.beside import LocalEquation, LocalRoots
from spectra.chebyshev import clenshaw
from spectra.guess import Guess, solve_nodes
from spectra.laws import inverse as inverse_module
from spectra.laws import panels as panels_module
from spectra.laws import sums as sums_module
from spectra.laws.nodes import NodeLaw
from spectra.laws.pushforward import slope_law
from spectra.laws.sums import NodeSums
from spectra.native import NATIVE
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.pointwise import PointEvaluator
from spectra.pole import heaviest_pole
from spectra.solve import (
    _improve,
    improve,
    measure,
)
from spectra.survey import survey

needs_compiler = pytest.mark.skipif(NATIVE is None, reason="installed without a compiler")

COMPILED = [name for name in SOME_OF_EACH if not name.startswith("identity")]
# Sums of a few hundred terms in another order; second derivatives lose a digit to cancellation.
ROUNDING = 1e-12
FIELDS = ("log_u", "slope", "bend", "rates", "curls", "mismatch", "pull", "steepness")


def exact_sums(law: NodeLaw, v: complex) -> list[complex]:
    """The five sums, term by term in forty digits."""
    with mpmath.workdps(40):
        result = [mpmath.mpc(0)] * 5
        for t, w in zip(law.points.tolist(), law.weights.tolist(), strict=True):
            t, w = mpmath.mpmathify(t), mpmath.mpmathify(w)
            r = 1 / (1 - mpmath.mpmathify(v) * t)
            terms = (w * t * r, w * (t - 1) ** 2 * r, w * r, w * t * r**2, 2 * w * t**2 * r**3)
            result = [a + b for a, b in zip(result, terms, strict=True)]
        return [complex(x) for x in result]


def computed(law: NodeLaw, v: Array) -> Array:
    out: Any = np.empty((v.size, 5), complex)
    NodeSums(law.points, law.weights).add_up(v, out)
    return out


@needs_compiler
@pytest.mark.parametrize("name", ["tanh", "gelu", "hardtanh", "elu", "softsign"])
def test_sums_are_those_of_the_terms(name: str) -> None:
    """Over many decades of v, where series stand for most of the nodes."""
    law = slope_law(get_activation(name), 1.0)
    rng = np.random.default_rng(3)
    v = 10.0 ** rng.uniform(-20.0, 60.0, 24) * np.exp(1j * rng.uniform(0.1, 3.0, 24))
    expected = np.array([exact_sums(law, complex(x)) for x in v])
    # Of terms of this size, and so is the rounding of their sum.
    inverse = np.abs(1.0 / (1.0 - v[:, None] * law.points))
    size = np.abs(law.weights)
    t = np.abs(law.points)
    powers = (t, np.abs(law.points - 1.0) ** 2, np.ones(t.size), t, 2 * t**2)
    scale = np.stack([inverse**p @ (size * x) for p, x in zip((1, 1, 1, 2, 3), powers, strict=True)], -1)
    assert np.max(np.abs(computed(law, v) - expected) / scale) < 3e-15


@needs_compiler
def test_numpy_and_compiled_sums_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    law = slope_law(get_activation("silu"), 2.0)
    v = np.array([0.3 + 0.1j, 5.0 + 2.0j, 1e6 + 1e5j, -3.0 + 0.5j])
    one, a = computed(law, v), np.real(v).copy()
    other = NodeSums(law.points, law.weights).divided_difference(a, v)
    monkeypatch.setattr(sums_module, "NATIVE", None)
    np.testing.assert_allclose(computed(law, v), one, rtol=1e-13)
    np.testing.assert_allclose(NodeSums(law.points, law.weights).divided_difference(a, v), other, rtol=1e-13)


@needs_compiler
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("name", COMPILED)
def test_equation_agrees_with_arrays(name: str, rough: bool) -> None:
    equation, rng = equation_of(golden_layers(name)), np.random.default_rng(7)
    count, many = len(equation.factors), 60
    zeta = 3 * rng.normal(size=many) + 2j * np.abs(rng.normal(size=many))
    # Some just above the cut, where Im ψ is the law's own density.
    height = np.where(np.arange(many) % 3 == 0, 1e-9, 1.0)
    v = 2 * rng.normal(size=(count, many)) + 1j * height * np.abs(rng.normal(size=(count, many)))
    compiled = equation.evaluate(zeta, v, curvature=True, rough=rough)
    arrays = equation._evaluate(zeta, v, curvature=True, rough=rough)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(compiled, field), getattr(arrays, field), rtol=ROUNDING, atol=1e-13)
    target = 4 * rng.normal(size=many)
    for one, other in zip(
        improve(equation, zeta, v, target, rough=rough), _improve(equation, zeta, v, target, rough), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@needs_compiler
@pytest.mark.parametrize("name", SOME_OF_EACH)
def test_one_point_agrees_with_arrays(name: str) -> None:
    equation, rng = equation_of(golden_layers(name)), np.random.default_rng(8)
    at, count = PointEvaluator(equation), len(equation.factors)
    for _ in range(60):
        zeta, log_u = complex(3 * rng.normal(), 2 * abs(rng.normal())), 4 * rng.normal()
        v = 2 * rng.normal(size=count) + 1j * np.abs(rng.normal(size=count))
        spot = at.spot(zeta, v.tolist(), log_u)
        many = equation._evaluate(np.array([zeta]), v.reshape(-1, 1), curvature=True, rough=True)
        for field in FIELDS:
            np.testing.assert_allclose(getattr(spot, field), getattr(many, field)[..., 0], rtol=ROUNDING, atol=1e-13)
        target = np.array([log_u])
        assert spot.size == pytest.approx(measure(equation, many, target)[0], rel=1e-9)
        one, rest = at._newton_step(spot, log_u)
        dzeta, dv = equation.newton_step(many, target)
        assert one == pytest.approx(dzeta[0], rel=1e-9)
        np.testing.assert_allclose(rest, dv[:, 0], rtol=1e-9)


def test_extended_precision_stays_extended() -> None:
    equation = equation_of(golden_layers("identity_q1_gaussian_L5"))
    zeta: Any = np.clongdouble(0.1 + 0.2j)
    assert np.asarray(PointEvaluator(equation).spot(zeta, []).log_u).dtype == np.clongdouble


def test_nan_is_no_small_residual() -> None:
    equation = equation_of(golden_layers("rect_leaky_orthogonal_300-100-400"))
    v = [0.3 + 0.1j] * (len(equation.factors) - 1) + [complex("nan")]
    with np.errstate(all="ignore"):
        assert not PointEvaluator(equation).spot(0.5 + 0.1j, v, 1.0).size < 1e300
        size, *_ = improve(equation, np.array([0.5 + 0.1j]), np.array(v)[:, None], np.array([1.0]))
    assert not size[0] < 1e300


def test_equations_can_be_pickled() -> None:
    equation = equation_of(golden_layers("tanh_q1_orthogonal_L16"))
    again = pickle.loads(pickle.dumps(equation))
    zeta, v = np.array([0.4 + 0.2j]), np.array([[0.6 + 0.3j]])
    assert np.array_equal(again.evaluate(zeta, v).log_u, equation.evaluate(zeta, v).log_u)


@needs_compiler
def test_inverses_are_looked_up_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.sort(np.random.default_rng(2).uniform(-3.0, 2.0, 40))
    height, rate = np.sinh(x), 1.0 / np.cosh(x)
    goal = np.linspace(height[0], height[-1], 203)[1:-1]
    one = inverse_module._between(x, height, rate, goal)
    assert np.max(np.abs(one[0] - np.arcsinh(goal))) < 1e-3
    monkeypatch.setattr(inverse_module, "NATIVE", None)
    np.testing.assert_allclose(one, inverse_module._between(x, height, rate, goal), rtol=1e-14, atol=1e-15)
    assert NATIVE is not None
    with pytest.raises(TypeError, match="invert"):
        NATIVE.invert(x, height, rate, goal)
    with pytest.raises(ValueError, match="items"):
        NATIVE.invert(x, height, rate[1:].copy(), goal, np.empty((3, goal.size)))


@needs_compiler
def test_wrong_arguments_are_refused() -> None:
    law = slope_law(get_activation("tanh"), 1.0)
    handle, v, out = NodeSums(law.points, law.weights).handle, np.array([0.5 + 0.5j]), np.empty((1, 4), complex)
    assert NATIVE is not None
    with pytest.raises(ValueError, match="items"):
        NATIVE.sums(handle, v, 2, out)
    with pytest.raises(TypeError, match="format"):
        NATIVE.sums(handle, np.real(v).copy(), 1, out)
    with pytest.raises(ValueError, match="eight"):
        NATIVE.table(v, v)
    with pytest.raises(ValueError, match="PyCapsule"):
        NATIVE.sums(v, v, 1, out)


def test_the_same_comes_out_without_a_compiler() -> None:
    """In a process of its own, in which there is no compiled module."""
    code = """if True:
        import sys
        if sys.argv[1] == "numpy":
            sys.modules["_spectra_native"] = None
        import numpy as np
        from spectra import Network, predict
        from spectra.native import NATIVE
        assert (NATIVE is None) or sys.argv[1] != "numpy"
        layers = [{"activation": "erf"}, {"activation": "hardtanh", "weights": "orthogonal"}, {"activation": "elu"}]
        for keys in (
            {"depth": 12, "activation": "tanh", "weights": "orthogonal", "sigma_w": "critical", "q_star": 0.5},
            {"depth": 3, "activation": "gelu", "sigma_w": "critical", "q_star": 1.0},
            {"depth": 5, "activation": "relu", "sigma_w": 2**0.5, "input_variance": 1.0},
            {"layers": layers, "sigma_w": 1.3, "sigma_b": 0.1, "input_variance": 1.0},
            {"depth": 2, "activation": "elu", "weights": "orthogonal", "sigma_w": "critical", "q_star": 1.0},
        ):
            found = predict(Network(**keys))
            assert found.checks.certified
            law = found.spectrum
            places = law.icdf(np.array([0.55, 0.8, 0.99]))
            print(*law.support(), *places, *law.pdf(places), *found.moments(4))
    """
    root = Path(__file__).resolve().parent.parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    printed = [
        subprocess.run(
            [sys.executable, "-c", code, how], check=True, capture_output=True, text=True, timeout=100, env=environment
        ).stdout
        for how in ("numpy", "compiled")
    ]
    one, other = (np.array(text.split(), float) for text in printed)
    assert one.size == 5 * 12
    np.testing.assert_allclose(one, other, rtol=1e-11)


def beside(name: str) -> LocalEquation:
    """Two orthogonal layers, beside the atom of mass zero."""
    keys = {"sigma_b": 0.0, "input_variance": 1.0} if name in ("relu", "leaky_relu") else {"q_star": 1.0}
    field = mean_field(Network(depth=2, activation=name, weights="orthogonal", sigma_w="critical", **keys))
    pole = heaviest_pole(jacobian_equation(field))
    assert pole is not None
    return pole.local


@needs_compiler
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "selu", "elu"])
def test_equation_beside_a_pole_agrees_with_arrays(name: str) -> None:
    local, rng = beside(name), np.random.default_rng(9)
    size = 10.0 ** rng.uniform(-12.0, -0.5, 60)
    s = size * np.exp(-1j * rng.uniform(0.1, 3.0, 60))
    epsilon = local.straight(s) * np.exp(0.1 * rng.normal(size=60))
    one, other = local.at(s, epsilon), local._at(s, epsilon)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        # Values and rates are differences of terms of this size.
        np.testing.assert_allclose(a, b, rtol=ROUNDING, atol=0.0 if a.ndim > 1 else 1e-14 * float(np.min(size) ** 2))


@needs_compiler
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "selu", "elu"])
def test_solutions_beside_a_pole_agree_with_arrays(name: str) -> None:
    local, at, s = beside(name), np.linspace(-3.0, -60.0, 80), np.array([-0.2j])
    # Of the two atoms of leaky_relu the lower is found, where log u ends.
    side = -1 if name == "leaky_relu" else 1
    start = local.solve(at[:1], side, LocalRoots.guessed(at[:1], s, local.straight(s)))
    one, other = local.solve(at, side, start), local._in_turn(at, side, start, 0.0)
    assert one.certified.all()
    assert other.certified.all()
    np.testing.assert_allclose(one.s, other.s, rtol=1e-12)
    np.testing.assert_allclose(one.epsilon, other.epsilon, rtol=1e-12)
    np.testing.assert_allclose(one.power, other.power, rtol=1e-9)


@needs_compiler
def test_wrong_arguments_beside_a_pole_are_refused() -> None:
    assert NATIVE is not None
    compiled = beside("leaky_relu").compiled
    assert compiled is not None
    s, out, state = np.zeros(3, complex), np.zeros((6, 3), complex), np.zeros(3, np.uint8)
    with pytest.raises(ValueError, match="items"):
        NATIVE.local(compiled._handle, compiled._masses, s, s[:2].copy(), out, state)
    with pytest.raises(TypeError, match="format"):
        NATIVE.local(compiled._handle, compiled._masses, np.zeros(3), s, out, state)
    with pytest.raises(TypeError, match="locate"):
        NATIVE.locate(compiled._handle)


@needs_compiler
def test_equations_of_unequal_terms_and_laws_at_zero_are_refused() -> None:
    assert NATIVE is not None
    with pytest.raises(ValueError, match="same number"):
        NATIVE.equation(0.0, np.array([0.5, 1.0]), np.array([1.0]), ())
    nodes: Any = np.zeros(8, complex)
    with pytest.raises(ValueError, match="zero"):
        NATIVE.table(nodes, nodes)


@needs_compiler
@pytest.mark.parametrize("name", COMPILED)
def test_starting_values_agree_with_arrays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At both ends and beyond, where slopes are not known, and after roots were added."""
    equation = equation_of(golden_layers(name))
    arc = survey(equation).arcs[0]
    low, high = (float(arc.log_u[0] if arc.first is None else arc.first.log_u), float(arc.log_u[-1]))
    guess = Guess(arc, low, high, arc.first is not None and bool(arc.first.exponent), False)
    u = np.linspace(low, high, 57)
    roots = solve_nodes(equation, *guess(u[20:30]), u[20:30], u[20:30])
    for _ in range(2):
        zeta, v = guess(u)
        with monkeypatch.context() as patch:
            patch.setattr(guess_module, "NATIVE", None)
            other_zeta, other_v = guess(u)
        np.testing.assert_allclose(zeta, other_zeta, rtol=1e-12)
        np.testing.assert_allclose(v, other_v, rtol=1e-12)
        guess.refine(u[20:30], roots)


@needs_compiler
@pytest.mark.parametrize("level", [0, 3, 8])
@pytest.mark.parametrize("name", ["tanh", "sin", "gelu", "elu", "smoothed_relu"])
def test_panels_agree_with_arrays(name: str, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    law = slope_law(get_activation(name), 1.7, level=level)
    with monkeypatch.context() as patch:
        patch.setattr(panels_module, "NATIVE", None)
        other = slope_law(get_activation(name), 1.7, level=level)
    assert law.points.size == other.points.size
    np.testing.assert_allclose(law.points, other.points, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(law.weights, other.weights, rtol=1e-9, atol=1e-15)


@needs_compiler
def test_series_are_those_of_numpy() -> None:
    """On rows in any order, and on numbers of points that are no multiple of those summed together."""
    rng = np.random.default_rng(8)
    series = rng.normal(size=(7, 22))
    for size in (1, 7, 8, 101):
        piece, x = rng.integers(0, 7, size), rng.uniform(-1.0, 1.0, size)
        expected = [np.polynomial.chebyshev.chebval(a, series[k]) for a, k in zip(x, piece, strict=True)]
        # Twenty-two terms of size one, by a recurrence that is stable inside of [-1, 1].
        assert np.max(np.abs(clenshaw(series, piece, x) - expected)) < 22 * 22 * np.finfo(float).eps
    assert clenshaw(series, np.zeros(0, int), np.zeros(0)).size == 0
    assert NATIVE is not None
    with pytest.raises(IndexError):
        clenshaw(series, np.array([7]), np.zeros(1))

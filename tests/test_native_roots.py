"""Newton's method in compiled code against the same in numpy, and its first steps, of second order."""

from __future__ import annotations

import numpy as np
import pytest
from networks import SOME_OF_EACH, equation_of, golden_layers, layer

from spectra import Network
from spectra._types import Array
from spectra.guess import Guess
from spectra.master import MasterEquation
from spectra.native import NATIVE
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.solve import CERTIFIED, NEAR, PATIENCE, POLISHED, TILTED, Roots, _explicit, _solve, measure
from spectra.survey import survey

needs_compiler = pytest.mark.skipif(NATIVE is None, reason="installed without a compiler")
COMPILED = [name for name in SOME_OF_EACH if not name.startswith("identity")]


@needs_compiler
@pytest.mark.parametrize("name", COMPILED)
def test_the_error_of_a_rough_step_is_a_cube(name: str) -> None:
    """From twice as far off it is 8 times as large, where that of Newton's method is 4 times."""
    equation, rng = equation_of(golden_layers(name)), np.random.default_rng(5)
    arc = survey(equation).arcs[0]
    inside = slice(1, -1)
    target = arc.log_u[inside].astype(float)
    roots = _solve(equation, target, arc.zeta[inside], arc.v[:, inside], 40, 0.0, 0)
    assert equation.compiled is not None
    good = roots.certified
    zeta, v, target = roots.zeta[good].astype(complex), roots.v[:, good], target[good]
    turn, errors = np.exp(2j * np.pi * rng.uniform(size=(len(v) + 1, zeta.size))), []
    for off in (2e-4, 1e-4):
        start = zeta * (1.0 + off * turn[0]), v * (1.0 + off * turn[1:])
        _, new_zeta, new_v, _ = equation.compiled.improve(*start, target, rough=True)
        errors.append(np.max(np.abs(np.vstack([new_zeta / zeta, new_v / v]) - 1.0), axis=0))
    ratio = errors[0] / errors[1]
    assert 7.0 < np.median(ratio) < 9.0


@needs_compiler
@pytest.mark.parametrize(("name", "depth"), [("elu", 16), ("selu", 2), ("tanh", 16), ("gelu", 5)])
def test_roots_just_above_a_cut_are_those_of_arrays(name: str, depth: int) -> None:
    """Where Im ψ needs the density of the law, which compiled code is given once."""
    equation = equation_of([layer(name, 1.0, "orthogonal", depth)])
    arc = survey(equation).arcs[-1]
    u = np.linspace(float(arc.log_u[1]), float(arc.log_u[-1]), 120)
    start = Guess(arc, float(arc.log_u[0]), float(arc.log_u[-1]), False, False)(u)
    limits = (16, 2, PATIENCE, 1e-16, CERTIFIED, POLISHED, NEAR, TILTED)
    zeta, v, residual, done, _ = equation.compiled.solve(u, *start, limits)  # type: ignore[union-attr]
    other = _solve(equation, u, *start, 16, 1e-16, 2)
    both = done & other.certified
    assert both.sum() > 60
    assert np.all(residual[both] < CERTIFIED)
    one, two = equation.log_density(zeta[both]), equation.log_density(other.zeta[both])
    # The rounding of w and v in a thin tail, over the density.
    assert np.all(np.abs(one - two) < 1e-11 + 1e-15 * np.exp(-two))
    np.testing.assert_allclose(v[:, both], other.v[:, both], rtol=1e-9)


@needs_compiler
@pytest.mark.parametrize(
    ("activation", "weights", "depth"),
    [("identity", "gaussian", 50), ("relu", "gaussian", 7), ("relu", "orthogonal", 3), ("hardtanh", "orthogonal", 12)],
)
def test_elementary_equations_agree_with_arrays(activation: str, weights: str, depth: int) -> None:
    """To the digits of extended precision, and off the root, too, for want of steps."""
    net = Network(activation=activation, weights=weights, depth=depth, sigma_w=1.3, input_variance=0.7)
    equation = jacobian_equation(mean_field(net))
    arc = survey(equation).arcs[0]
    zeta, v, log_u = arc.zeta[2:-1], arc.v[:, 2:-1], arc.log_u[2:-1] + 1e-3
    eps = float(np.finfo(np.longdouble).eps)
    off_axis = _compiled_roots(equation, log_u + 0.3j, zeta, v, 40, 0.0, 0)
    np.testing.assert_allclose(equation.evaluate(off_axis.zeta, off_axis.v).log_u.imag.astype(float), 0.3, rtol=1e-15)
    # The bend of log u over the distance to an edge multiplies rounding.
    for steps, rough, rtol in ((16, 2, 3e4 * eps), (40, 0, 3e4 * eps), (1, 0, 1e-13), (2, 1, 1e-13)):
        found, other = (how(equation, log_u, zeta, v, steps, 0.5 * eps, rough) for how in (_compiled_roots, _solve))
        np.testing.assert_allclose(np.abs(found.zeta / other.zeta - 1.0).astype(float), 0.0, atol=rtol)
        assert np.array_equal(found.certified, other.certified)
        if steps > 2:
            assert found.certified.all()
            assert found.residual.max() < 1e-13
            again = measure(equation, equation.evaluate(found.zeta, found.v), log_u).astype(float)
            assert again.max() < 1e3 * eps


def _compiled_roots(
    equation: MasterEquation, log_u: Array, zeta: Array, v: Array, steps: int, floor: float, rough: int
) -> Roots:
    return _explicit(equation, log_u, zeta, steps, floor, rough)

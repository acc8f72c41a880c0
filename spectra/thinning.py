"""Whether few laws that stand for many do so well enough: log u at the same ζ with more of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ._types import Array
from .master import MasterEquation
from .walker import Arc

_STEPS = 30
# Solutions must satisfy the equation with more laws to this.
STABLE = 1e-12
# Nodes added to the rules over many layers, until the equation no longer moves.
EXTRA = 4
# Laws that may stand for many, at most: the sweep then takes seconds.
MOST = 50


def is_thinned(equation: MasterEquation) -> bool:
    """Return whether some factors stand for more laws than they are."""
    return any(factor.family is not None for factor in equation.factors)


def enough(
    equation: MasterEquation, refined: Callable[..., MasterEquation], extra: int, arcs: Sequence[Arc]
) -> tuple[int, float]:
    """Nodes to add to the rules over many layers, `extra` or more, so that log u moves no longer along the arcs.

    And by how much it still moves: more than `STABLE` only where too many laws would be needed; then no node is added.

    Parameters
    ----------
    equation : with `extra` nodes more than the rules have by themselves, and swept: `arcs`.
    refined : `refined(extra=m)` builds it with more.
    """
    places = [(arc.zeta.astype(complex), arc.v.astype(complex)) for arc in arcs]
    breadths = [1.0 + np.abs(arc.log_u.astype(float) - arc.low_u) for arc in arcs]
    given, errors = extra, []
    while is_thinned(equation):
        wider = refined(extra=extra + EXTRA)
        worst = 0.0
        for (zeta, v), breadth in zip(places, breadths, strict=True):
            worst = max(worst, _change(equation, wider, zeta, v, breadth))
        if worst <= STABLE:
            return extra, worst
        errors.append(worst)
        if 2 * len(equation.factors) > MOST:
            return given, errors[0]
        # Twice as many: every try costs more than laws do.
        extra += max(EXTRA, len(equation.factors))
        better = refined(extra=extra)
        places = [(zeta, _carried(equation, better, v)) for zeta, v in places]
        equation = better
    return extra, 0.0


def _change(equation: MasterEquation, wider: MasterEquation, zeta: Array, v: Array, breadth: Array) -> float:
    """Largest change of log u, relative to 1 + |log u|, at ζ when more laws stand for the same family.

    Solutions count as they do in the density: thin tails, by what they hold.
    """
    before, v, good = _on_constraints(equation, zeta, v)
    after, _, found = _on_constraints(wider, zeta, _carried(equation, wider, v))
    change = np.abs(after - before) / (1.0 + np.abs(before))
    weight = wider.weight(zeta, breadth)
    counted = good & (weight > 1e-5**1.5)
    return float(np.max(np.where(found, change, np.inf)[counted] * weight[counted], initial=0.0))


def _carried(equation: MasterEquation, wider: MasterEquation, v: Array) -> Array:
    """Starting values for the laws of `wider`: log v interpolated along each family."""
    rows = np.log(v)
    carried = np.zeros((len(wider.factors), v.shape[1]), complex)
    for k, factor in enumerate(wider.factors):
        known = [j for j, one in enumerate(equation.factors) if one.family == factor.family]
        if factor.family is None:
            known = [j for j in known if equation.factors[j].law is factor.law]
        places = np.array([equation.factors[j].place for j in known])
        order = np.argsort(places)
        near = order[np.argsort(np.abs(places[order] - factor.place))[:4]]
        weights = np.array([_lagrange(places[near], i, factor.place) for i in range(near.size)])
        carried[k] = np.exp(weights @ rows[[known[j] for j in near]])
    return carried


def _lagrange(places: Array, index: int, at: float) -> float:
    others = np.delete(places, index)
    return float(np.prod((at - others) / (places[index] - others)))


def _on_constraints(equation: MasterEquation, zeta: Array, v: Array) -> tuple[Array, Array, Array]:
    """Log u, v with ψ_k(v_k) as ζ demands, and where Newton's method for it arrived, from nearby v."""
    size = np.full(zeta.size, np.inf)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            point = equation.evaluate(zeta, v)
            step = -point.mismatch / point.steepness
            step = step / np.maximum(1.0, 2.0 * np.abs(step) / np.abs(v))
            size = np.max(np.abs(step) / np.abs(v), axis=0)
            new = v + step
            leaves = (new.imag <= 0.0) & (v.imag > 0.0)
            v = np.where(leaves, new.real + 0.2j * v.imag, new)
            if np.all(size < 1e-13):
                break
        point = equation.evaluate(zeta, v)
    return point.log_u, v, size < 1e-9

"""Finer laws of D²: what counts as moved, and what is made of laws too coarse to find one's way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from spectra import Network
from spectra.chart import Chart
from spectra.errors import ConvergenceError
from spectra.gap import GapWalker
from spectra.laws.nodes import LawStack
from spectra.marginal import resolve
from spectra.master import MasterEquation
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.refinement import moved
from spectra.solve import CERTIFIED
from spectra.survey import survey


def equation(level: int, **keys: object) -> MasterEquation:
    given = {"activation": "hardswish", "weights": "gaussian", "depth": 1, "sigma_w": 1.2, "sigma_b": 0.2}
    return jacobian_equation(mean_field(Network(**(given | {"input_variance": 0.4} | keys))), level=level)


def test_an_edge_that_only_finer_laws_have_is_infinitely_far_off() -> None:
    """A tail that seemed to have no end gave a λ_max that was off by 1e-3, with a certificate."""
    coarse, finer = equation(2), equation(3)
    found = survey(coarse)
    charts = tuple(part for arc in found.arcs for part in resolve(coarse, arc))
    assert moved(finer, (), found, charts).size < CERTIFIED
    (arc,) = found.arcs
    endless = replace(found, arcs=(replace(arc, first=None),))
    assert moved(finer, (), endless, charts).size == math.inf


def test_an_error_of_a_thin_density_counts_by_its_own_size() -> None:
    """One of 1e-8 where the density is e^-14 of all there is was weighed with the 3/2-th power of that."""
    coarse, finer = equation(2), equation(3)
    found = survey(coarse)
    (chart,) = resolve(coarse, found.arcs[0])
    assert isinstance(chart, Chart)
    assert chart.solutions is not None
    u, zeta, v = chart.solutions
    shares = coarse.log_share(zeta)
    thin = int(np.argmin(np.where(shares > -16.0, shares, 0.0)))
    assert shares[thin] < -6.0
    off = zeta.copy()
    off[thin] = zeta[thin].real + 1j * zeta[thin].imag * (1.0 + 1e-6)
    worse = replace(chart, solutions=(u, off, v))
    assert moved(finer, (), found, (chart,)).size < CERTIFIED
    assert moved(finer, (), found, (worse,)).size > 1e-9


def test_sums_are_real_where_a_law_has_no_density() -> None:
    """The error of a rule with complex nodes is no height above the axis; it kept Newton's method from arriving."""
    stack = equation(0).stack
    (law,) = stack.laws
    v = np.array([[0.999 / law.largest, 0.5 / law.largest, -2.0]], complex)
    for rough in (False, True):
        for sums in stack.evaluate(v, rough=rough)[:3]:
            assert np.all(sums.imag == 0.0)
    assert LawStack([law]).evaluate(np.array([[2.0 / law.largest + 0j]]))[0].imag[0, 0] != 0.0


def test_a_gap_that_cannot_be_followed_is_not_taken_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    walker = GapWalker(equation(2))
    zeta, v = 0.05, np.array([0.048])
    v = np.real(walker._project(zeta, v))  # type: ignore[type-var]
    monkeypatch.setattr(walker, "_project", lambda zeta, v: None)
    with np.errstate(all="ignore"), pytest.raises(ConvergenceError, match="too coarse in a gap"):
        walker._gap(zeta, v, None)

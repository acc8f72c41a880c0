"""Tables of `spectra phase`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from .tables import console_with, number

if TYPE_CHECKING:
    from ..phase.along import SpectrumAlong
    from ..phase.report import PhaseReport
    from ..phase.slopes import SlopeDistribution
    from ..phase.universality import DepthScaling, Universality

# Rows of the curve that are shown.
SHOWN = 9


def print_phase(reports: list[PhaseReport], classes: Sequence[Universality], q_star: float) -> None:
    """The curve of each activation, the critical points asked for, and the table of classes."""
    for report in reports:
        console = console_with(f"{report.activation.name}: the edge of chaos")
        curve = report.curve
        if curve.q_star.size:
            table = Table(header_style="bold")
            for heading in ("q*", "σ_w", "σ_b", "σ_w²", "σ_b²", "dq'/dq at q*", "fixed point"):
                table.add_column(heading, justify="right")
            for i in np.unique(np.linspace(0, curve.q_star.size - 1, SHOWN).round().astype(int)):
                q, w, b, slope = (float(x[i]) for x in (curve.q_star, curve.sigma_w, curve.sigma_b, curve.slope))
                table.add_row(*_row(None if math.isnan(q) else q, w, b, slope))
            console.print(table)
        console.print(report.edge.shape(), soft_wrap=True)
        if report.critical:
            _print_critical(report)
    _print_classes(classes, q_star)


def _row(q: float | None, w: float, b: float, slope: float) -> list[str]:
    kind = (
        "every q*" if q is None else "stable" if abs(slope) < 1.0 else "marginal" if abs(slope) == 1.0 else "unstable"
    )
    return [
        "any" if q is None else number(q),
        number(w),
        number(b),
        number(w * w),
        number(b * b),
        number(slope, 4),
        kind,
    ]


def _print_critical(report: PhaseReport) -> None:
    console = console_with("critical points asked for")
    table = Table(header_style="bold")
    for heading in ("asked for", "σ_w", "σ_b", "q*", "dq'/dq at q*"):
        table.add_column(heading, justify="right")
    for key, value, points in report.critical:
        name = f"{'σ_b' if key == 'sigma_b' else 'σ_w'} = {value:g}"
        if not points:
            table.add_row(name, "none", "", "", "")
        for p in points:
            q = "any" if p.q_star is None else number(p.q_star, 12)
            table.add_row(name, number(p.sigma_w, 14), number(p.sigma_b, 14), q, number(p.slope))
    console.print(table)


def _print_classes(classes: Sequence[Universality], q_star: float) -> None:
    console = console_with(f"limit of great depth, and growth per layer at q* = {q_star:g}")
    table = Table(header_style="bold")
    headings = (
        "activation",
        "class",
        "on curve",
        "μ_1",
        "μ_2",
        "s.d., orthogonal",
        "s.d., Gaussian",
        "small q*: variance a layer",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading in headings[:3] else "right")
    for one in classes:
        law = "–" if one.coefficient is None or not one.power else f"{one.coefficient:.5g} q*^{one.power:g}"
        deviations = [number(one.deviation(kind), 5) for kind in ("orthogonal", "gaussian")]
        on_curve = "no" if one.point is None else "yes"
        table.add_row(one.activation.name, one.kind, on_curve, number(one.mu_1), number(one.mu_2), *deviations, law)
    console.print(table)
    for one in classes:
        console.print(f"{one.activation.name}: {one.reason}", soft_wrap=True)


def print_along(runs: Sequence[SpectrumAlong], needed: Sequence[DepthScaling]) -> None:
    """Variance, λ_max and condition number at a few q* of every network, and the q* that the spread takes."""
    console = console_with("the spectrum of JJᵀ along the edge of chaos")
    table = Table(header_style="bold")
    table.add_column("activation")
    table.add_column("weights")
    for heading in ("depth", "q*", "variance", "λ_max", "s_max/s_min of all but 1e-12"):
        table.add_column(heading, justify="right")
    for run in runs:
        # Of a positively homogeneous φ one point is all.
        single = bool(np.ptp(run.sigma_b) == 0.0 == np.ptp(run.variance))
        rows = [0] if single else np.unique(np.linspace(0, run.q_star.size - 1, SHOWN).round().astype(int)).tolist()
        for i in rows:
            q = "any" if single else number(float(run.q_star[i]))
            numbers = [float(column[i]) for column in (run.variance, run.lambda_max, run.condition)]
            cells = ["failed" if math.isnan(x) else "infinite" if math.isinf(x) else number(x) for x in numbers]
            table.add_row(run.activation.name, run.weights, str(run.depth), q, *cells, end_section=i == rows[-1])
    console.print(table)
    depths = needed[0].depths
    console = console_with(f"largest q* for a variance of {needed[0].spread:g} after L orthogonal layers")
    table = Table(header_style="bold")
    table.add_column("L", justify="right")
    for one in needed:
        table.add_column(one.activation.name, justify="right")
    for i in range(depths.size):
        cells = ["none" if math.isnan(one.q_star[i]) else number(float(one.q_star[i])) for one in needed]
        table.add_row(str(int(depths[i])), *cells)
    console.print(table)


def print_slopes(columns: Sequence[Sequence[SlopeDistribution]]) -> None:
    """The law of φ'(h): its atoms, quantiles, and the spread of φ'²."""
    from ..phase.pages import QUANTILES
    from ..phase.slopes import slope_spread

    console = console_with("the law of φ'(h), h ~ N(0, q)")
    table = Table(header_style="bold")
    table.add_column("activation")
    shares = [f"{100 * p:g} %" for p in QUANTILES]
    for heading in ("q", "atoms: mass at slope", *shares, "Var φ'²/(E φ'²)²"):
        table.add_column(heading, justify="right")
    for column in columns:
        for one in column:
            atoms = ", ".join(f"{mass:.6g} at {slope:.4g}" for slope, mass in one.atoms) or "–"
            quantiles = [number(float(x), 4) for x in one.icdf(QUANTILES)]
            spread = number(slope_spread(one.activation, one.variance))
            last = one is column[-1]
            table.add_row(one.activation.name, number(one.variance), atoms, *quantiles, spread, end_section=last)
    console.print(table)

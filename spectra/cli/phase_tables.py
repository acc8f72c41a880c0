"""Tables of `spectra phase`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from .tables import console_with, number

if TYPE_CHECKING:
    from ..phase.report import PhaseReport
    from ..phase.universality import Universality

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

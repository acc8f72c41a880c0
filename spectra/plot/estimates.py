"""The page of `spectra check --matrix-free`: density of log λ, distribution function, convergence of the moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .convergence import moments_panel
from .page import COLOURS, page
from .singular_values import title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..agreement.matrix_free import EstimateRecord, MatrixFreeCheck
    from ..prediction import Prediction
    from ..sampling.matrix_free import Estimate

_POINTS = 400


def estimate_figure(pred: Prediction, estimates: Sequence[Estimate], result: MatrixFreeCheck) -> Figure:
    """Draw the estimates of the largest width beside the prediction, and the moments at all of them."""
    widest, record = max(estimates, key=lambda e: e.width), result.widths[0]
    panels: list[Callable[[Axes], None]] = []
    panels += [lambda axes: _density_panel(axes, pred, record)] if record.density else []
    panels.append(lambda axes: _distribution_panel(axes, pred, widest))
    several = len(result.widths) > 1 and bool(result.extrapolated)
    panels += [lambda axes: moments_panel(axes, result)] if several else []
    figure, axes = page(len(panels))
    figure.suptitle(title_of(pred), fontsize=11)
    for panel, draw in zip(axes, panels, strict=True):
        draw(panel)
    return figure


def _density_panel(axes: Axes, pred: Prediction, record: EstimateRecord) -> None:
    """Bins with two standard errors, what Lanczos leaves open behind them, the predicted density in front."""
    rows = record.density
    edges = np.array([row.log_low for row in rows] + [rows[-1].log_high])
    value, error, open_ = (
        np.array([getattr(row, n) for row in rows]) for n in ("estimated", "standard_error", "resolution")
    )
    axes.stairs(value, edges, fill=True, color=COLOURS[5], alpha=0.45, label="estimated")
    centre = (edges[1:] + edges[:-1]) / 2
    style: dict[str, Any] = {"linewidth": 0.0, "elinewidth": 1.4, "capsize": 2.5}
    axes.errorbar(centre, value, 2.0 * error, fmt="none", color=COLOURS[0], label="two standard errors", **style)
    u = np.linspace(edges[0], edges[-1], _POINTS)
    law = np.asarray(pred.spectrum.pdf(np.exp(u)), float) * np.exp(u)
    law = np.where(np.isfinite(law), law, np.nan)
    axes.plot(u, law, color=COLOURS[1], linewidth=1.6, label="prediction")
    top = 1.15 * float(max(np.max(value + 2.0 * np.nan_to_num(error)), np.nanquantile(law, 0.99)))
    low, high = np.maximum(value - open_, 0.0), np.minimum(value + open_, top)
    axes.fill_between(
        edges,
        np.append(low, low[-1]),
        np.append(high, high[-1]),
        step="post",
        color="0.9",
        zorder=0,
        label="resolution",
    )
    axes.set_ylim(0.0, top)
    _dress(axes, f"width {record.width}, {record.samples} networks, {record.probes} probes", "density of log λ")


def _distribution_panel(axes: Axes, pred: Prediction, estimate: Estimate) -> None:
    """The estimated distribution function between its bounds, and the predicted one."""
    ends = [float(np.max(estimate.log_top)), -float(pred.spectrum.quantile_at(np.array([1.0]))[0])]
    zero = float(sum(atom.mass for atom in pred.spectrum.atoms if atom.location == 0))
    start = -float(pred.spectrum.quantile_at(np.array([zero + 0.01 * (1.0 - zero)]))[0])
    high = max(end for end in ends if np.isfinite(end)) if np.isfinite(ends).any() else 0.0
    low = min(start, high - 1.0) if np.isfinite(start) else high - 20.0
    u = np.linspace(low, high + 0.05 * (high - low), _POINTS)
    bounds = estimate.cdf_bounds(np.exp(u))
    axes.fill_between(u, *bounds, color=COLOURS[5], alpha=0.35, linewidth=0.0, label="bounds in the probes")
    axes.plot(u, estimate.cdf(np.exp(u)), color=COLOURS[0], linewidth=1.4, label="estimated")
    law = np.asarray(pred.spectrum.cdf(np.exp(u)), float)
    axes.plot(u, law, color=COLOURS[1], linewidth=1.4, linestyle=(0, (4, 2)), label="prediction")
    axes.set_ylim(0.0, 1.02)
    _dress(axes, "distribution function", "share of eigenvalues at or below λ")


def _dress(axes: Axes, title: str, ylabel: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("log λ")
    axes.set_ylabel(ylabel)
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)

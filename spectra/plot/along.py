"""Figures of the spectrum along the edge of chaos, and of the q* that a given spread takes at a given depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .page import COLOURS, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..phase.along import SpectrumAlong
    from ..phase.universality import DepthScaling

STYLES = ("-", "--", ":", "-.")
# A condition number beyond says no more than that it is infinite.
LARGEST = 1e12


def along_figure(runs: Sequence[SpectrumAlong], needed: Sequence[DepthScaling] = (), spread: float = 0.25) -> Figure:
    """Variance, λ_max and condition number of JJᵀ against q*: a colour a depth, a style an activation and weights.

    Parameters
    ----------
    runs : critical networks along q*.
    needed, spread : for the fourth panel, q* against the depth at a fixed variance of JJᵀ; none without `needed`.
    """
    figure, axes = page(4 if needed else 3)
    depths = sorted({run.depth for run in runs})
    kinds = list(dict.fromkeys((run.activation.name, run.weights) for run in runs))
    titles = (
        "variance of JJᵀ, m₂ − m₁²",
        "λ_max of JJᵀ",
        "condition number s_max/s_min of all but 1e-12 (no line: infinite)",
    )
    for panel, title in zip(axes, titles, strict=False):
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("q* along the edge of chaos")
    for run in runs:
        colour = COLOURS[depths.index(run.depth) % len(COLOURS)]
        style = STYLES[kinds.index((run.activation.name, run.weights)) % len(STYLES)]
        for panel, values in zip(axes, (run.variance, run.lambda_max, run.condition), strict=False):
            shown = np.where(np.isfinite(values) & (values > 0.0) & (values < LARGEST), values, np.nan)
            panel.plot(run.q_star, shown, color=colour, linestyle=style, linewidth=1.6)
    for depth, colour in zip(depths, COLOURS * 9, strict=False):
        axes[0].plot([], [], color=colour, label=f"L = {depth}")
    for (name, weights), style in zip(kinds, STYLES * 9, strict=False):
        axes[0].plot([], [], color="0.4", linestyle=style, label=f"{name}, {weights}".replace("$", r"\$"))
    ends = min(float(run.q_star.min()) for run in runs), max(float(run.q_star.max()) for run in runs)
    for panel in axes[:3]:
        _logarithmic(panel, "infinite throughout", ends)
        panel.set_xlim(ends[0] / 1.2, ends[1] * 1.2)
    axes[0].legend(fontsize=7.5, frameon=True, edgecolor="none", framealpha=0.8)
    if needed:
        _needed(axes[3], needed, spread)
    return figure


def _needed(axes: Axes, needed: Sequence[DepthScaling], spread: float) -> None:
    for colour, one in zip(COLOURS * 9, needed, strict=False):
        if np.isfinite(one.q_star).any():
            axes.plot(one.depths, one.q_star, "o-", color=colour, markersize=3.5, label=_plain(one))
        else:
            axes.plot([], [], color=colour, linestyle="none", label=f"{_plain(one)}: out of reach")
    axes.set_title(f"largest q* for a variance of {spread:g} after L orthogonal layers", fontsize=10)
    axes.set_xlabel("depth L")
    axes.set_ylabel("q*")
    _logarithmic(axes, "out of reach", (1.0, 1e4))
    axes.legend(fontsize=7.5, frameon=True, edgecolor="none", framealpha=0.8)


def _plain(one: DepthScaling) -> str:
    return one.activation.name.replace("$", r"\$")


def _logarithmic(axes: Axes, empty: str, ends: tuple[float, float]) -> None:
    """Scales, and what is said where there is nothing to draw: a logarithmic axis without numbers is none."""
    if not any(np.isfinite(np.asarray(line.get_ydata(), float)).any() for line in axes.lines):
        axes.text(0.5, 0.5, empty, transform=axes.transAxes, ha="center")
        axes.plot(ends, (1.0, 10.0), alpha=0.0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

"""The figure of φ(h) above the distribution of φ'(h), a column an activation, a colour a variance of h."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .page import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..phase.slopes import SlopeDistribution

# Densities of slopes diverge where φ' turns: they are drawn up to this, and not nearer to such a place.
HIGHEST = 5.0
POINTS = 801
REACH = 4.0


def slopes_figure(columns: Sequence[Sequence[SlopeDistribution]]) -> Figure:
    """Draw φ and Gaussians of each variance (top row), the density and atoms of φ'(h) (bottom row).

    Parameters
    ----------
    columns : for every activation its distributions, at the same variances in the same order.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, figure 3.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * max(len(columns), 2), 5.6), layout="constrained")
    grid = figure.subplots(2, len(columns), squeeze=False, sharex="row")
    widest = max(float(np.sqrt(one.variance)) for column in columns for one in column)
    span = min(REACH, 3.0 * widest)
    low = min(one.support()[0] for column in columns for one in column)
    high = max(one.support()[1] for column in columns for one in column)
    for index, column in enumerate(columns):
        _function(grid[0, index], column, span, first=index == 0)
        _slopes(grid[1, index], column, first=index == 0)
        grid[1, index].set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    grid[0, 0].legend(fontsize=8, frameon=False, loc="upper left", title="Gaussians: q*", title_fontsize=8)
    return figure


def _function(axes: Axes, column: Sequence[SlopeDistribution], span: float, *, first: bool) -> None:
    h = np.linspace(-span, span, 601)
    beside = axes.twinx()
    beside.set_ylim(0.0, 2.2)
    beside.set_yticks([])
    for colour, one in zip(COLOURS, column, strict=False):
        gauss = np.exp(-h * h / (2.0 * one.variance)) / np.sqrt(2.0 * np.pi * one.variance)
        beside.fill_between(h, gauss, color=colour, alpha=0.12, linewidth=0.0)
        beside.plot(h, gauss, color=colour, linewidth=1.0)
        axes.plot([], [], color=colour, label=f"{one.variance:g}")
    axes.plot(h, column[0].activation(h), color="black", linewidth=1.8)
    axes.set_title(column[0].activation.name.replace("$", r"\$"), fontsize=11)
    axes.set_ylim(-2.2, 2.6)
    axes.set_xlabel("h")
    if first:
        axes.set_ylabel("φ(h)")
    axes.set_zorder(beside.get_zorder() + 1)
    axes.patch.set_visible(False)
    for panel in (axes, beside):
        panel.spines[["top", "right"]].set_visible(False)


def _slopes(axes: Axes, column: Sequence[SlopeDistribution], *, first: bool) -> None:
    count = len(column)
    low, high = column[0].support()
    low, high = min(low, *(one.support()[0] for one in column)), max(high, *(one.support()[1] for one in column))
    # Points crowd towards the ends, where most densities diverge.
    s = low + (high - low) * (0.5 - 0.5 * np.cos(np.pi * np.linspace(0.0, 1.0, POINTS)))
    diverges = False
    for index, (colour, one) in enumerate(zip(COLOURS, column, strict=False)):
        if one.pieces:
            density = one.pdf(s)
            diverges |= bool((density > HIGHEST).any())
            axes.plot(s, np.where(np.isfinite(density), density, np.nan), color=colour, linewidth=1.4)
            axes.fill_between(s, np.minimum(density, 10 * HIGHEST), color=colour, alpha=0.08, linewidth=0.0)
        for slope, mass in one.atoms:
            # Atoms of several variances stand side by side at one place.
            place = slope + 0.014 * (index - (count - 1) / 2.0)
            axes.plot([place, place], [0.0, mass], color=colour, linewidth=2.0)
            axes.plot([place], [mass], "o", color=colour, markersize=4)
    only_atoms = not any(one.pieces for one in column)
    axes.set_ylim(0.0, 1.05 if only_atoms else HIGHEST if diverges else None)
    axes.set_xlabel("φ'(h)")
    if first:
        axes.set_ylabel("density; mass of atoms (dots)")
    if only_atoms:
        axes.set_title("atoms alone", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)

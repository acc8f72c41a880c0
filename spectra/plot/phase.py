"""The page of `spectra phase`: phases over (σ_w², σ_b²), the edge of chaos coloured by q*, level curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..phase.grid import Phase
from .page import COLOURS, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..phase.curve import CurvePoints
    from ..phase.grid import PhaseGrid

# Pale, so that lines of the palette stand out on them.
FILLS = {
    Phase.ORDERED: "#DCE9F5",
    Phase.CRITICAL: "#DCE9F5",
    Phase.CHAOTIC: "#FBE3D0",
    Phase.NO_FIXED_POINT: "#E4E4E4",
    Phase.MARGINAL: "#D9CFE3",
    Phase.UNRESOLVED: "#FFFFFF",
}
WORDS = {
    Phase.ORDERED: "ordered",
    Phase.CHAOTIC: "chaotic",
    Phase.NO_FIXED_POINT: "no fixed point",
}
CHI_LEVELS = (0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
XI_LEVELS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
# Marks along the curves of several activations.
MARKED = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
# q* from so much of the largest one seen on have colours of their own.
LEAST_SEEN = 1e-3
# dq'/dq above 1 by less is rounding.
STEADY = 1e-9
# Fewer points of the grid than this share are no region to be named.
SMALL_REGION = 0.015


def phase_figure(
    grids: Sequence[PhaseGrid], curves: Sequence[CurvePoints], levels: Sequence[float] | None = None
) -> Figure:
    """Draw the phase diagram of one activation on four panels, or the curves of several on one.

    Parameters
    ----------
    grids, curves : one of each per activation; a positively homogeneous φ has a curve of one point.
    levels : of χ_1, and of ξ_c and ξ_q, where others than the usual ones are wanted.
    """
    if len(grids) == 1:
        return _one(grids[0], curves[0], levels)
    return _several(grids, curves)


def _one(grid: PhaseGrid, curve: CurvePoints, levels: Sequence[float] | None) -> Figure:
    figure, axes = page(4)
    several = "; within the dotted line several q* are stable, the smallest is shown" if (grid.stable > 1).any() else ""
    figure.suptitle(f"{_plain(grid.activation.name)}: phases and depth scales{several}", fontsize=12)
    for panel in axes:
        _regions(panel, grid)
    line = _edge(axes[0], grid, curve)
    if line is not None:
        figure.colorbar(line, ax=axes[0], label="q* along the edge of chaos")
    _levels(axes[0], grid, grid.chi_1, levels or CHI_LEVELS)
    axes[0].set_title("phases and level curves of χ₁", fontsize=10)
    _name_regions(axes[0], grid)
    _colours(figure, axes[1], grid)
    for panel, values, name in ((axes[2], grid.xi_c, "ξ_c, correlations"), (axes[3], grid.xi_q, "ξ_q, variances")):
        _levels(panel, grid, values, levels or XI_LEVELS)
        panel.set_title(f"level curves of {name} (layers)", fontsize=10)
    for panel in axes[1:]:
        panel.plot(curve.sigma_w**2, curve.sigma_b**2, color="black", linewidth=1.0, zorder=4)
    for panel in axes:
        _frame(panel, grid)
    return figure


def _several(grids: Sequence[PhaseGrid], curves: Sequence[CurvePoints]) -> Figure:
    figure, (axes,) = page(1, height=5.2)
    figure.set_figwidth(9.0)
    unstable = [np.abs(curve.slope) > 1.0 + STEADY if curve.q_star.size > 1 else np.zeros(1, bool) for curve in curves]
    thin = any(one.any() for one in unstable)
    # Beside an unstable critical fixed point there is a stable one below, in the ordered phase: no parting line.
    axes.set_title("the edge of chaos" + ("" if thin else ": order to the left, chaos to the right"), fontsize=11)
    dotted = False
    for index, (grid, curve) in enumerate(zip(grids, curves, strict=True)):
        colour, name = COLOURS[index % len(COLOURS)], _plain(grid.activation.name)
        lost = grid.phase == Phase.NO_FIXED_POINT
        if lost.any() and min(lost.shape) > 1:
            dotted = True
            mask = np.where(lost, 1.0, 0.0)
            axes.contour(
                grid.weight_variances, grid.bias_variances, mask, [0.5], colors=colour, linestyles=":", linewidths=1.2
            )
        x, y = curve.sigma_w**2, curve.sigma_b**2
        if not x.size:
            axes.plot([], [], color=colour, linestyle=":", label=f"{name}: none")
        elif x.size == 1:
            axes.plot(x, y, "D", color=colour, markersize=8, clip_on=False, zorder=6, label=f"{name}: one point")
        else:
            style = "-" if index < len(COLOURS) else "--"
            axes.plot(x, y, color=colour, linewidth=1.8, zorder=5, label=name, linestyle=style)
            axes.plot(
                np.where(unstable[index], x, np.nan), y, color="white", linewidth=0.8, linestyle=(0, (2, 2)), zorder=5
            )
            marked = [int(np.argmin(np.abs(np.log(curve.q_star / q)))) for q in MARKED]
            near = [i for i, q in zip(marked, MARKED, strict=True) if abs(np.log(curve.q_star[i] / q)) < 0.2]
            axes.plot(x[near], y[near], "o", color=colour, markersize=4, zorder=6)
    axes.plot([], [], "o", color="0.4", markersize=4, label=f"q* = {', '.join(f'{q:g}' for q in MARKED)}")
    if thin:
        axes.plot([], [], color="0.4", linewidth=1.8, linestyle=(0, (1, 0.6)), label="white dashes: q* is unstable")
    if dotted:
        axes.plot([], [], ":", color="0.4", label="no fixed point beyond")
    _frame(axes, grids[0])
    figure.legend(fontsize=8, frameon=False, loc="outside right upper")
    return figure


def _regions(axes: Axes, grid: PhaseGrid) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    codes = sorted(int(one) for one in FILLS)
    colours = ListedColormap([FILLS[Phase(code)] for code in codes])
    norm = BoundaryNorm([code - 0.5 for code in codes] + [codes[-1] + 0.5], len(codes))
    axes.pcolormesh(
        grid.weight_variances, grid.bias_variances, grid.phase, cmap=colours, norm=norm, shading="nearest",
        rasterized=True, zorder=0,
    )  # fmt: skip
    lost = grid.phase == Phase.NO_FIXED_POINT
    if lost.any() and min(lost.shape) > 1:
        axes.contourf(
            grid.weight_variances, grid.bias_variances, np.where(lost, 1.0, 0.0), [0.5, 1.5], colors="none",
            hatches=["////"], zorder=1,
        ).set_edgecolor("0.72")  # fmt: skip
    if (grid.stable > 1).any():
        several = np.where(grid.stable > 1, 1.0, 0.0)
        axes.contour(
            grid.weight_variances, grid.bias_variances, several, [0.5], colors="black", linewidths=0.8, linestyles=":"
        )


def _edge(axes: Axes, grid: PhaseGrid, curve: CurvePoints) -> Any:
    """Draw the curve, its colour q*; a line beside it where the critical fixed point is unstable."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm, Normalize

    x, y = curve.sigma_w**2, curve.sigma_b**2
    if x.size == 1:
        axes.plot(x, y, "D", color=COLOURS[1], markersize=8, clip_on=False, zorder=6)
        axes.annotate(
            "the whole edge of chaos", (float(x[0]), float(y[0])), xytext=(-8, 10), textcoords="offset points",
            ha="right", fontsize=8,
        )  # fmt: skip
        return None
    if not x.size:
        return None
    seen = (x <= grid.weight_variances[-1]) & (y <= grid.bias_variances[-1])
    if not seen.any():
        return None
    # The colours are those of what is seen; the linear beginning, all in one place, takes none of them.
    highest = float(curve.q_star[seen].max())
    lowest = max(float(curve.q_star[seen].min()), LEAST_SEEN * highest)
    norm = (LogNorm if highest > 5.0 * lowest else Normalize)(lowest, highest)
    points = np.stack([x, y], axis=1)
    axes.plot(x, y, color="black", linewidth=4.0, solid_capstyle="butt", zorder=4)
    line = LineCollection(
        list(np.stack([points[:-1], points[1:]], axis=1)), norm=norm, cmap="plasma", linewidth=2.6, zorder=5,
        capstyle="round",
    )  # fmt: skip
    line.set_array(np.sqrt(curve.q_star[:-1] * curve.q_star[1:]))
    axes.add_collection(line)
    unstable = np.abs(curve.slope) > 1.0
    if unstable.any():
        axes.plot(
            np.where(unstable, x, np.nan), y, color="white", linewidth=1.0, linestyle=(0, (2, 2)), zorder=6,
        )  # fmt: skip
    return line


def _levels(axes: Axes, grid: PhaseGrid, values: np.ndarray, levels: Sequence[float]) -> None:
    from matplotlib.patheffects import withStroke

    known = values[np.isfinite(values)]
    inside = sorted({x for x in levels if known.size and known.min() < x < known.max()})
    if not inside:
        if known.size:
            words = f"no level curve: values from {known.min():.3g} to {known.max():.3g}"
            axes.text(0.5, 0.03, words, transform=axes.transAxes, ha="center", fontsize=8)
        return
    drawn = axes.contour(
        grid.weight_variances, grid.bias_variances, values, inside, colors="0.35", linewidths=0.8, zorder=3
    )
    labels = axes.clabel(drawn, fmt=lambda value: f"{value:g}", fontsize=7, inline=False, colors="0.1")
    for label in labels:
        label.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _colours(figure: Figure, axes: Axes, grid: PhaseGrid) -> None:
    from matplotlib.colors import LogNorm

    q = np.where(grid.q_star > 0.0, grid.q_star, np.nan)
    if np.isfinite(q).any():
        low = max(float(np.nanquantile(q, 0.01)), 1e-3 * float(np.nanmax(q)))
        mesh = axes.pcolormesh(
            grid.weight_variances, grid.bias_variances, q, norm=LogNorm(low, float(np.nanmax(q))), cmap="viridis",
            shading="nearest", rasterized=True, zorder=1,
        )  # fmt: skip
        figure.colorbar(mesh, ax=axes, label="q*", extend="min")
    axes.set_title("q*, where every layer ends up", fontsize=10)


def _name_regions(axes: Axes, grid: PhaseGrid) -> None:
    """A word in each region, at the point of it that is farthest from all others."""
    from matplotlib.patheffects import withStroke

    for code, word in WORDS.items():
        inside = grid.phase == code
        if inside.mean() < SMALL_REGION:
            continue
        row, column = _centre(inside)
        axes.text(
            grid.weight_variances[column], grid.bias_variances[row], word, ha="center", va="center", fontsize=10,
            zorder=7, path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def _centre(inside: np.ndarray) -> tuple[int, int]:
    """The point of a region that stays longest when it is worn off at its rim, wider than it is high."""
    worn = np.pad(inside, 1)
    last = worn
    for step in range(max(inside.shape)):
        if not worn.any():
            break
        last = worn
        left, right = np.roll(worn, 1, 1), np.roll(worn, -1, 1)
        worn = worn & left & right
        if step % 2:
            worn &= np.roll(worn, 1, 0) & np.roll(worn, -1, 0)
    places = np.argwhere(last)
    middle = places[len(places) // 2] - 1
    return int(middle[0]), int(middle[1])


def _frame(axes: Axes, grid: PhaseGrid) -> None:
    axes.set_xlim(float(grid.weight_variances[0]), float(grid.weight_variances[-1]))
    axes.set_ylim(float(grid.bias_variances[0]), float(grid.bias_variances[-1]))
    axes.set_xlabel("σ_w²")
    axes.set_ylabel("σ_b²")


def _plain(name: str) -> str:
    return name.replace("$", r"\$")

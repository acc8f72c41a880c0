"""Moments and shape against 1/N, with the fit that leads to infinite width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .page import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..agreement import CrossCheck
    from ..agreement.matrix_free import MatrixFreeCheck

# Curves stand side by side, by this share of the largest 1/N, so that their error bars can be told apart.
APART = 0.012
# Deviations below this are not magnified: they are rounding.
ROUNDING = 1e-9
MARKERS = "os^Dv"


def moments_panel(axes: Axes, result: CrossCheck | MatrixFreeCheck) -> None:
    """Mean of log (m̂_k/m_k) at every width, its fit in powers of 1/N, and the intercept; the prediction is 0."""
    reach = 0.0
    for index, limit in enumerate(result.extrapolated[: len(MARKERS)]):
        points = []
        for row in result.widths:
            moment = next(m for m in row.moments if m.k == limit.k)
            if moment.log_ratio is not None and moment.log_ratio_error is not None:
                points.append((row.width, moment.log_ratio, moment.log_ratio_error))
        reach = max(reach, _series(axes, result, index, f"$m_{limit.k}$", points, limit))
    _finish(axes, result, "log of sampled / predicted moment", reach)


def shape_panel(axes: Axes, result: CrossCheck) -> None:
    """Deviation of the mean of log s, and of the log of its standard deviation, from the prediction."""
    reach = 0.0
    for index, limit in enumerate(result.shape):
        points = []
        for row in result.widths:
            found = row.shape[0 if limit.name.startswith("mean") else 1]
            if found is not None and limit.predicted is not None:
                value, error = found
                relative = not limit.name.startswith("mean")
                deviation = np.log(value / limit.predicted) if relative else value - limit.predicted
                points.append((row.width, float(deviation), error / value if relative else error))
        name = "mean of log s" if limit.name.startswith("mean") else "log of sd of log s"
        reach = max(reach, _series(axes, result, index, name, points, limit))
    _finish(axes, result, "deviation from the prediction", reach)


def scatter_panel(axes: Axes, result: CrossCheck) -> None:
    """Standard deviation of log m̂_1 between networks, sampled and in theory, against the width."""
    width = np.array([row.width for row in result.scatter], float)
    sampled = np.array([row.sampled for row in result.scatter])
    error = np.array([row.standard_error for row in result.scatter])
    style: dict[str, Any] = {"markersize": 5, "capsize": 2.5, "linewidth": 0.0, "elinewidth": 1.2}
    axes.errorbar(width, sampled, 2.0 * error, fmt="o", color=COLOURS[0], label="sampled", **style)
    known = [(row.width, row.predicted) for row in result.scatter if row.predicted]
    if known:
        exact = all(row.exact for row in result.scatter)
        name = "theory, exact" if exact else "theory, to leading order"
        axes.plot(*zip(*known, strict=True), "-", color=COLOURS[1], linewidth=1.4, label=name)
    axes.set_xscale("log")
    axes.set_ylim(0.0, 1.1 * float(np.max(np.append(sampled + 2.0 * error, [row[1] for row in known]))) or 1.0)
    axes.set_xticks(width, [f"{n:.0f}" for n in width])
    axes.minorticks_off()
    axes.set_xlabel("width N")
    axes.set_ylabel("sd of log $m_1$ between networks")
    axes.set_title("scatter between networks", fontsize=10)
    _dress(axes)


def _series(
    axes: Axes,
    result: CrossCheck | MatrixFreeCheck,
    index: int,
    label: str,
    points: list[tuple[int, float, float]],
    limit: Any,
) -> float:
    """Points with two standard errors, the fit, and the intercept with what the verdict allows it; return their reach.

    The reach is the largest distance from the prediction, of the allowance no more than twice that of all the rest.
    """
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    reach = 1.0 / result.widths[-1].width
    shift = APART * reach * (index + 1)
    style: dict[str, Any] = {"color": colour, "markersize": 5, "capsize": 2.5, "linewidth": 0.0, "elinewidth": 1.2}
    if points:
        width, y, error = (np.array(column, float) for column in zip(*points, strict=True))
        axes.errorbar(1.0 / width + shift, y, 2.0 * error, fmt=marker, label=label, **style)
    x = np.linspace(0.0, reach, 100)
    if len(points) > 1:
        fitted = np.polynomial.polynomial.polyval(x, limit.fit)
        axes.plot(x + shift, fitted, color=colour, linewidth=1.1, alpha=0.8)
    # In the logarithm, as fitted: the limit is z_with_bias standard errors from 0.
    intercept = limit.fit[0]
    allowed = abs(intercept / limit.z_with_bias) * limit.limit if limit.z_with_bias else 0.0
    axes.errorbar([-shift], [intercept], [allowed], fmt=marker, markerfacecolor="white", **style)
    furthest = max([abs(intercept), *(abs(value) + 2.0 * error for _, value, error in points)])
    return max(furthest, min(abs(intercept) + allowed, 2.0 * furthest))


def _finish(axes: Axes, result: CrossCheck | MatrixFreeCheck, ylabel: str, reach: float) -> None:
    axes.axhline(0.0, color=COLOURS[1], linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
    widths = [row.width for row in result.widths]
    axes.set_xticks([0.0, *(1.0 / n for n in widths)], ["1/∞", *(f"1/{n}" for n in widths)])
    axes.set_xlim(-0.1 / widths[-1], 1.12 / widths[-1])
    axes.set_xlabel("1/N; open: extrapolated, with what the verdict allows")
    axes.set_ylabel(ylabel)
    axes.set_title("convergence to infinite width", fontsize=10)
    half = 1.1 * max(reach, ROUNDING)
    axes.set_ylim(-half, half)
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)

"""Single eigenvalues above a law, which have no mass in the limit and so no stem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..prediction import Prediction
    from .singular_values import Window

# Where their labels stand, as a share of the axis.
HEIGHT = 0.3


def outliers_of(pred: Prediction) -> list[float]:
    """Singular values above the law, one each of every network, the largest first."""
    return [math.sqrt(outlier.location) for outlier in pred.outliers or ()]


def draw_outliers(axes: Axes, pred: Prediction, window: Window, colour: str) -> None:
    """A triangle on the axis at every outlier, with its place."""
    for s in outliers_of(pred):
        if not window.low < s < window.high:
            continue
        axes.plot([s], [0.0], marker="^", color=colour, markersize=9, clip_on=False, zorder=7)
        left = window.fraction(s) < 0.5
        axes.annotate(
            f"one eigenvalue above\nthe law, s = {s:.4g}",
            (s, 0.0),
            xytext=(s, HEIGHT),
            textcoords=axes.get_xaxis_transform(),
            ha="left" if left else "right",
            va="bottom",
            fontsize=9,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0.0, "shrinkB": 0.0},
            zorder=6,
        )

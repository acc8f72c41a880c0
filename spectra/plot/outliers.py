"""Single eigenvalues above a law, which have no mass in the limit and so no stem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..prediction import Prediction
    from .singular_values import Window


def outliers_of(pred: Prediction) -> list[float]:
    """Singular values above the law, one each of every network, the largest first."""
    return [math.sqrt(outlier.location) for outlier in pred.outliers or ()]


def draw_outliers(axes: Axes, pred: Prediction, window: Window, colour: str) -> None:
    """A triangle on the axis at every outlier, its place in the legend."""
    for s in outliers_of(pred):
        if window.low < s < window.high:
            text = f"one eigenvalue above the law, s = {s:.4g}"
            axes.plot([s], [0.0], "^", color=colour, markersize=9, clip_on=False, zorder=7, label=text)

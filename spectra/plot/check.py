"""The page of `spectra check`: densities, the upper edge, quantiles, and convergence to infinite width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .convergence import moments_panel, scatter_panel, shape_panel
from .histogram import density_panel, widened
from .page import page
from .singular_values import Window, title_of, visible_atoms, window_of
from .tails import edge_panel, quantile_panel, spread_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..agreement import CrossCheck
    from ..prediction import Prediction
    from ..sampling import Ensemble


def check_figure(pred: Prediction, ensembles: Sequence[Ensemble], result: CrossCheck | None = None) -> Figure:
    """Draw samples beside the prediction: histograms, edge, quantiles; with `result` also the way to infinite width.

    Without `result` there is one histogram per width; with it the largest width alone has one, and one against log s
    where the first is linear and the law has a bulk.
    """
    ordered = sorted(ensembles, key=lambda e: -e.width)
    window = widened(window_of([pred]), ordered)
    panels: list[Callable[[Axes], None]] = []

    def density(ensemble: Ensemble, within: Window) -> Callable[[Axes], None]:
        def draw(axes: Axes) -> None:
            density_panel(axes, pred, ensemble, within)
            scale = ", against log s" if within.logarithmic else ""
            axes.set_title(f"width {ensemble.width}, {ensemble.samples} networks{scale}", fontsize=10)

        return draw

    panels += [density(ensemble, window) for ensemble in (ordered if result is None else ordered[:1])]
    if result is not None:
        logarithmic = None if window.logarithmic else spread_window(pred, ordered)
        panels += [density(ordered[0], logarithmic)] if logarithmic is not None else []
        panels += [lambda axes: edge_panel(axes, pred, ordered)] if pred.spectrum.bulks else []
        if pred.spectrum.bulks or len(visible_atoms(pred)) > 1:
            panels.append(lambda axes: quantile_panel(axes, pred, ordered, window))
        panels += [lambda axes: moments_panel(axes, result)] if result.extrapolated else []
        panels += [lambda axes: shape_panel(axes, result)] if result.shape else []
        # The last place of the page, where it would be empty.
        panels += [lambda axes: scatter_panel(axes, result)] if result.scatter and len(panels) % 2 else []
    figure, axes = page(len(panels))
    figure.suptitle(title_of(pred), fontsize=11)
    for panel, draw in zip(axes, panels, strict=True):
        draw(panel)
    return figure

"""Histograms of sampled singular values behind the predicted density, with the shares that sit on atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .page import COLOURS
from .singular_values import Window, draw_law, finish, mass_axis, visible_atoms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..prediction import Prediction
    from ..sampling import Ensemble

# Sampled log s this close to an atom's sit on it, but for rounding.
SAME_PLACE = 1e-8


def density_panel(axes: Axes, pred: Prediction, ensemble: Ensemble, window: Window) -> None:
    """The prediction over the histogram of one width."""
    highest = _draw_histogram(axes, pred, ensemble, window)
    draw_law(axes, pred, window, COLOURS[1], "prediction")
    finish(axes, window, [pred], legend=True)
    top = axes.get_ylim()[1]
    # A single bin at a divergence may be as high as it likes.
    axes.set_ylim(0.0, max(top, min(1.05 * highest, 2.0 * top)))


def off_atoms(pred: Prediction, ensemble: Ensemble) -> np.ndarray:
    """All sampled log s but those at an atom of the law."""
    logs = ensemble.log_singular_values.ravel()
    logs = logs[np.isfinite(logs)]
    for atom in visible_atoms(pred):
        if atom.location > 0.0:
            logs = logs[np.abs(logs - math.log(atom.location)) > SAME_PLACE]
    return logs


def widened(window: Window, ensembles: Sequence[Ensemble]) -> Window:
    """Return the window with all samples in it, as far as twice its own width; logarithmic ones stay as they are."""
    if window.logarithmic:
        return window
    s = np.concatenate([ensemble.singular_values.ravel() for ensemble in ensembles])
    s = s[s > 0.0]
    width = window.high - window.low
    low = max(0.0, window.low - width, min(window.low, float(s.min(initial=window.low))))
    return Window(low, min(window.high + width, max(window.high, float(s.max(initial=window.high)))), False)


def _draw_histogram(axes: Axes, pred: Prediction, ensemble: Ensemble, window: Window) -> float:
    """Draw a density over all N_L eigenvalues, those at an atom of the law left to its stem; return its maximum."""
    logs = off_atoms(pred, ensemble)
    bins = int(np.clip(3.0 * logs.size ** (1 / 3), 6, 90))
    if window.logarithmic:
        edges = np.linspace(math.log(window.low), math.log(window.high), bins + 1)
        counts, _ = np.histogram(logs, edges)
        places = np.exp(edges)
    else:
        places = edges = np.linspace(window.low, window.high, bins + 1)
        counts, _ = np.histogram(np.exp(logs), edges)
    heights = counts / (ensemble.samples * ensemble.n_out * np.diff(edges))
    axes.stairs(heights, places, fill=True, color=COLOURS[5], alpha=0.45, label="sampled")
    _draw_sampled_masses(axes, pred, ensemble, window)
    return float(heights.max(initial=0.0))


def _draw_sampled_masses(axes: Axes, pred: Prediction, ensemble: Ensemble, window: Window) -> None:
    """Draw open squares at the predicted atoms, as high as the share of the sampled eigenvalues that sits there."""
    atoms = visible_atoms(pred)
    if not atoms:
        return
    logs = ensemble.log_eigenvalues / 2.0
    masses = [
        np.mean(np.isneginf(logs) if atom.location == 0.0 else np.abs(logs - math.log(atom.location)) <= SAME_PLACE)
        for atom in atoms
    ]
    places = [window.low if atom.location == 0.0 else atom.location for atom in atoms]
    style: dict[str, Any] = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.6}
    mass_axis(axes).plot(places, masses, "s", color=COLOURS[0], clip_on=False, zorder=7, **style)
    # The legend belongs to the other axis.
    axes.plot([], [], "s", color=COLOURS[0], label="sampled mass", **style)

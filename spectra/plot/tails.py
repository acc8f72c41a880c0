"""The upper edge of a spectrum enlarged, and sampled quantiles against predicted ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .histogram import off_atoms
from .page import COLOURS
from .singular_values import SMALLEST, WIDE, Window, bulk_quantiles, density_at, visible_atoms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..prediction import Prediction
    from ..sampling import Ensemble

# The enlarged edge holds about so many of the largest singular values of every network, in so many bins at most.
AT_THE_EDGE, BINS = 12.0, 24
QUANTILES = 300
# Levels below this are left out of a logarithmic panel, where single tiny values would push the rest to one side.
LOWEST = 0.005


def spread_window(pred: Prediction, ensembles: Sequence[Ensemble]) -> Window | None:
    """Logarithmic range of the bulk and the samples; None where the bulk is narrow or missing."""
    ends = bulk_quantiles(pred, [LOWEST, 1.0 - 5e-13])
    logs = np.concatenate([off_atoms(pred, e) for e in ensembles])
    if not ends.size or not logs.size:
        return None
    places = [a.location for a in visible_atoms(pred) if a.location > 0.0]
    low, high = min(float(ends[0]), *places, math.inf), max(float(ends[-1]), float(np.exp(logs.max())), *places)
    if high < 3.0 * low:
        return None
    margin = (high / low) ** 0.03
    return Window(max(low / margin, SMALLEST), high * margin, True)


def edge_panel(axes: Axes, pred: Prediction, ensembles: Sequence[Ensemble]) -> None:
    """The top of the highest bulk at the largest width, with the largest singular value of every network as a tick."""
    ensemble = ensembles[0]
    edge = float(pred.singular_values.bulks[-1][1])
    logs = off_atoms(pred, ensemble)
    continuous = 1.0 - sum(a.mass for a in pred.spectrum.atoms)
    share = min(AT_THE_EDGE / (ensemble.n_out * max(continuous, 1e-9)), 0.5)
    low = float(bulk_quantiles(pred, [1.0 - share])[0])
    most = float(np.exp(logs.max(initial=math.log(low))))
    # Where the tail is thin the edge itself may be far out, and nothing ever comes near it.
    reach = min(edge, max(most, low * 1.0001) * 1.5)
    high = max(reach, most) + 0.08 * (max(reach, most) - low)
    logarithmic = high > WIDE * low
    count = int(np.clip(np.sum(np.exp(logs) > low) / 3, 5, BINS))
    bins = np.linspace(math.log(low), math.log(high), count + 1) if logarithmic else np.linspace(low, high, count + 1)
    counts, _ = np.histogram(logs if logarithmic else np.exp(logs), bins)
    heights = counts / (ensemble.samples * ensemble.n_out * np.diff(bins))
    axes.stairs(heights, np.exp(bins) if logarithmic else bins, fill=True, color=COLOURS[5], alpha=0.45)
    window = Window(low, high, logarithmic)
    s = np.unique(np.append(window.grid(600), edge * (1 + np.array([-1e-9, 1e-9]))))
    s = s[(s >= low) & (s <= high)]
    density = density_at(pred, s, logarithmic)
    axes.plot(s, density, color=COLOURS[1], linewidth=1.8, label="prediction")
    inner = density[np.isfinite(density)]
    # Room above for the ticks and the legend.
    top = 1.6 * max(float(heights.max(initial=0.0)), min(float(inner.max(initial=0.0)), 3.0 * float(heights.max())))
    if logarithmic:
        axes.set_xscale("log")
    if edge <= high:
        axes.axvline(edge, color="0.55", linewidth=0.8, linestyle=(0, (4, 3)))
    for index, e in enumerate(ensembles[:4]):
        largest = [float(np.exp(row.max())) for row in _rows_off_atoms(pred, e)]
        place = top * (0.99 - 0.06 * index)
        colour = COLOURS[(0, 2, 3, 4)[index]]
        label = f"largest of each network, N = {e.width}"
        axes.plot(largest, [place] * len(largest), "|", color=colour, markersize=8, label=label)
    axes.set_xlim(low, high)
    axes.set_ylim(0.0, (top * 1.05) or 1.0)
    axes.set_xlabel("singular value s of J")
    axes.set_ylabel("density of ln s" if logarithmic else "density of s")
    axes.set_title(f"upper edge, width {ensemble.width}: s = {edge:.5g} in the limit", fontsize=10)
    _dress(axes)
    axes.legend(
        frameon=True,
        edgecolor="none",
        framealpha=0.9,
        fontsize=8,
        loc="upper right",
        bbox_to_anchor=(1.0, 0.92 - 0.06 * len(ensembles[:4])),
    )


def _rows_off_atoms(pred: Prediction, ensemble: Ensemble) -> list[np.ndarray]:
    """Log s of every network, atoms left out; networks that have nothing else are left out, too."""
    rows = []
    for row in ensemble.log_singular_values:
        logs = row[np.isfinite(row)]
        for atom in visible_atoms(pred):
            if atom.location > 0.0:
                logs = logs[np.abs(logs - math.log(atom.location)) > 1e-8]
        if logs.size:
            rows.append(logs)
    return rows


def quantile_panel(axes: Axes, pred: Prediction, ensembles: Sequence[Ensemble], window: Window) -> None:
    """Quantiles of the pooled samples against the law's, all N_L of them; atoms are squares on the diagonal."""
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    zero = float(pred.spectrum.atom_at_zero)
    if window.logarithmic:
        levels = zero + (1.0 - zero) * (LOWEST + (1.0 - LOWEST) * levels)
    with np.errstate(all="ignore"):
        expected = np.asarray(pred.singular_values.icdf(levels), float)
    seen: list[np.ndarray] = []
    for index, e in reversed(list(enumerate(ensembles[:4]))):
        logs = np.sort(e.log_eigenvalues.ravel()) / 2.0
        place = np.clip(np.ceil(levels * logs.size).astype(int) - 1, 0, logs.size - 1)
        with np.errstate(all="ignore"):
            found = np.exp(logs[place])
        # An axis cannot hold what reaches to the end of the range of doubles.
        drawable = (np.minimum(expected, found) > SMALLEST) & (np.maximum(expected, found) < 1 / SMALLEST)
        shown = drawable if window.logarithmic else np.full(levels.size, True)
        seen += [found[shown], expected[shown]]
        colour = COLOURS[(0, 2, 3, 4)[index]]
        axes.plot(expected[shown], found[shown], ".", color=colour, markersize=4, label=f"width {e.width}")
    values = np.concatenate([*seen, np.empty(0)])
    values = values[np.isfinite(values) & ((values > 0.0) | (not window.logarithmic))]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if window.logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
        margin = (high / low) ** 0.04
        low, high = low / margin, high * margin
    else:
        margin = 0.04 * ((high - low) or max(abs(high), 1.0))
        low, high = low - margin, high + margin
    axes.plot([low, high], [low, high], color="0.55", linewidth=0.9, zorder=0)
    atoms = [a for a in visible_atoms(pred) if a.location > 0.0 or not window.logarithmic]
    if atoms:
        places = [a.location for a in atoms]
        style = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.5}
        axes.plot(places, places, "s", color=COLOURS[1], label="atom", **style)  # type: ignore[arg-type]
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_xlabel("predicted quantile of s")
    axes.set_ylabel("sampled quantile")
    axes.set_title("quantiles against quantiles", fontsize=10)
    _dress(axes)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _dress(axes: Axes) -> None:
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

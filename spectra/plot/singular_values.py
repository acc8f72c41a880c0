"""Figures of singular-value laws: density, atoms, support, samples behind them."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..reading import NEGLIGIBLE, in_words
from .page import COLOURS, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..distribution import Atom
    from ..prediction import Prediction
    from ..sampling import Ensemble

DASHES = ("-", "--", "-.", ":")
# A law whose singular values span more than this factor is drawn against log s.
WIDE = 100.0
# Share of the density left out at the bottom of a logarithmic axis, where slow tails would push the rest to one side.
LEFT_OUT = 1e-2
# Singular values beyond these, or densities of them, leave the range of doubles.
SMALLEST, LARGEST = 1e-290, 1e290
# Peaks that differ by more than this factor do not show together on a linear scale.
FLATTENED = 10.0
# Colour of an atom that several curves have.
SHARED = "0.35"
# Sampled log s this close to an atom's sit on it, but for rounding.
SAME_PLACE = 1e-8
# Labels of edges: rows of them, and the width of a letter as a share of the axis.
LABEL_ROWS, CHARACTER = 4, 0.0115


@dataclass(frozen=True)
class _Window:
    """Range of s to be drawn, and on which axis."""

    low: float
    high: float
    logarithmic: bool

    def grid(self, count: int = 1200) -> np.ndarray:
        """Points of the range, crowded towards both ends, where densities are steep."""
        fraction = 0.5 - 0.5 * np.cos(np.linspace(0.0, math.pi, count))
        if self.logarithmic:
            start, end = math.log(self.low), math.log(self.high)
            return np.exp(start + (end - start) * fraction)
        return self.low + (self.high - self.low) * fraction

    def fraction(self, s: float) -> float:
        """Where s is: 0 at the left end, 1 at the right."""
        if self.logarithmic:
            return (math.log(s) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (s - self.low) / (self.high - self.low)


def prediction_figure(pred: Prediction) -> Figure:
    """Density of the singular values of J, with atoms and the edges of the support."""
    figure, axes = page(1)
    axes[0].set_title(_title(pred), fontsize=11)
    window = _window([pred])
    _draw_law(axes[0], pred, window, COLOURS[0], "prediction")
    _finish(axes[0], window, [pred])
    _mark_edges(axes[0], pred, window)
    return figure


def comparison_figure(labelled: Sequence[tuple[str, Prediction]]) -> Figure:
    """Draw the densities of several predictions on one pair of axes, with a legend."""
    figure, axes = page(1, height=5.0)
    predictions = [pred for _, pred in labelled]
    window = _window(predictions)
    # An atom that several laws share is nobody's colour.
    shared = Counter(_text_of(atom) for pred in predictions for atom in _atoms(pred))
    for index, (label, pred) in enumerate(labelled):
        dash = DASHES[index // len(COLOURS) % len(DASHES)]
        _draw_law(axes[0], pred, window, COLOURS[index % len(COLOURS)], label, dash, shared=shared)
    axes[0].set_title("Singular values of the input-output Jacobian", fontsize=11)
    _finish(axes[0], window, predictions, legend=True)
    return figure


def check_figure(pred: Prediction, ensembles: Sequence[Ensemble]) -> Figure:
    """Draw the prediction over the histogram of sampled singular values, one panel per width."""
    figure, axes = page(len(ensembles))
    window = _widened(_window([pred]), ensembles)
    figure.suptitle(_title(pred), fontsize=11)
    for panel, ensemble in zip(axes, sorted(ensembles, key=lambda e: -e.width), strict=True):
        highest = _draw_histogram(panel, pred, ensemble, window)
        _draw_law(panel, pred, window, COLOURS[1], "prediction")
        panel.set_title(f"width {ensemble.width}, {ensemble.samples} networks", fontsize=10)
        _finish(panel, window, [pred], legend=True)
        top = panel.get_ylim()[1]
        # A single bin at a divergence may be as high as it likes.
        panel.set_ylim(0.0, max(top, min(1.05 * highest, 2.0 * top)))
    return figure


def _window(predictions: Sequence[Prediction]) -> _Window:
    """Range that shows the laws together."""
    lows, highs = [], []
    for pred in predictions:
        places = [*_quantiles(pred, [LEFT_OUT, 1.0 - 5e-13]), *(a.location for a in _atoms(pred) if a.location > 0.0)]
        if places:
            lows.append(max(min(places), SMALLEST))
            highs.append(min(max(places), LARGEST))
    if not lows:
        return _Window(0.0, 1.0, False)
    low, high = min(lows), max(highs)
    if high > WIDE * low:
        margin = math.exp(0.03 * (math.log(high) - math.log(low)))
        return _Window(low / margin, high * margin, True)
    low = min([low, *(float(_quantiles(pred, [5e-13]).min(initial=low)) for pred in predictions)])
    if low < 0.3 * high or any(pred.spectrum.atom_at_zero >= NEGLIGIBLE for pred in predictions):
        return _Window(0.0, 1.05 * high, False)
    margin = max(0.06 * (high - low), 0.02 * high)
    return _Window(low - margin, high + margin, False)


def _widened(window: _Window, ensembles: Sequence[Ensemble]) -> _Window:
    """Return the window with all samples in it, as far as twice its own width; logarithmic ones stay as they are."""
    if window.logarithmic:
        return window
    s = np.concatenate([ensemble.singular_values.ravel() for ensemble in ensembles])
    s = s[s > 0.0]
    width = window.high - window.low
    low = max(0.0, window.low - width, min(window.low, float(s.min(initial=window.low))))
    return _Window(low, min(window.high + width, max(window.high, float(s.max(initial=window.high)))), False)


def _density(pred: Prediction, s: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Density of s, or of ln s, which is s times as much; NaN where it diverges."""
    density = np.asarray(pred.singular_values.pdf(s), float) * (s if logarithmic else 1.0)
    return np.where(np.isfinite(density), density, np.nan)


def _draw_law(
    axes: Axes,
    pred: Prediction,
    window: _Window,
    colour: str,
    label: str,
    dash: str = "-",
    *,
    shared: dict[str, int] | None = None,
) -> None:
    if pred.spectrum.bulks:
        s = window.grid()
        ends = np.array([end for bulk in pred.singular_values.bulks for end in bulk])
        # The ends themselves, and points just outside, so that curves meet the axis where the law ends.
        inside = _quantiles(pred, np.linspace(1e-6, 1.0 - 1e-6, 600))
        s = np.unique(np.concatenate([s, inside, ends * (1 - 1e-9), ends * (1 + 1e-9)]))
        s = s[(s >= window.low) & (s <= window.high) & (s > 0.0)]
        axes.plot(s, _density(pred, s, window.logarithmic), color=colour, linestyle=dash, linewidth=1.8, label=label)
    else:
        axes.plot([], [], color=colour, linestyle=dash, linewidth=1.8, label=label)
    _draw_atoms(axes, pred, window, colour, shared or {})


def _draw_atoms(axes: Axes, pred: Prediction, window: _Window, own: str, shared: dict[str, int]) -> None:
    """Draw stems whose height is the mass, on the scale at the right; a logarithmic axis shows 0 at its left end.

    `shared` counts the laws that have an atom of one label, which is then drawn and labelled once.
    """
    atoms = _atoms(pred)
    if not atoms:
        return
    scale = _mass_axis(axes)
    for atom in atoms:
        text = _text_of(atom)
        owners = shared.get(text, 1)
        if owners == 0:
            continue
        colour = own if owners == 1 else SHARED
        at_zero = atom.location == 0.0
        place = window.low if at_zero else atom.location
        scale.plot([place, place], [0.0, atom.mass], color=colour, linewidth=1.6, clip_on=False, zorder=4)
        marker = "<" if at_zero and window.logarithmic else "o"
        scale.plot([place], [atom.mass], marker, color=colour, markersize=6, clip_on=False, zorder=5)
        if owners > 1:
            shared[text] = 0
            text = f"{text} ({owners} curves)"
        left = _left_half(window, place)
        scale.annotate(
            text,
            (place, atom.mass),
            xytext=(8 if left else -8, 5),
            textcoords="offset points",
            ha="left" if left else "right",
            fontsize=9,
            color=colour,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.95},
            zorder=6,
        )


def _text_of(atom: Atom) -> str:
    return f"mass {atom.mass:.4g} at s = {atom.location:.4g}"


def _atoms(pred: Prediction) -> list[Atom]:
    """Atoms of s that are large enough to be seen."""
    return [atom for atom in pred.singular_values.atoms if atom.mass >= NEGLIGIBLE]


def _left_half(window: _Window, place: float) -> bool:
    return window.fraction(place) < 0.5


def _mass_axis(axes: Axes) -> Any:
    """Second vertical axis, for masses, made once."""
    for other in axes.figure.axes:
        if other.get_label() == f"mass {id(axes)}":
            return other
    scale = axes.twinx()
    scale.set_label(f"mass {id(axes)}")
    scale.set_ylim(0.0, 1.12)
    scale.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    scale.set_ylabel("mass of an atom (stems)")
    scale.spines["top"].set_visible(False)
    return scale


def _draw_histogram(axes: Axes, pred: Prediction, ensemble: Ensemble, window: _Window) -> float:
    """Draw a density over all N_L eigenvalues, those at an atom of the law left to its stem; return its maximum."""
    logs = ensemble.log_singular_values.ravel()
    logs = logs[np.isfinite(logs)]
    for atom in _atoms(pred):
        if atom.location > 0.0:
            logs = logs[np.abs(logs - math.log(atom.location)) > SAME_PLACE]
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


def _draw_sampled_masses(axes: Axes, pred: Prediction, ensemble: Ensemble, window: _Window) -> None:
    """Draw open squares at the predicted atoms, as high as the share of the sampled eigenvalues that sits there."""
    atoms = _atoms(pred)
    if not atoms:
        return
    logs = ensemble.log_eigenvalues / 2.0
    masses = [
        np.mean(np.isneginf(logs) if atom.location == 0.0 else np.abs(logs - math.log(atom.location)) <= SAME_PLACE)
        for atom in atoms
    ]
    places = [window.low if atom.location == 0.0 else atom.location for atom in atoms]
    style: dict[str, Any] = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.6}
    _mass_axis(axes).plot(places, masses, "s", color=COLOURS[0], clip_on=False, zorder=7, **style)
    # The legend belongs to the other axis.
    axes.plot([], [], "s", color=COLOURS[0], label="sampled mass", **style)


def _mark_edges(axes: Axes, pred: Prediction, window: _Window) -> None:
    """Broken lines at the ends of the bulks and of the effective support, with their values where there is room."""
    edges = _edges(pred, window)
    gaps = [high / (high - low) for (low, *_), (high, *_) in pairwise(edges) if high > low]
    digits = min(max(4, 2 + math.ceil(math.log10(max(gaps, default=1.0)))), 15)
    taken: list[tuple[int, float, float]] = []
    box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    style: dict[str, Any] = {"fontsize": 8, "color": "0.4", "va": "top", "bbox": box, "zorder": 6}
    # The outermost first, their labels outside where there is room; across another edge only if nothing else is left.
    for end, upper, name in sorted(edges, key=lambda edge: edge not in (edges[0], edges[-1])):
        axes.axvline(end, color="0.55", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        text, place = f"{name} {end:.{digits}g}", window.fraction(end)
        others = [window.fraction(other) for other, *_ in edges if other != end]
        for across, row, right in product((False, True), range(LABEL_ROWS), (bool(upper), not upper)):
            start = place if right else place - CHARACTER * len(text)
            stop = start + CHARACTER * len(text)
            if start < 0.0 or stop > 1.0 or across != any(start < other < stop for other in others):
                continue
            if not any(r == row and start < b and a < stop for r, a, b in taken):
                taken.append((row, start, stop))
                where = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
                shift, side = (4, "left") if right else (-4, "right")
                axes.annotate(text, (end, 0.985), xytext=(shift, -13 * row), ha=side, **where, **style)
                break


def _edges(pred: Prediction, window: _Window) -> list[tuple[float, int, str]]:
    """Ends to mark, ascending: place, 1 for an upper and 0 for a lower end, name."""
    ends = [(end, upper, "edge") for bulk in pred.singular_values.bulks for upper, end in enumerate(bulk)]
    effective = (math.sqrt(max(float(end), 0.0)) for end in pred.spectrum.effective_support)
    ends += [(end, upper, "effective edge") for upper, end in enumerate(effective)]
    atoms = [atom.location for atom in pred.singular_values.atoms]
    shown: list[tuple[float, int, str]] = []
    for end, upper, name in ends:
        if not window.low < end < window.high or any(math.isclose(end, place, rel_tol=1e-9) for place in atoms):
            continue
        # The effective support often ends where the bulk does, but for rounding.
        place = window.fraction(end)
        if not any(upper == side and abs(place - window.fraction(other)) < 1e-3 for other, side, _ in shown):
            shown.append((end, upper, name))
    return sorted(shown)


def _finish(axes: Axes, window: _Window, predictions: Sequence[Prediction], *, legend: bool = False) -> None:
    if window.logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(window.low, window.high)
    axes.set_xlabel("singular value s of J")
    axes.set_ylabel("density of ln s" if window.logarithmic else "density of s")
    _vertical(axes, window, predictions)
    axes.spines["top"].set_visible(False)
    if not any(_atoms(pred) for pred in predictions):
        axes.spines["right"].set_visible(False)
    if not any(pred.spectrum.bulks for pred in predictions):
        # Atoms alone: a scale of densities would measure nothing.
        axes.set_yticks([])
        axes.set_ylabel("no density: atoms only")
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    if legend:
        axes.legend(frameon=False, fontsize=9)


def _vertical(axes: Axes, window: _Window, predictions: Sequence[Prediction]) -> None:
    """Scale of the densities: up to the highest peak, logarithmic where one law's peak would flatten another's."""
    peaks = [peak for peak in (_peak(pred, window) for pred in predictions) if peak > 0.0]
    if peaks and max(peaks) > FLATTENED * min(peaks):
        axes.set_yscale("log")
        axes.set_ylim(0.01 * min(peaks), 2.0 * max(peaks))
    else:
        axes.set_ylim(0.0, 1.12 * max(peaks, default=1.0))


def _peak(pred: Prediction, window: _Window) -> float:
    """Largest density among the middle 98 % of the law, cut off where it diverges: the height of its peaks."""
    s = _quantiles(pred, np.linspace(0.01, 0.99, 600))
    density = _density(pred, s[(s >= window.low) & (s <= window.high)], window.logarithmic)
    density = density[np.isfinite(density) & (density > 0.0)]
    # Half of the law is denser than the median; only a divergence is five times as dense.
    return min(float(density.max()), 5.0 * float(np.median(density))) if density.size else 0.0


def _quantiles(pred: Prediction, levels: ArrayLike) -> np.ndarray:
    """Quantiles of s under the density alone, atoms left out: points where it is, however narrow; none without it."""
    law = pred.singular_values
    masses = {atom.location: atom.mass for atom in law.atoms}
    starts = np.array([float(law.cdf(low)) for low, _ in law.bulks])
    shares = np.array([float(law.cdf(high)) - masses.get(high, 0.0) for _, high in law.bulks]) - starts
    if not shares.sum() > 0.0:
        return np.empty(0)
    sums = np.concatenate([[0.0], np.cumsum(shares)])
    wanted = np.asarray(levels, float) * sums[-1]
    bulk = np.clip(np.searchsorted(sums, wanted, side="right") - 1, 0, len(shares) - 1)
    s = np.asarray(law.icdf(starts[bulk] + wanted - sums[bulk]), float)
    return np.clip(s, SMALLEST, LARGEST)


def _title(pred: Prediction) -> str:
    lines = textwrap.wrap(in_words(pred.network), 88)
    words = "\n".join(lines[:2]) + (" …" if len(lines) > 2 else "")
    # A dollar would start mathematics; σ_w and σ_b are the only mathematics here.
    return words.replace("$", r"\$").replace("σ_w", r"$\sigma_w$").replace("σ_b", r"$\sigma_b$")

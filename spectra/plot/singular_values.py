"""Figures of singular-value laws: density, atoms, support."""

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
from .outliers import draw_outliers, outliers_of
from .page import COLOURS, between_decades, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..distribution import Atom
    from ..prediction import Prediction

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
# Labels of edges: rows of them, and the width of a letter as a share of the axis.
LABEL_ROWS, CHARACTER = 4, 0.0115


@dataclass(frozen=True)
class Window:
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
    axes[0].set_title(title_of(pred), fontsize=11)
    window = window_of([pred])
    draw_law(axes[0], pred, window, COLOURS[0], "prediction")
    finish(axes[0], window, [pred], legend=bool(outliers_of(pred)))
    _mark_edges(axes[0], pred, window)
    return figure


def comparison_figure(labelled: Sequence[tuple[str, Prediction]]) -> Figure:
    """Draw the densities of several predictions on one pair of axes, with a legend."""
    figure, axes = page(1, height=5.0)
    predictions = [pred for _, pred in labelled]
    window = window_of(predictions)
    # An atom that several laws share is nobody's colour.
    shared = Counter(_text_of(atom) for pred in predictions for atom in visible_atoms(pred))
    for index, (label, pred) in enumerate(labelled):
        dash = DASHES[index // len(COLOURS) % len(DASHES)]
        draw_law(axes[0], pred, window, COLOURS[index % len(COLOURS)], label, dash, shared=shared)
    axes[0].set_title("Singular values of the input-output Jacobian", fontsize=11)
    finish(axes[0], window, predictions, legend=True)
    return figure


def window_of(predictions: Sequence[Prediction]) -> Window:
    """Range that shows the laws together."""
    lows, highs = [], []
    for pred in predictions:
        places = [
            *bulk_quantiles(pred, [LEFT_OUT, 1.0 - 5e-13]),
            *(a.location for a in visible_atoms(pred) if a.location > 0.0),
            *outliers_of(pred),
        ]
        if places:
            lows.append(max(min(places), SMALLEST))
            highs.append(min(max(places), LARGEST))
    if not lows:
        return Window(0.0, 1.0, False)
    low, high = min(lows), max(highs)
    if high > WIDE * low:
        margin = math.exp(0.03 * (math.log(high) - math.log(low)))
        return Window(low / margin, high * margin, True)
    low = min([low, *(float(bulk_quantiles(pred, [5e-13]).min(initial=low)) for pred in predictions)])
    if low < 0.3 * high or any(pred.spectrum.atom_at_zero >= NEGLIGIBLE for pred in predictions):
        return Window(0.0, 1.05 * high, False)
    margin = max(0.06 * (high - low), 0.02 * high)
    return Window(low - margin, high + margin, False)


def density_at(pred: Prediction, s: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Density of s, or of ln s, which is s times as much; NaN where it diverges."""
    density = np.asarray(pred.singular_values.pdf(s), float) * (s if logarithmic else 1.0)
    return np.where(np.isfinite(density), density, np.nan)


def draw_law(
    axes: Axes,
    pred: Prediction,
    window: Window,
    colour: str,
    label: str,
    dash: str = "-",
    *,
    shared: dict[str, int] | None = None,
) -> None:
    """Draw the density of a law in the window, and its atoms on a scale of their own."""
    if pred.spectrum.bulks:
        s = window.grid()
        ends = np.array([end for bulk in pred.singular_values.bulks for end in bulk])
        # The ends themselves, and points just outside, so that curves meet the axis where the law ends.
        inside = bulk_quantiles(pred, np.linspace(1e-6, 1.0 - 1e-6, 600))
        s = np.unique(np.concatenate([s, inside, ends * (1 - 1e-9), ends * (1 + 1e-9)]))
        s = s[(s >= window.low) & (s <= window.high) & (s > 0.0)]
        axes.plot(s, density_at(pred, s, window.logarithmic), color=colour, linestyle=dash, linewidth=1.8, label=label)
    else:
        axes.plot([], [], color=colour, linestyle=dash, linewidth=1.8, label=label)
    _draw_atoms(axes, pred, window, colour, shared or {})
    draw_outliers(axes, pred, window, colour)


def _draw_atoms(axes: Axes, pred: Prediction, window: Window, own: str, shared: dict[str, int]) -> None:
    """Draw stems whose height is the mass, on the scale at the right; a logarithmic axis shows 0 at its left end.

    `shared` counts the laws that have an atom of one label, which is then drawn and labelled once.
    """
    atoms = visible_atoms(pred)
    if not atoms:
        return
    scale = mass_axis(axes)
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
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
            zorder=6,
        )


def _text_of(atom: Atom) -> str:
    return f"mass {atom.mass:.4g} at s = {atom.location:.4g}"


def visible_atoms(pred: Prediction) -> list[Atom]:
    """Atoms of s that are large enough to be seen."""
    return [atom for atom in pred.singular_values.atoms if atom.mass >= NEGLIGIBLE]


def _left_half(window: Window, place: float) -> bool:
    return window.fraction(place) < 0.5


def mass_axis(axes: Axes) -> Any:
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


def _mark_edges(axes: Axes, pred: Prediction, window: Window) -> None:
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


def _edges(pred: Prediction, window: Window) -> list[tuple[float, int, str]]:
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


def finish(axes: Axes, window: Window, predictions: Sequence[Prediction], *, legend: bool = False) -> None:
    """Set scales, limits, labels and grid of a panel of densities."""
    if window.logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(window.low, window.high)
    if window.logarithmic:
        between_decades(axes, (axes.xaxis,))
    axes.set_xlabel("singular value s of J")
    axes.set_ylabel("density of ln s" if window.logarithmic else "density of s")
    _vertical(axes, window, predictions)
    axes.spines["top"].set_visible(False)
    if not any(visible_atoms(pred) for pred in predictions):
        axes.spines["right"].set_visible(False)
    if not any(pred.spectrum.bulks for pred in predictions):
        # Atoms alone: a scale of densities would measure nothing.
        axes.set_yticks([])
        axes.set_ylabel("no density: atoms only")
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    if legend:
        # What runs through the words, such as an edge, is dimmed there.
        axes.legend(frameon=True, edgecolor="none", framealpha=0.8, fontsize=9)


def _vertical(axes: Axes, window: Window, predictions: Sequence[Prediction]) -> None:
    """Scale of the densities: up to the highest peak, logarithmic where one law's peak would flatten another's."""
    peaks = [peak for peak in (_peak(pred, window) for pred in predictions) if peak > 0.0]
    if peaks and max(peaks) > FLATTENED * min(peaks):
        axes.set_yscale("log")
        axes.set_ylim(0.01 * min(peaks), 2.0 * max(peaks))
    else:
        axes.set_ylim(0.0, 1.12 * max(peaks, default=1.0))


def _peak(pred: Prediction, window: Window) -> float:
    """Largest density among the middle 98 % of the law, cut off where it diverges: the height of its peaks."""
    s = bulk_quantiles(pred, np.linspace(0.01, 0.99, 600))
    density = density_at(pred, s[(s >= window.low) & (s <= window.high)], window.logarithmic)
    density = density[np.isfinite(density) & (density > 0.0)]
    # Half of the law is denser than the median; only a divergence is five times as dense.
    return min(float(density.max()), 5.0 * float(np.median(density))) if density.size else 0.0


def bulk_quantiles(pred: Prediction, levels: ArrayLike) -> np.ndarray:
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


def title_of(pred: Prediction) -> str:
    """The network in words, on two lines at most."""
    lines = textwrap.wrap(in_words(pred.network), 88, break_on_hyphens=False)
    words = "\n".join(lines[:2]) + (" …" if len(lines) > 2 else "")
    # A dollar would start mathematics; σ_w and σ_b are the only mathematics here.
    return words.replace("$", r"\$").replace("σ_w", r"$\sigma_w$").replace("σ_b", r"$\sigma_b$")

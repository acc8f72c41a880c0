"""The figure of a law on the line: density, atoms, edges."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from .page import COLOURS, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .._types import Array
    from ..distribution import Distribution

POINTS = 800
# A law whose bulk on [0, ∞) has all but this share of its mass on so many decades is drawn against log x.
SHARE, DECADES = 0.05, 2.5
# Share of the mass beyond the picture where a law reaches to infinity.
FARTHEST = 1e-6
# Where a density diverges the picture ends at this multiple of the median density of its bulk; bulks that are so many
# times as high as another are cut off, which they would flatten.
HIGHEST, FLATTENED = 6.0, 50.0
# An edge this far below what counts, relative, is out of the picture.
NEAR = 1e-3
# Labels of atoms stand in rows of their own, this many points apart.
LABEL_HEIGHT = 14


def law_figure(law: Distribution, title: str) -> Figure:
    """Density over the bulks, stems for atoms on a scale of their own at the right, broken lines at the edges."""
    figure, (axes,) = page(1)
    axes.set_title("\n".join(textwrap.wrap(title.replace("$", r"\$"), 88)[:2]), fontsize=11)
    bulks = _drawn(law)
    places = [end for bulk in bulks for end in bulk] + [atom.location for atom in law.atoms]
    low, high = min(places), max(places)
    logarithmic = bool(law.bulks) and low >= 0.0 and _decades(law) > DECADES
    if logarithmic:
        start = float(law.icdf(np.array([_share_at(law)]))[0])
        # An edge above zero is shown, unless that is decades farther than all that counts.
        edge = law.bulks[0][0]
        start = edge if NEAR * start < edge < start else start
        low, high = start / 1.3, high * 1.15
        axes.set_xscale("log")
    else:
        margin = 0.06 * ((high - low) or max(abs(high), 1.0))
        low, high = low - margin, high + margin
    axes.set_xlim(low, high)
    axes.set_xlabel("x")
    axes.set_ylabel("density of ln x" if logarithmic else "density")
    _draw_density(axes, law, bulks, low, logarithmic=logarithmic)
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _draw_atoms(axes, law, low, high, logarithmic=logarithmic)
    return figure


def _drawn(law: Distribution) -> list[tuple[float, float]]:
    """The bulks, of those that reach to infinity all but a millionth of the mass."""
    return [(a, b if np.isfinite(b) else float(law.icdf(1.0 - FARTHEST))) for a, b in law.bulks]


def _share_at(law: Distribution) -> float:
    """Probability below which the picture does not reach: a share of the continuous part above the atom at zero."""
    zero = sum(atom.mass for atom in law.atoms if atom.location == 0.0)
    return zero + SHARE * (1.0 - sum(atom.mass for atom in law.atoms))


def _decades(law: Distribution) -> float:
    """Decades between the lower end of what is drawn and the upper end of the law."""
    start, end = law.icdf(np.array([_share_at(law), 1.0 - FARTHEST]))
    return float(np.log10(end / start)) if start > 0.0 else 0.0


def _draw_density(
    axes: Axes, law: Distribution, bulks: list[tuple[float, float]], left: float, *, logarithmic: bool
) -> None:
    crowded = 0.5 - 0.5 * np.cos(np.pi * np.arange(POINTS + 1) / POINTS)
    tops = []
    for (a, b), ends in zip(bulks, law.bulks, strict=True):
        start = max(a, left)
        x = start * (b / start) ** crowded if logarithmic else start + (b - start) * crowded
        y = np.asarray(law.pdf(x)) * (x if logarithmic else 1.0)
        y = np.where(np.isfinite(y), y, np.nan)
        # The curve meets the axis at a soft edge, and leaves the picture at a hard one.
        axes.plot(x, y, color=COLOURS[0], linewidth=1.8)
        axes.fill_between(x, y, color=COLOURS[0], alpha=0.12, linewidth=0.0)
        inner = y[(crowded > 0.001) & (crowded < 0.999) & np.isfinite(y)]
        if inner.size:
            # On a logarithmic axis most of the picture may be a tail: there half of the mass is above what is typical.
            typical = _half_of_sum(inner) if logarithmic else float(np.median(inner))
            tops.append(min(float(inner.max()), HIGHEST * typical))
        for end in ends:
            if np.isfinite(end) and (not logarithmic or end > left):
                axes.axvline(end, color="0.55", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    if not law.bulks:
        axes.set_yticks([])
        axes.set_ylabel("no density: atoms only")
        return
    axes.set_ylim(0.0, 1.1 * max(top for top in tops if top <= FLATTENED * min(tops)))


def _half_of_sum(values: Array) -> float:
    """The value such that those up to it make half of the sum."""
    ordered = np.sort(values)
    total = np.cumsum(ordered)
    return float(ordered[np.searchsorted(total, 0.5 * total[-1])])


def _draw_atoms(axes: Axes, law: Distribution, low: float, high: float, *, logarithmic: bool) -> None:
    if not law.atoms:
        return
    scale = axes.twinx()
    scale.set_ylim(0.0, 1.12)
    scale.set_ylabel("mass of an atom (stems)")
    scale.spines["top"].set_visible(False)
    few = len(law.atoms) <= 6
    for row, atom in enumerate(law.atoms):
        place = low if logarithmic and atom.location == 0.0 else atom.location
        scale.plot([place, place], [0.0, atom.mass], color=COLOURS[1], linewidth=1.6, clip_on=False)
        scale.plot([place], [atom.mass], "<" if place != atom.location else "o", color=COLOURS[1], clip_on=False)
        if few:
            share = np.log(place / low) / np.log(high / low) if logarithmic else (place - low) / (high - low)
            scale.annotate(
                f"mass {atom.mass:.4g} at {atom.location:.4g}",
                (place, atom.mass),
                xytext=(8 if share < 0.5 else -8, 5 + LABEL_HEIGHT * row),
                textcoords="offset points",
                ha="left" if share < 0.5 else "right",
                fontsize=9,
                color=COLOURS[1],
                bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9},
            )

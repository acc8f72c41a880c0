"""Figures of great depth: nets beside the limits they tend to, and Gaussian nets, which have none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .page import COLOURS, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .._types import Array
    from ..limits.convergence import Approach
    from ..spectrum import SingularValueLaw

POINTS = 300
# Densities that diverge are cut at this multiple of their median.
HIGHEST = 4.0
# Shades of the shallowest net and of the deepest.
PALEST, DARKEST = 0.2, 0.9
MARKERS = "osD^v"


def approach_figure(cases: Mapping[str, Sequence[Approach]]) -> Figure:
    """Per activation a panel: densities of singular values by depth, the limit broken; then distances against L.

    Parameters
    ----------
    cases : name → nets of rising depth beside their limit, as `spectra.limits.approach` gives them.
    """
    figure, axes = page(len(cases) + 2)
    for name, panel in zip(cases, axes, strict=False):
        _approach_panel(panel, name, cases[name])
    _rates(axes[-2], {name: [(a.depth, a.distance) for a in case] for name, case in cases.items()})
    axes[-2].set_ylabel("∫ |F_L(s) − F(s)| ds")
    axes[-2].set_title("distance of singular values to the limit", fontsize=10)
    _rates(axes[-1], {name: [(a.depth, abs(a.edge_error)) for a in case] for name, case in cases.items()})
    axes[-1].set_ylabel("relative error of the bulk's end")
    axes[-1].set_title("largest end of the bulk, of λ", fontsize=10)
    return figure


def _approach_panel(axes: Axes, name: str, case: Sequence[Approach]) -> None:
    from matplotlib import colormaps

    limit = case[0].limit.singular_values
    shades = colormaps["viridis_r"](np.linspace(PALEST, DARKEST, len(case)))
    top = max(a.prediction.singular_values.support()[1] for a in case)
    high = 1.06 * max(limit.support()[1], min(top, 1.3 * limit.support()[1]))
    for one, shade in zip(case, shades, strict=True):
        law = one.prediction.singular_values
        axes.plot(*_density(law, high), color=shade, linewidth=1.3, label=f"L = {one.depth}")
        _stems(axes, law, shade, linewidth=1.3)
    axes.plot(*_density(limit, high), color="black", linewidth=1.6, linestyle=(0, (4, 2)), label="limit")
    _stems(axes, limit, "black", linewidth=1.6, linestyle=(0, (4, 2)))
    last = (limit, case[-1].prediction.singular_values)
    curves = [curve[np.isfinite(curve)] for curve in (_density(law, high)[1] for law in last)]
    peaks = [min(float(y.max()), HIGHEST * float(np.median(y))) for y in curves if y.size]
    axes.set_ylim(0.0, 1.15 * max([*peaks, *(atom.mass for law in last for atom in law.atoms)]))
    axes.set_xlim(0.0, high)
    axes.set_xlabel("singular value s")
    axes.set_ylabel("density; atoms: mass" if limit.atoms else "density")
    axes.set_title(name, fontsize=10)
    _dress(axes)


def _density(law: SingularValueLaw, high: float) -> tuple[Array, Array]:
    """Over the bulks, crowded at their ends, broken between them."""
    crowded = 0.5 - 0.5 * np.cos(np.linspace(0.0, math.pi, POINTS))
    s, y = [], []
    for a, b in law.bulks:
        x = a + (min(b, high) - a) * crowded
        value = np.asarray(law.pdf(x))
        s += [x, [np.nan]]
        y += [np.where(np.isfinite(value), value, np.nan), [np.nan]]
    return np.concatenate(s or [np.empty(0)]), np.concatenate(y or [np.empty(0)])


def _stems(axes: Axes, law: SingularValueLaw, colour: Any, **style: Any) -> None:
    for atom in law.atoms:
        axes.plot([atom.location] * 2, [0.0, atom.mass], color=colour, clip_on=False, **style)
        axes.plot([atom.location], [atom.mass], "o", color=colour, markersize=3.5, clip_on=False)


def _rates(axes: Axes, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Logarithmic on both axes, each with the power its last two points have."""
    for k, (name, points) in enumerate(curves.items()):
        depth, size = (np.array(column, float) for column in zip(*points, strict=True))
        slope = np.log(size[-1] / size[-2]) / np.log(depth[-1] / depth[-2]) if depth.size > 1 else math.nan
        label = f"{name}: $L^{{{slope:.2f}}}$"
        colour = COLOURS[k % len(COLOURS)]
        # Of curves that coincide the first is the widest.
        axes.plot(depth, size, MARKERS[k % len(MARKERS)] + "-", color=colour, markersize=9 - 2 * min(k, 2), label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("depth L")
    _dress(axes)


def gaussian_figure(
    edges: Mapping[str, Array],
    triangles: Mapping[str, tuple[Array, Array]],
    exponents: Mapping[str, tuple[Array, Array, Array]],
) -> Figure:
    """Four panels: λ_max against L, its error by order, the law of s^{1/L}, Lyapunov exponents.

    Parameters
    ----------
    edges : columns "depth", "exact", "leading", "corrected".
    triangles : name → (r, density of r = s^{1/L}); the limit is 2r.
    exponents : name → (share (i − ½)/N from the top, exponents, their standard errors or zeros); the limit is
        ½ log(1 − share).
    """
    figure, (top, error, triangle, ladder) = page(4)
    depth, exact = edges["depth"], edges["exact"]
    top.plot(depth, np.sqrt(exact), "o", color=COLOURS[0], markersize=4, label="exact")
    top.plot(depth, np.sqrt(math.e * depth), color=COLOURS[1], linewidth=1.3, label="$\\sqrt{eL}$")
    top.set_xscale("log", base=2)
    top.set_yscale("log")
    top.set_ylabel("$s_{max}$")
    top.set_title("largest singular value, linear Gaussian nets", fontsize=10)
    for k, name in enumerate(("leading", "corrected")):
        label = {"leading": "$e\\,m_2$", "corrected": "$e\\,(m_3/m_2 − m_2/2)$"}[name]
        size = np.abs(edges[name] / exact - 1.0)
        error.plot(depth, size, MARKERS[k] + "-", color=COLOURS[k], markersize=4, label=label)
    error.set_xscale("log", base=2)
    error.set_yscale("log")
    error.set_ylabel("relative error of $λ_{max}$")
    error.set_title("correction to $λ_{max} \\sim eL$", fontsize=10)
    _triangle_panel(triangle, triangles)
    _exponent_panel(ladder, exponents)
    for axes in (top, error):
        axes.set_xlabel("depth L")
        _dress(axes)
    return figure


def _triangle_panel(axes: Axes, triangles: Mapping[str, tuple[Array, Array]]) -> None:
    from matplotlib import colormaps

    shades = colormaps["viridis_r"](np.linspace(PALEST, DARKEST, len(triangles)))
    for (name, (r, density)), shade in zip(triangles.items(), shades, strict=True):
        axes.plot(r, density, color=shade, linewidth=1.3, label=name)
    axes.plot([0.0, 1.0, 1.0], [0.0, 2.0, 0.0], color="black", linewidth=1.6, linestyle=(0, (4, 2)), label="2r")
    axes.set_ylim(0.0, 3.0)
    axes.set_xlim(0.0, 1.4)
    axes.set_xlabel("$r = s^{1/L}$")
    axes.set_ylabel("density")
    axes.set_title("the triangular law", fontsize=10)
    _dress(axes)


def _exponent_panel(axes: Axes, exponents: Mapping[str, tuple[Array, Array, Array]]) -> None:
    for k, (name, (share, value, sigma)) in enumerate(exponents.items()):
        style: dict[str, Any] = {"markersize": 8 - 4 * min(k, 1), "linewidth": 0.0, "elinewidth": 1.2, "capsize": 2.0}
        face = "white" if k == 0 else COLOURS[k]
        axes.errorbar(share, value, 2.0 * sigma, fmt=MARKERS[k], color=COLOURS[k], mfc=face, label=name, **style)
    share = np.linspace(0.0, 0.995, POINTS)
    axes.plot(share, 0.5 * np.log1p(-share), color="black", linewidth=1.3, label="½ log(1 − share), N → ∞")
    axes.set_xlabel("share of singular values above, (i − ½)/N")
    axes.set_ylabel("Lyapunov exponent, (1/L) log s")
    axes.set_title("Lyapunov exponents", fontsize=10)
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)

"""The page of `spectra bench`: cost against width and depth, error against width and against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .page import COLOURS, between_decades, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def bench_figure(runs: Sequence[dict[str, Any]], depths: Sequence[dict[str, Any]]) -> Figure:
    """Draw what `spectra bench` measured; predictions are broken lines and stars, samples solid lines."""
    figure, axes = page(4)
    figure.suptitle("Prediction (broken lines, stars) against sampling one network (solid)", fontsize=11)
    _over_width(axes[0], runs)
    _errors(axes[1], runs)
    _over_depth(axes[2], depths)
    _error_for_time(axes[3], runs)
    for panel in axes:
        panel.set_xscale("log")
        panel.set_yscale("log")
        between_decades(panel, (panel.xaxis, panel.yaxis))
        panel.grid(visible=True, color="0.92", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=True, edgecolor="none", framealpha=0.8, fontsize=7.5)
    for panel in axes[:2]:
        _ticks(panel, [row["width"] for row in runs[0]["sampling"]])
    _ticks(axes[2], sorted({row["depth"] for row in depths}))
    return figure


def _over_width(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    for colour, run in zip(COLOURS, runs, strict=False):
        rows = run["sampling"]
        width, seconds = [row["width"] for row in rows], [1e3 * row["seconds"] for row in rows]
        axes.plot(width, seconds, "o-", color=colour, markersize=4, label=run["label"])
        axes.axhline(1e3 * run["predict_seconds"], color=colour, linewidth=1.0, linestyle=(0, (4, 3)))
        if run["break_even_width"] is not None:
            axes.plot([run["break_even_width"]], [1e3 * run["predict_seconds"]], "*", color=colour, markersize=12)
    axes.set_xlabel("width N")
    axes.set_ylabel("milliseconds")
    axes.set_title("cost against width; stars: break-even", fontsize=10)


def _errors(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    for colour, run in zip(COLOURS, runs, strict=False):
        rows = run["sampling"]
        width = [row["width"] for row in rows]
        axes.plot(width, [row["ks"] for row in rows], "o-", color=colour, markersize=4, label=run["label"])
    axes.set_xlabel("width N")
    axes.set_ylabel("KS distance of one network")
    axes.set_title("distance from the limit against width", fontsize=10)


def _over_depth(axes: Axes, depths: Sequence[dict[str, Any]]) -> None:
    for colour, weights in zip(COLOURS, dict.fromkeys(row["weights"] for row in depths), strict=False):
        rows = [row for row in depths if row["weights"] == weights]
        depth = [row["depth"] for row in rows]
        label = f"{weights}, sampled at width {rows[0]['width']}"
        axes.plot(depth, [1e3 * row["sample_seconds"] for row in rows], "o-", color=colour, markersize=4, label=label)
        seconds = [1e3 * row["predict_seconds"] for row in rows]
        axes.plot(depth, seconds, "*", color=colour, linestyle=(0, (4, 3)), markersize=7, label=f"{weights}, predicted")
    axes.set_xlabel("depth, tanh layers")
    axes.set_ylabel("milliseconds")
    axes.set_title("cost against depth", fontsize=10)


def _error_for_time(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    """Root mean square error of m_2 against time; of the prediction the defect of its moments."""
    for colour, run in zip(COLOURS, runs, strict=False):
        rows = run["sampling"]
        seconds, errors = [1e3 * row["seconds"] for row in rows], [row["m_2"] for row in rows]
        axes.plot(seconds, errors, "o-", color=colour, markersize=4, label=run["label"])
        defect = max(run["checks"]["moment_defect"] or 0.0, 1e-16)
        axes.plot([1e3 * run["predict_seconds"]], [defect], "*", color=colour, markersize=12)
    axes.set_xlabel("milliseconds")
    axes.set_ylabel("relative error of $m_k$")
    axes.set_title("error against cost", fontsize=10)


def _ticks(axes: Axes, values: Sequence[int]) -> None:
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()

"""`spectra phase`: the phase diagram of an activation, and the spectrum along its edge of chaos."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .options import CountList, NameList, NumberList, output_options
from .outputs import Outputs, progress, say_notes

if TYPE_CHECKING:
    from ..activations import Activation
    from ..phase.along import SpectrumAlong
    from ..phase.grid import PhaseGrid
    from ..phase.report import PhaseReport
    from ..phase.slopes import SlopeDistribution
    from ..phase.universality import DepthScaling

PAGES = ("diagram", "spectrum", "slopes")
# Options that say something on one page alone.
OF_PAGE = {
    "depths": "spectrum",
    "weights": "spectrum",
    "spread": "spectrum",
    "variances": "slopes",
    "levels": "diagram",
}
MOST_POINTS, MOST_CELLS = 100_000, 2_000
BIAS = 0.5


@click.command()
@click.option(
    "--activation", "names", multiple=True, metavar="NAME", help="Activation by name; several times for several."
)
@click.option("--expr", "expressions", multiple=True, metavar="TEXT", help="Activation as an expression in x.")
@click.option("--q-star", "q_range", type=NumberList(), metavar="LOW,HIGH", help="Ends of the curve.  [1e-4,1e2]")
@click.option(
    "--points", type=click.IntRange(2, MOST_POINTS), default=100, show_default=True, help="Points of the curve."
)
@click.option("--sigma-b", "biases", type=NumberList(), metavar="x,x,…", help="Find all critical points of these σ_b.")
@click.option("--sigma-w", "weights_at", type=NumberList(), metavar="x,x,…", help="The same of these σ_w.")
@click.option("--at", "at", type=float, default=1.0, show_default=True, help="q* at which μ_1, μ_2 are given.")
@click.option("--classes", is_flag=True, help="Give the table of classes for the whole catalogue of activations.")
@click.option("--weight-variances", type=NumberList(), metavar="LOW,HIGH", help="Range of σ_w² in the diagram.")
@click.option("--bias-variances", type=NumberList(), metavar="LOW,HIGH", help="Range of σ_b² in the diagram.  [0,0.5]")
@click.option(
    "--grid",
    "cells",
    type=click.IntRange(2, MOST_CELLS),
    default=None,
    metavar="N",
    help="N × N points in the diagram, 200 unless given; with it the grid goes into the JSON too.",
)
@click.option("--levels", type=NumberList(), metavar="x,x,…", help="Level curves of χ_1, ξ_c and ξ_q.")
@click.option(
    "--page", type=click.Choice(PAGES), default="diagram", show_default=True,
    help="What is drawn, listed and written beside the curve: the phase diagram, the spectrum of JJᵀ along the "
    "curve, or the law of φ'(h).",
)  # fmt: skip
@click.option("--depths", type=CountList(), default="4,16,64", show_default=True, help="Depths of --page spectrum.")
@click.option("--weights", type=NameList(), default="orthogonal", show_default=True, help="Its kinds of weights.")
@click.option(
    "--spread", type=float, default=0.25, show_default=True, help="Its variance of JJᵀ to be kept at depth L."
)
@click.option(
    "--variances", type=NumberList(), default="0.2,0.5,1,2", show_default=True, help="Variances of --page slopes."
)
@output_options
def phase(
    names: tuple[str, ...],
    expressions: tuple[str, ...],
    q_range: tuple[float, ...] | None,
    points: int,
    biases: tuple[float, ...] | None,
    weights_at: tuple[float, ...] | None,
    at: float,
    classes: bool,
    weight_variances: tuple[float, ...] | None,
    bias_variances: tuple[float, ...] | None,
    cells: int | None,
    levels: tuple[float, ...] | None,
    page: str,
    depths: tuple[int, ...],
    weights: tuple[str, ...],
    spread: float,
    variances: tuple[float, ...],
    json_path: str | None,
    plot_path: str | None,
) -> None:
    """Show where signals die out, survive or explode: the edge of chaos of one or several activations.

    The edge of chaos is traced by q*: σ_w² = 1/E φ'(√q* z)², σ_b² = q* − σ_w² E φ(√q* z)². Without --activation
    that of tanh.
    """
    outputs = Outputs(json_path, plot_path)
    _check_page(page)
    low, high = _range("--q-star", q_range, 0.0, (1e-4, 1e2))
    bias_range = _range("--bias-variances", bias_variances, -1.0, (0.0, BIAS))

    from ..phase.pages import along_record, slopes_record
    from ..phase.report import PhaseReport, class_record
    from ..phase.universality import universality_table

    activations = _activations(names, expressions)
    reports = [PhaseReport(phi, points, low, high, biases or (), weights_at or (), at) for phi in activations]
    weight_range = _range("--weight-variances", weight_variances, -1.0, (0.0, _widest(reports)))
    edges = (*weight_range, *bias_range)

    @cache
    def along() -> tuple[list[SpectrumAlong], list[DepthScaling]]:
        return _along(reports, depths, weights, spread, low, high)

    @cache
    def slopes() -> list[list[SlopeDistribution]]:
        from ..phase.slopes import slope_distribution

        return [[slope_distribution(phi, float(q)) for q in variances] for phi in activations]

    def document() -> dict[str, Any]:
        grids = [_grid(report.activation, edges, cells) if cells else None for report in reports]
        records = [report.to_dict(grid) for report, grid in zip(reports, grids, strict=True)]
        if page == "spectrum":
            for report, record in zip(reports, records, strict=True):
                runs, needed = along()
                own = [one for one in runs if one.activation == report.activation]
                scaling = next(one for one in needed if one.activation == report.activation)
                record |= along_record(own, scaling, record["notes"])
        if page == "slopes":
            for laws, record in zip(slopes(), records, strict=True):
                record["slopes"] = slopes_record(laws, record["notes"])
        record = records[0] if len(records) == 1 else {"schema": records[0]["schema"], "runs": records}
        if classes:
            record["classes"] = [{"activation": one.activation.name} | class_record(one) for one in table]
        return record

    def figure() -> Any:
        from ..plot import along_figure, phase_figure, slopes_figure

        if page == "slopes":
            return slopes_figure(slopes())
        if page == "spectrum":
            return along_figure(*along(), spread)

        grids = [_grid(report.activation, edges, cells or 200) for report in reports]
        return phase_figure(grids, [report.edge.within(weight_range[1], bias_range[1]) for report in reports], levels)

    # What is asked for in vain is said before anything is written.
    table = universality_table(q_star=at) if classes else tuple(report.universality for report in reports)
    notes = [note for report in reports for note in report.none_found()]
    if page != "diagram":
        (along if page == "spectrum" else slopes)()
    outputs.write(document, figure)
    if not outputs.silent:
        from .phase_tables import print_along, print_phase, print_slopes

        print_phase(reports, table, at)
        if page == "spectrum":
            print_along(*along())
        elif page == "slopes":
            print_slopes(slopes())
    say_notes(notes)


def _check_page(page: str) -> None:
    """Nothing that is asked for is passed over in silence."""
    context = click.get_current_context()
    for name, place in OF_PAGE.items():
        if place != page and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"`--{name}`: says something with `--page {place}` alone.")


def _activations(names: tuple[str, ...], expressions: tuple[str, ...]) -> list[Activation]:
    from ..activations import get_activation

    found = [get_activation(name) for name in names] + [get_activation({"expr": text}) for text in expressions]
    return list(dict.fromkeys(found)) or [get_activation("tanh")]


def _range(
    option: str, given: tuple[float, ...] | None, lowest: float, default: tuple[float, float]
) -> tuple[float, float]:
    """Two increasing numbers above `lowest`."""
    if given is None:
        return default
    if len(given) != 2 or not lowest < given[0] < given[1] or not math.isfinite(given[1]) or given[0] < 0.0:
        sign = "positive" if lowest == 0.0 else "not negative"
        shown = ",".join(f"{x:g}" for x in given)
        raise click.UsageError(f"`{option} {shown}`: must be two increasing numbers, {sign}, as in {option} 0.1,2.")
    return float(given[0]), float(given[1])


def _widest(reports: list[PhaseReport]) -> float:
    return max(report.edge.widest_weight() for report in reports)


def _grid(activation: Activation, edges: tuple[float, float, float, float], cells: int) -> PhaseGrid:
    import numpy as np

    from ..phase.grid import phase_grid

    low, high, below, above = edges
    # σ_w = 0 is no network.
    weights = np.linspace(low or high / cells, high, cells)
    return phase_grid(activation, weights, np.linspace(below, above, cells))


def _along(
    reports: list[PhaseReport], depths: tuple[int, ...], kinds: tuple[str, ...], spread: float, low: float, high: float
) -> tuple[list[SpectrumAlong], list[DepthScaling]]:
    import numpy as np

    from ..errors import ConfigError
    from ..phase.along import spectrum_along
    from ..phase.universality import depth_scaling

    runs, needed = [], []
    with progress("predicting") as start:
        advance = start("")
        total = len(reports) * len(depths) * len(kinds)
        for report in reports:
            single = report.edge.single is not None
            q = np.geomspace(low, high, 25) if single else report.edge.spaced(25, low, high)
            if not q.size:
                raise ConfigError(f"`--page spectrum`: {report.edge.shape()}.")
            for depth in depths:
                for kind in kinds:
                    runs.append(spectrum_along(report.activation, depth, q, weights=kind))
                    if advance is not None:
                        advance(len(runs), total)
            needed.append(depth_scaling(report.activation, np.unique(np.geomspace(1, 1e4, 13).round()), spread))
    return runs, needed

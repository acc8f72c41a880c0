"""`spectra law`: plain free probability, from an expression."""

from __future__ import annotations

from typing import Any

import click

from .options import NumberList, output_options, points_option
from .outputs import Outputs, say_notes

MAX_MOMENTS = 200


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("expression")
@click.option("--at", type=NumberList(), metavar="x,x,…", help="Give the density at exactly these points.")
@click.option(
    "--moments",
    type=click.IntRange(1, MAX_MOMENTS),
    default=6,
    show_default=True,
    help="Number of moments and free cumulants.",
)
@points_option
@output_options
def law(
    expression: str,
    at: tuple[float, ...] | None,
    moments: int,
    points: int,
    json_path: str | None,
    plot_path: str | None,
) -> None:
    """Support, atoms, moments, free cumulants and density of the law in EXPRESSION.

    \b
    "MP(1/2) * MP(1/5)"                 free product, of sample covariance matrices
    "semicircle(1) + bernoulli(1/2)"    free sum
    "2 * MP(1/2)^3 + 1"                 dilation, free power, shift

    Laws: MP(ratio, scale), semicircle(variance), arcsine(r) or (a, b), bernoulli(p), discrete({a: p, …}) or ([a, …]),
    dirac(a), FC(order), free_poisson(rate, jump), compound(rate, law), compress(law, share), sum_power(law, t),
    slope(activation or "x**2/2", variance), smooth_limit(variance), bernoulli_limit(variance), empirical("file.npy").
    """  # noqa: D301 (click's mark is the character itself)
    outputs = Outputs(json_path, plot_path)

    from ..expressions import parse_law
    from ..law_report import LawReport

    report = LawReport(parse_law(expression), expression, moments, at, points)
    record = report.record

    def figure() -> Any:
        from ..plot import law_figure

        return law_figure(report.spectrum, expression)

    outputs.write(lambda: record, figure)
    if not outputs.silent:
        from .tables import print_law

        print_law(report)
    say_notes(record["checks"]["notes"])

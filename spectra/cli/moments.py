"""`spectra moments`: the moments of JJᵀ, exactly where they are rational, or as polynomials in the depth."""

from __future__ import annotations

from typing import Any

import click

from ..digits import DOUBLE_DIGITS, MOST_DIGITS
from .options import json_option, load, set_option
from .outputs import Outputs, say_notes

MAX_ORDER, MAX_SYMBOLIC = 1000, 100


@click.command()
@click.argument("config")
@click.option("--order", type=click.IntRange(1, MAX_ORDER), default=20, show_default=True, help="Number of moments.")
@click.option("--exact", is_flag=True, help="Fractions p/q; refused where the moments are not rational.")
@click.option(
    "--symbolic", type=click.Choice(["depth"]), help="Polynomials in the depth L (L_1, L_2, … for several runs)."
)
@click.option("--latex", is_flag=True, help="Print formulas in LaTeX; needs --symbolic.")
@click.option(
    "--dps",
    type=click.IntRange(1, MOST_DIGITS),
    default=DOUBLE_DIGITS,
    show_default=True,
    metavar="N",
    help="Digits where moments are not rational; more than 17 are strings in JSON.",
)
@set_option
@json_option
def moments(
    config: str,
    order: int,
    exact: bool,
    symbolic: str | None,
    latex: bool,
    dps: int,
    changes: dict[str, Any],
    json_path: str | None,
) -> None:
    """Moments m_k = (1/N) E tr (JJᵀ)^k of the network in CONFIG, by exact series."""
    if latex and symbolic is None:
        raise click.UsageError("`--latex` needs `--symbolic depth`: a list of numbers has no formula.")
    if symbolic is not None and order > MAX_SYMBOLIC:
        raise click.UsageError(f"`--order {order}`: at most {MAX_SYMBOLIC} with `--symbolic depth`.")
    outputs = Outputs(json_path)
    net = load(config, changes)

    from ..exact.report import moment_report

    report = moment_report(net, order, dps, exact=exact, symbolic=symbolic is not None)
    outputs.write(lambda: report.record)
    if not outputs.silent:
        from .tables import print_moments

        print_moments(report, latex=latex)
    if json_path is not None:
        say_notes(report.record["notes"])

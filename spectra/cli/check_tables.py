"""The tables of `spectra check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..reading import in_words
from .tables import console_with, interval, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..agreement import CrossCheck
    from ..agreement.matrix_free import MatrixFreeCheck
    from ..prediction import Prediction

WITH_BIAS = (
    "“with bias” counts also the bias expected of a finite width; at ∞ (in the logarithm) the verdict holds it against "
    "its limit."
)


def print_check(pred: Prediction, result: CrossCheck) -> None:
    """Print distances and moments at every width, the extrapolation, and the verdict."""
    console = console_with(f"{in_words(pred.network)}: prediction against samples")
    table = Table(header_style="bold")
    for heading in ("width", "networks", "KS distance", f"Wasserstein in {result.wasserstein_variable}"):
        table.add_column(heading, justify="right")
    for row in result.widths:
        table.add_row(
            str(row.width),
            str(row.samples),
            f"{row.ks:.4g} ± {row.ks_standard_error:.1g}",
            f"{row.wasserstein:.4g} ± {row.wasserstein_standard_error:.1g}",
        )
    limits = [number(limit, 4) for limit in (result.ks_limit, result.wasserstein_limit)]
    table.add_section()
    table.add_row("", "limit", *limits)
    console.print(table)
    console.print(Text("Moments m_k of JJᵀ; z counts standard errors", style="bold"))
    console.print(Text(WITH_BIAS), soft_wrap=True)
    console.print(moments_table(result, ("k", "sampled"), str))
    _print_shape(console, result)
    _print_finite(console, result)
    verdict = "agree within" if result.agree else "DISAGREE beyond"
    console.print(Text(f"Prediction and samples {verdict} their stated uncertainty."), soft_wrap=True)
    if result.agree:
        text = "Errors of the prediction from the size in the last column on would have been noticed, half of the time."
        console.print(Text(text), soft_wrap=True)


def moments_table(result: CrossCheck | MatrixFreeCheck, headings: tuple[str, str], name: Callable[[int], str]) -> Table:
    """Moments at every width, and extrapolated; `headings` of the first and the fourth column, `name` of moment k."""
    table = Table(header_style="bold")
    for heading in (headings[0], "width", "predicted", headings[1], "z", "with bias", "its limit", "noticed from"):
        table.add_column(heading, justify="right")
    predicted = {moment.k: moment.predicted for row in result.widths for moment in row.moments}
    for k in sorted(predicted):
        for row in result.widths:
            for moment in (moment for moment in row.moments if moment.k == k):
                sampled = with_error(moment.sampled, moment.standard_error)
                counts = number(moment.z, 3), number(moment.z_with_bias, 3)
                table.add_row(name(k), str(row.width), number(moment.predicted), sampled, *counts, "", "")
        for limit in (limit for limit in result.extrapolated if limit.k == k):
            sampled = with_error(limit.value, limit.standard_error)
            counts = number(limit.z, 3), number(limit.z_with_bias, 3)
            verdict = *counts, number(limit.limit, 3), share(limit.detectable)
            table.add_row(name(k), "∞", number(predicted[k]), sampled, *verdict)
        table.add_section()
    return table


def _print_shape(console: Console, result: CrossCheck) -> None:
    """Shape, λ_max and atoms at infinite width, and the slopes in 1/N."""
    clipped = number(result.shape[0].clipped_at, 2) if result.shape else "–"
    console.print(Text(f"At width ∞ (log s: s below {clipped} counted as {clipped})", style="bold"))
    table = Table(header_style="bold")
    for heading in ("statistic", "predicted", "sampled", "95 %", "z", "with bias", "its limit", "noticed from"):
        table.add_column(heading, justify="left" if heading == "statistic" else "right")
    for row in result.shape:
        noticed = f"± {number(row.detectable, 2)}" if row.name.startswith("mean") else share(row.detectable)
        table.add_row(row.name, *_tested(row), noticed)
    if result.edge is not None:
        table.add_row("λ_max", *_tested(result.edge), share(result.edge.detectable))
    for outlier in result.outliers:
        table.add_row("outlier, one eigenvalue", *_tested(outlier), share(outlier.detectable))
    for atom in result.atoms:
        table.add_row(f"mass at λ = {number(atom.location, 4)}", *_tested(atom), f"± {number(atom.detectable, 2)}")
    console.print(table)
    slopes = [(f"log m_{m.k}", m.slope, m.slope_interval) for m in result.extrapolated]
    slopes += [
        (f"log of {s.name}" if s.name.startswith("sd") else s.name, s.slope, s.slope_interval) for s in result.shape
    ]
    text = "; ".join(f"{name} {number(slope, 3)} {interval(pair)}" for name, slope, pair in slopes)
    if text:
        console.print(Text(f"Slopes in 1/N, with 95 % intervals: {text}"), soft_wrap=True)


def _tested(row: Any) -> tuple[str, ...]:
    """Cells that all statements at infinite width have."""
    sampled = with_error(row.value, row.standard_error)
    z = number(row.z, 3), number(row.z_with_bias, 3), number(row.limit, 3)
    return number(row.predicted), sampled, interval(row.interval), *z


def _print_finite(console: Console, result: CrossCheck) -> None:
    """What theory says of the widths sampled themselves."""
    if not result.finite and not result.scatter:
        return
    console.print(Text("At the widths sampled: no bias, no extrapolation", style="bold"))
    for row in result.finite:
        text = f"log of sampled over exact E m_{row.k}: {with_error(row.deviation, row.standard_error)}"
        widths = ", ".join(map(str, row.widths))
        noticed = f"noticed from {share(row.detectable)}"
        console.print(
            Text(f"{text}, z = {number(row.z, 3)} (limit {number(row.limit, 3)}, {noticed}); widths {widths}")
        )
    rows = [
        f"{number(r.sampled, 3)} ± {number(r.standard_error, 1)}"
        f" (theory {number(r.predicted, 3)}{'' if r.exact else ', leading order'}) at {r.width}"
        for r in result.scatter
    ]
    if rows:
        console.print(Text(f"sd of log m_1 between networks: {'; '.join(rows)}"), soft_wrap=True)


def share(relative: float | None) -> str:
    """Relative size in per cent; beyond a factor 10 nothing is noticed that deserves a number."""
    return "–" if relative is None or relative > 9.0 else f"± {100.0 * relative:.2g} %"


def with_error(value: float | None, error: float | None) -> str:
    """A number and its standard error."""
    return f"{number(value)} ± {number(error, 2)}"

"""`spectra check --matrix-free`: the prediction against estimates from products with J and Jᵀ alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ..reading import in_words
from .check_tables import WITH_BIAS, moments_table, with_error
from .outputs import Outputs, progress, say_notes, say_what_it_takes, told_where_to_go_on
from .tables import console_with, number

if TYPE_CHECKING:
    from ..agreement.matrix_free import DensityRecord, MatrixFreeCheck, TopRecord
    from ..network.config import Network
    from ..prediction import Prediction


def check_matrix_free(
    net: Network,
    widths: tuple[int | None, ...],
    samples: int,
    seed: int,
    probes: int,
    steps: int,
    outputs: Outputs,
    workers: dict[str, Any],
) -> int:
    """Estimate at every width, compare, write and print; return the exit status of `check`."""
    from ..agreement.matrix_free import compare
    from ..prediction import predict
    from ..sampling.matrix_free import sample
    from ..sampling.matrix_free.cost import expected, refuse_bases_beyond_memory
    from .check import DISAGREE, document_of

    for n in widths:
        refuse_bases_beyond_memory(net, n, probes, steps)
    pred = predict(net)
    effort = {"probes": probes, "steps": steps}
    say_what_it_takes([expected(net, n, samples, **effort) for n in widths])
    with progress("estimating") as start, told_where_to_go_on(workers["store"]):
        estimates = [
            sample(net, n, samples, seed, **effort, **workers, progress=start("" if n is None else f"width {n}"))
            for n in widths
        ]
    result = compare(pred, estimates)
    record = pred.to_dict()

    def figure() -> Any:
        from ..plot import estimate_figure

        return estimate_figure(pred, estimates, result)

    outputs.write(lambda: document_of(record, result), figure)
    if not outputs.silent:
        _print(pred, result)
    say_notes([*record["checks"]["notes"], *result.notes])
    return 0 if result.agree else DISAGREE


def _print(pred: Prediction, result: MatrixFreeCheck) -> None:
    console = console_with(f"{in_words(pred.network)}: prediction against matrix-free estimates")
    table = Table(header_style="bold")
    for heading in ("width", "networks", "probes", "steps", "products", "KS distance", "resolution", "beyond bounds"):
        table.add_column(heading, justify="right")
    for row in result.widths:
        counts = (str(x) for x in (row.width, row.samples, row.probes, row.steps, row.products))
        distance = f"{row.ks:.4g} ± {row.ks_standard_error:.1g}"
        table.add_row(*counts, distance, number(row.ks_resolution, 2), number(row.ks_beyond_bounds, 2))
    table.add_section()
    table.add_row(*[""] * 4, "limit", "", "", number(result.ks_limit, 4))
    console.print(table)
    console.print(Text("Moments m_k and λ_max of JJᵀ; z counts standard errors", style="bold"))
    console.print(Text(WITH_BIAS), soft_wrap=True)
    table = moments_table(result, ("", "estimated"), lambda k: f"m_{k}")
    for row in result.widths:
        _add_top(table, str(row.width), row.lambda_max)
    _add_top(table, "∞", result.lambda_max)
    console.print(table)
    widest = result.widths[0]
    if widest.density:
        console.print(Text(f"Density of log λ at width {widest.width}, over all eigenvalues", style="bold"))
        console.print(_density_table(widest.density))
    verdict = "agree within" if result.agree else "DISAGREE beyond"
    console.print(Text(f"Prediction and estimates {verdict} their stated uncertainty."), soft_wrap=True)


def _density_table(rows: tuple[DensityRecord, ...]) -> Table:
    table = Table(header_style="bold")
    for heading in ("log λ from", "to", "predicted", "estimated", "resolution"):
        table.add_column(heading, justify="right")
    for row in rows:
        estimated = with_error(row.estimated, row.standard_error)
        ends = (f"{end:.3f}" for end in (row.log_low, row.log_high))
        table.add_row(*ends, number(row.predicted, 4), estimated, number(row.resolution, 2))
    return table


def _add_top(table: Table, width: str, top: TopRecord | None) -> None:
    if top is None:
        return
    sampled = with_error(top.sampled, top.standard_error)
    counts = number(top.z, 3), number(top.z_with_bias, 3), "" if top.limit is None else number(top.limit, 3)
    table.add_row("λ_max", width, number(top.predicted), sampled, *counts, "")

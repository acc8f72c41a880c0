"""The tables of `spectra bench`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from .tables import console_with, number


def print_bench(
    runs: Sequence[dict[str, Any]], depths: Sequence[dict[str, Any]], blas: Sequence[dict[str, Any]], points: int
) -> None:
    """Print times side by side, what break-even sampling is worth, and how both grow."""
    console = console_with(f"One prediction ({points} density points) against one sampled network")
    table = Table(header_style="bold")
    for heading in ("network", "predict", "width", "sample one", "ratio", "break-even", "KS there", "m_1", "m_2"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for run in runs:
        once = run["sample_seconds"] / run["samples"]
        even = run["break_even"] or {}
        errors = [_percent(even.get(key)) for key in ("m_1", "m_2")]
        table.add_row(
            Text(run["label"]),
            _milliseconds(run["predict_seconds"]),
            str(run["width"]),
            _milliseconds(once),
            number(run["ratio"], 3),
            _width(run),
            number(even.get("ks"), 2),
            *errors,
        )
    console.print(table)
    text = (
        "Break-even: the width at which sampling one network costs as much as the prediction; beside it how far such a "
        "network is from the law in the limit (KS distance; root mean square error of m_1 and m_2)."
    )
    console.print(Text(text), soft_wrap=True)
    table = Table(header_style="bold")
    for heading in ("network", "residual", "mass defect", "moment defect", "certified"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for run in runs:
        checks = run["checks"]
        values = (number(checks[key], 2) for key in ("residual", "mass_defect", "moment_defect"))
        table.add_row(Text(run["label"]), *values, "yes" if checks["certified"] else "NO")
    console.print(Text("The prediction's own checks", style="bold"))
    console.print(table)
    widths = [row["width"] for row in runs[0]["sampling"]]
    table = Table(header_style="bold")
    table.add_column("milliseconds a network at width")
    for width in widths:
        table.add_column(str(width), justify="right")
    for run in runs:
        table.add_row(Text(run["label"]), *(number(1e3 * row["seconds"], 3) for row in run["sampling"]))
    console.print(table)
    table = Table(header_style="bold")
    for heading in ("tanh layers", "weights", "predict", f"sample one, width {depths[0]['width']}", "ratio"):
        table.add_column(heading, justify="right")
    for row in depths:
        times = _milliseconds(row["predict_seconds"]), _milliseconds(row["sample_seconds"]), number(row["ratio"], 3)
        table.add_row(str(row["depth"]), row["weights"], *times)
    console.print(table)
    threads = ", ".join(f"{entry['library']} {entry['version']}: {entry['threads']} threads" for entry in blas)
    console.print(Text(f"linear algebra: {threads or 'unknown'}"), soft_wrap=True)


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"± {100 * share:.2g} %"


def _width(run: dict[str, Any]) -> str:
    """The break-even width, or on which side of the widths timed it is."""
    if run["break_even_width"] is not None:
        return f"{run['break_even_width']:.0f}"
    first, last = run["sampling"][0], run["sampling"][-1]
    return f"< {first['width']}" if run["predict_seconds"] < first["seconds"] else f"> {last['width']}"

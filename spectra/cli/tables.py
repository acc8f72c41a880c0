"""Results as tables for people; nothing here computes more than a ratio."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..network.architectures import are_products
from ..reading import in_words, reading
from ..spectrum import OUTSIDE

if TYPE_CHECKING:
    from ..exact.report import MomentReport
    from ..law_report import LawReport
    from ..prediction import Prediction

# Without a terminal there is no width to fit; rows must not be broken for a reader that is a program.
FILE_WIDTH = 140
# Longer fractions are shown as decimals.
SHORT_FRACTION = 24


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `spectra.cli.app`: rich would exit with 1, which is the verdict of `check`."""
        raise


def _console() -> Console:
    return _Console(highlight=False, width=None if sys.stdout.isatty() else FILE_WIDTH)


def console_with(title: str) -> Console:
    """Console with a title on it; rich would break a table's own title at the table's width."""
    console = _console()
    console.print(Text(title, style="bold"), soft_wrap=True)
    return console


def number(value: float | None, digits: int = 6) -> str:
    """Six digits, or a dash where there is no number."""
    return "–" if value is None else f"{value:.{digits}g}"


def interval(pair: Sequence[float | None], *, missing: str = "–]") -> str:
    """Two numbers as an interval; `missing`: how it ends without an upper one."""
    if pair[1] is None:
        return f"[{number(pair[0])}, {missing}"
    return f"[{number(pair[0])}, {number(pair[1])}]"


def condition(log_ratio: float) -> str:
    """Ratio s_max/s_min, given its logarithm, which a double holds where the ratio leaves its range."""
    if not math.isfinite(log_ratio):
        return "∞"
    return number(math.exp(log_ratio)) if log_ratio < 700.0 else f"10^{log_ratio / math.log(10.0):.0f}"


def print_enclosures(enclosures: dict[str, tuple[str, str]]) -> None:
    """Proven enclosures, a row each."""
    table = Table(title="proven in ball arithmetic", title_justify="left")
    for heading in ("", "midpoint", "radius"):
        table.add_column(heading, overflow="fold")
    for name, (middle, radius) in enclosures.items():
        table.add_row(name, middle, radius)
    _console().print(table)


def print_strings(record: dict[str, Any]) -> None:
    """What a record of a prediction holds as strings, because doubles have not so many digits; nothing without."""
    rows = [
        ("q*", record["mean_field"]["q_star"]),
        ("χ_1", record["mean_field"]["chi_1"]),
        ("σ_w", record["network"].get("sigma_w")),
        ("σ_b", record["network"].get("sigma_b")),
        *((f"m_{k}", m) for k, m in enumerate(record["jacobian"]["moments"], 1)),
        ("λ_max", record["jacobian"]["support"][1]),
        *((f"ρ({x:g})", y) for x, y in zip(record["density"]["lambda"], record["density"]["pdf"], strict=True)),
    ]
    kept = [(name, text) for name, text in rows if isinstance(text, str)]
    if kept:
        table = Table("", "to all digits asked for")
        for row in kept:
            table.add_row(*row)
        _console().print(table)


def print_moments(report: MomentReport, *, latex: bool) -> None:
    """The moments, or their formulas in the depth."""
    console = _console()
    if report.polynomials is not None:
        from sympy import latex as to_latex

        for k, formula in enumerate(report.polynomials.moments, 1):
            text = f"m_{{{k}}} = {to_latex(formula)}" if latex else f"m_{k} = {formula}"
            console.print(Text(text), soft_wrap=True)
        return
    table = Table()
    table.add_column("k", justify="right")
    table.add_column("exact m_k" if report.values.exact else "m_k", overflow="fold")
    for k, text in enumerate(report.shown, 1):
        table.add_row(str(k), text)
    console.print(table)


def print_prediction(pred: Prediction, record: dict[str, Any]) -> None:
    """Print the table of one prediction, and its plain reading."""
    field, jacobian, singular, checks = (
        record[part] for part in ("mean_field", "jacobian", "singular_values", "checks")
    )
    console = console_with(in_words(pred.network))
    table = Table(header_style="bold")
    table.add_column("quantity")
    table.add_column("value")
    table.add_row("pre-activation variance q*", number(field["q_star"]))
    if field["q"][0] != field["q"][-1]:
        table.add_row("q in the first and last layer", f"{number(field['q'][0])}, {number(field['q'][-1])}")
    if "second_moments" in field:
        first, last = field["second_moments"]
        grown = number(last / first if last is not None and first else None)
        table.add_row("E x² of input and output", f"{number(first)}, {number(last)} (× {grown})")
    formula = " = σ_w² E φ'²" if are_products(pred.network.layers) else ""
    table.add_row(f"χ_1{formula}", number(field["chi_1"]))
    table.add_row("phase", field["phase"])
    table.add_row("mean of JJᵀ, m_1", number(jacobian["moments"][0]))
    table.add_row("variance of JJᵀ, m_2 − m_1²", number(jacobian["variance"]), end_section=True)
    table.add_row("support of JJᵀ, [λ_min, λ_max]", interval(jacobian["support"]))
    table.add_row("  all but 1e-12 of its mass", interval(jacobian["effective_support"]))
    if jacobian.get("outliers"):
        table.add_row("outliers above it, one eigenvalue each", ", ".join(map(number, jacobian["outliers"])))
    low, high = pred.spectrum.log_support
    table.add_row("condition number s_max/s_min", condition((low - high) / 2))
    low, high = (float(u) for u in pred.spectrum.quantile_at(np.array([OUTSIDE, 1.0 - OUTSIDE])))
    table.add_row("  of all but 1e-12 of the mass", condition((low - high) / 2))
    if jacobian["bulks"] != [jacobian["support"]]:
        table.add_row("bulks", " ".join(interval(bulk) for bulk in jacobian["bulks"]) or "none: atoms only")
    atoms = ", ".join(f"mass {number(mass)} at λ = {number(place)}" for place, mass in jacobian["atoms"])
    table.add_row("atoms of JJᵀ", atoms or "none", end_section=True)
    table.add_row("singular values: mean", number(singular["mean"]))
    if "bounds" in singular:
        table.add_row("  bounds Π (|β| ∓ ‖branch‖)", interval(singular["bounds"]))
    for level, value in singular["quantiles"].items():
        table.add_row(f"  {float(level):.0%} of them are below", number(value))
    table.rows[-1].end_section = True
    table.add_row("checks", _verdict(checks))
    console.print(table)
    console.print(Text(reading(pred)), soft_wrap=True)


def _verdict(checks: dict[str, Any]) -> str:
    defects = [abs(d) for d in checks["moment_defects"] if d is not None]
    return (
        f"{'certified' if checks['certified'] else 'NOT certified'}; residual {number(checks['residual'], 2)}, "
        f"mass defect {number(checks['mass_defect'], 2)}, moment defects ≤ {number(max(defects, default=None), 2)}"
    )


def print_law(report: LawReport) -> None:
    """The table of one law on the line."""
    record = report.record
    console = console_with(report.text)
    table = Table(header_style="bold")
    table.add_column("quantity")
    table.add_column("value", overflow="fold")
    table.add_row("mean", number(record["mean"]))
    table.add_row("variance", number(record["variance"]))
    table.add_row("bulks", " ∪ ".join(interval(bulk, missing="∞)") for bulk in record["support"]) or "none: atoms only")
    atoms = ", ".join(f"mass {number(mass)} at {number(place)}" for place, mass in record["atoms"])
    table.add_row("atoms", atoms or "none", end_section=True)
    for level in (0.01, 0.5, 0.99):
        table.add_row(f"{level:.0%} of it are below", number(float(report.spectrum.icdf(level))))
    table.rows[-1].end_section = True
    for name, key in (("m", "moments"), ("κ", "free_cumulants")):
        texts = record.get(f"{key}_exact") or [number(x, 12) for x in record[key]]
        for k, text in enumerate(texts, 1):
            table.add_row(f"{name}_{k}", text if len(text) <= SHORT_FRACTION else number(record[key][k - 1], 12))
        table.rows[-1].end_section = True
    checks = record["checks"]
    defects = max((abs(x) for x in checks["moment_defects"]), default=0.0)
    table.add_row(
        "checks",
        f"every point certified; residual {number(checks['residual'], 2)}, mass defect "
        f"{number(checks['mass_defect'], 2)}, moment defects ≤ {number(defects, 2)}",
    )
    console.print(table)


def print_comparison(runs: Sequence[tuple[str, Prediction]], records: Sequence[dict[str, Any]]) -> None:
    """Print one row per network, and one plain reading each."""
    console = console_with("Spectra of JJᵀ, singular values s of J")
    table = Table(header_style="bold")
    for heading in ("network", "χ_1", "phase", "m_1", "variance", "atom at 0", "s: 1 %", "median", "99 %", "max", "ok"):
        table.add_column(heading, justify="left" if heading in ("network", "phase") else "right")
    for (label, _), record in zip(runs, records, strict=True):
        jacobian, singular = record["jacobian"], record["singular_values"]
        quantiles = singular["quantiles"]
        values = (
            jacobian["moments"][0],
            jacobian["variance"],
            jacobian["atom_at_zero"],
            quantiles["0.01"],
            singular["median"],
            quantiles["0.99"],
            singular["max"],
        )
        field = record["mean_field"]
        cells = [number(value, 4) for value in values]
        certified = "yes" if record["checks"]["certified"] else "NO"
        table.add_row(Text(label), number(field["chi_1"]), field["phase"], *cells, certified)
    console.print(table)
    for label, pred in runs:
        console.print(Text(f"{label}: {reading(pred)}"), soft_wrap=True)

"""Advice as tables and sentences for people."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ..advice.reasons import relative_words
from ..reading import in_words, reading
from .tables import console_with, number

if TYPE_CHECKING:
    from ..advice.audit import Audit
    from ..advice.tune import Tuned
    from ..network.meanfield import LayerState

# Layers whose gradients are shown, at most.
SHOWN = 9
# Logarithms below are those of 1.
ROUNDING = 1e-13
_LN10 = math.log(10.0)


def print_tuned(tuned: Tuned) -> None:
    """The tuned network, what it achieves, why, what would do better, and the text to paste."""
    pred, found, field = tuned.prediction, tuned.found, tuned.mean_field
    console = console_with("tuned" if tuned.reachable else "out of reach")
    if field is not None and found.network is not None:
        table = Table(header_style="bold")
        table.add_column("quantity")
        table.add_column("value")
        for (name, *scales), same in groupby(field.runs, key=_scales):
            words = ", ".join(number(scale, 15) for scale in scales)
            table.add_row(f"σ_w, σ_b of {sum(run.repeat for run in same)} {name}", words)
        if tuned.alpha is not None:
            table.add_row("α of the residual blocks", number(tuned.alpha, 15))
        else:
            table.add_row("pre-activation variance q*", number(found.q_star, 15))
        table.add_row("mean square of the inputs", number(field.input_variance), end_section=True)
        words = tuned.target.words if tuned.alpha is None else relative_words(tuned.target)
        table.add_row(words, f"{number(found.value)} (asked for: at most {number(tuned.target.value)})")
        if field.chi_1 is not None:
            table.add_row("χ_1", number(field.chi_1))
        else:
            # Layers that differ: each has its own.
            low, high = (number(float(end)) for end in (field.chi.min(), field.chi.max()))
            table.add_row("χ of every layer", low if low == high else f"{low} to {high}")
        if pred is not None:
            table.add_row("checks", "certified" if pred.checks.certified else "NOT certified")
        console.print(Text(in_words(found.network)), soft_wrap=True)
        console.print(table)
        if pred is not None:
            console.print(Text(reading(pred)), soft_wrap=True)
    console.print(Text(tuned.reason), soft_wrap=True)
    if tuned.alternatives:
        console.print(Text("What would do better:" if tuned.reachable else "What would do:"), soft_wrap=True)
        for one in tuned.alternatives:
            console.print(Text(f"  {one.words}"), soft_wrap=True)
    if tuned.snippet is not None and tuned.reachable:
        console.print(Text("\nTo paste (PyTorch):\n", style="bold"), soft_wrap=True)
        console.print(Text(tuned.snippet), soft_wrap=True)


def _scales(run: LayerState) -> tuple[str, float, float]:
    return run.spec.activation.name, float(run.spec.sigma_w), float(run.spec.sigma_b or 0.0)


def print_audit(found: Audit, record: dict[str, Any]) -> None:
    """Verdict, numbers, gradients layer by layer, advice."""
    console = console_with(in_words(found.network))
    console.print(Text(found.reason), soft_wrap=True)
    numbers = record["numbers"]
    table = Table(header_style="bold")
    table.add_column("quantity")
    table.add_column("value")
    rows = (
        ("χ_1, factor of the mean square gradient per layer", "chi_1"),
        ("pre-activation variance q*", "q_star"),
        ("log10 of the mean square gradient at the input", "log10_mean_square_gradient"),
        ("variance of JJᵀ", "variance"),
        ("  over m_1²", "relative_variance"),
        ("largest singular value", "s_max"),
        ("log10 of the bound Π ‖D‖ ‖W‖ on it", "log10_norm_bound"),
        ("condition number of all but 1e-12 of the mass", "condition"),
        ("depth scale ξ_c of correlations", "xi_c"),
        ("first layer beyond float32", "float32_overflow_layer"),
    )
    for words, key in rows:
        if numbers[key] is not None:
            table.add_row(words, number(numbers[key]))
    for words, key in (("mean square of the inputs", "mean_square"), ("q_1", "q_1"), ("c_1", "c_1")):
        if "inputs" in record:
            table.add_row(words, number(record["inputs"][key]))
    if table.rows:
        console.print(table)
    if found.flow is not None:
        _print_flow(found, console)
    for line in found.advice:
        console.print(Text(f"  better: {line}"), soft_wrap=True)


def _print_flow(found: Audit, console: Any) -> None:
    """Root mean squares of a few layers: log10, so that nothing is lost."""
    flow = found.flow
    assert flow is not None
    depth = len(flow.log_h)
    shown = (
        sorted({1 + round(i * (depth - 1) / (SHOWN - 1)) for i in range(SHOWN)})
        if depth > SHOWN
        else range(1, depth + 1)
    )
    table = Table(title="log10 of root mean squares", title_justify="left", header_style="bold")
    several = flow.layer.size > depth
    weights = "gradients of its W, first to last" if several else "gradient of W"
    for heading in ("layer", "signal h", "gradient of h", weights, "length of the gradient of x below"):
        table.add_column(heading, justify="right")
    for layer in shown:
        cells = [_root(flow.log_h[layer - 1]), _root(flow.log_grad_h[layer - 1])]
        cells.append(", ".join(_root(value) for value in flow.log_grad_w[flow.layer == layer]))
        table.add_row(str(layer), *cells, _root(2.0 * flow.log_grad_norm[layer - 1]))
    console.print(table)


def _root(log_square: float) -> str:
    """Log10 of a root mean square; rounding beside 0 is 0."""
    value = 0.5 * float(log_square) / _LN10
    return number(0.0 if abs(value) < ROUNDING else value, 4)

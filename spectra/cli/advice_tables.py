"""Advice as tables and sentences for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ..reading import in_words, reading
from .tables import console_with, number

if TYPE_CHECKING:
    from ..advice.tune import Tuned


def print_tuned(tuned: Tuned) -> None:
    """The tuned network, what it achieves, why, what would do better, and the text to paste."""
    pred, found = tuned.prediction, tuned.found
    console = console_with("tuned" if tuned.reachable else "out of reach")
    if pred is not None:
        table = Table(header_style="bold")
        table.add_column("quantity")
        table.add_column("value")
        for run in pred.mean_field.runs:
            table.add_row(
                f"σ_w, σ_b of {run.repeat} {run.spec.activation.name}",
                f"{number(float(run.spec.sigma_w), 15)}, {number(run.spec.sigma_b, 15)}",
            )
        table.add_row("pre-activation variance q*", number(found.q_star, 15))
        table.add_row("mean square of the inputs", number(pred.mean_field.input_variance), end_section=True)
        table.add_row(tuned.target.words, f"{number(found.value)} (asked for: at most {number(tuned.target.value)})")
        table.add_row("χ_1", number(pred.mean_field.chi_1))
        table.add_row("checks", "certified" if pred.checks.certified else "NOT certified")
        console.print(Text(in_words(pred.network)), soft_wrap=True)
        console.print(table)
        console.print(Text(reading(pred)), soft_wrap=True)
    console.print(Text(tuned.reason), soft_wrap=True)
    if tuned.alternatives:
        console.print(Text("What would do better:" if tuned.reachable else "What would do:"), soft_wrap=True)
        for one in tuned.alternatives:
            console.print(Text(f"  {one.words}"), soft_wrap=True)
    if tuned.snippet is not None and tuned.reachable:
        console.print(Text("\nTo paste (PyTorch):\n", style="bold"), soft_wrap=True)
        console.print(Text(tuned.snippet), soft_wrap=True)

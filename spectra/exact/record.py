"""What is known to many digits, as strings for the JSON of `spectra predict`: digits, or enclosures with proof."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flint import arb

from ..errors import ConvergenceError
from .power_series import working_precision
from .precise import BITS_PER_DIGIT, SPARE, PreciseNetwork

if TYPE_CHECKING:
    from .ball_field import BallField


def digits(ball: arb, count: int) -> str:
    """The ball's midpoint to `count` digits."""
    with working_precision(SPARE + math.ceil(BITS_PER_DIGIT * count)):
        return ball.str(count, radius=False)


def enclosure(ball: arb, count: int) -> tuple[str, str]:
    """Midpoint and radius of a ball that holds this one, `count` digits at most."""
    with working_precision(SPARE + math.ceil(BITS_PER_DIGIT * count)):
        text = ball.str(count)
    if not text.startswith("["):
        return text, "0"
    middle, _, radius = text.strip("[]").partition("+/-")
    return middle.strip() or "0", radius.strip()


def with_digits(record: dict[str, Any], precise: PreciseNetwork, at: Sequence[float] | None) -> list[str]:
    """Put strings of all digits into a record of `prediction_to_dict`, in place; notes on what stays in doubles."""
    count, notes = precise.digits, ["what is a number and no string is known in doubles only"]
    field = precise.mean_field()
    _into_mean_field(record, field, count)
    moments = precise.moments(max(len(record["jacobian"]["moments"]), 2))
    record["jacobian"]["moments"] = [digits(m, count) for m in moments[: len(record["jacobian"]["moments"])]]
    with working_precision(SPARE + 2 * math.ceil(BITS_PER_DIGIT * count)):
        variance = moments[1] - moments[0] * moments[0]
    if variance.rel_accuracy_bits() > BITS_PER_DIGIT * count:
        record["jacobian"]["variance"] = digits(variance, count)
    largest = _or_note(precise.largest, notes)
    if largest is not None:
        record["jacobian"]["support"][1] = digits(largest, count)
        with working_precision(SPARE + math.ceil(BITS_PER_DIGIT * count)):
            record["singular_values"]["max"] = digits(largest.sqrt(), count)
    for k, location in enumerate(at or ()):
        # 0 off the bulks is exact.
        if record["density"]["pdf"][k]:
            density = _or_note(lambda location=location: precise.density(location), notes)
            if density is not None:
                record["density"]["pdf"][k] = digits(density, count)
    return notes


def _into_mean_field(record: dict[str, Any], field: BallField, count: int) -> None:
    table = record["mean_field"]
    table["q"] = [digits(run.law.q, count) for run in field.runs for _ in range(run.repeat)]
    table["chi"] = [digits(run.chi, count) for run in field.runs for _ in range(run.repeat)]
    if field.q_star is not None:
        table["q_star"] = digits(field.q_star, count)
        table["chi_1"] = digits(field.runs[-1].chi, count)
    network = record["network"]
    for keys, run in zip(network.get("layers", [network]), field.runs, strict=False):
        with working_precision(SPARE + math.ceil(BITS_PER_DIGIT * count)):
            keys["sigma_w"] = digits(run.sigma_w2.sqrt(), count)
            keys["sigma_b"] = digits(run.sigma_b2.sqrt(), count)


def certified(
    precise: PreciseNetwork, order: int, at: Sequence[float] | None
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Proven enclosures by name, and notes on what could not be proved."""
    count, notes = precise.digits + 2, []
    if not precise.proven:
        return {}, ["nothing is certified: sup |φ'| of an expression is not proven, and with it no tail is bounded"]
    found: dict[str, tuple[str, str]] = {}
    field = precise.mean_field()
    first = field.runs[0]
    if field.q_star is not None:
        found["q_star"] = enclosure(field.q_star, count)
    found["chi_1"] = enclosure(first.chi, count)
    with working_precision(SPARE + math.ceil(BITS_PER_DIGIT * count)):
        found["sigma_w"] = enclosure(first.sigma_w2.sqrt(), count)
        found |= {f"mu_{k}": enclosure(first.law.moment(k), count) for k in (1, 2)}
    found |= {f"m_{k}": enclosure(m, count) for k, m in enumerate(precise.moments(order), 1)}
    largest = _or_note(precise.largest, notes)
    if largest is not None:
        found["lambda_max"] = enclosure(largest, count)
    for location in at or ():
        density = _or_note(lambda location=location: precise.density(location), notes)
        if density is not None:
            found[f"density({location!r})"] = enclosure(density, count)
    return found, notes


def _or_note(compute: Callable[[], arb], notes: list[str]) -> arb | None:
    try:
        return compute()
    except ConvergenceError as error:
        notes.append(f"not to all digits: {error}")
        return None

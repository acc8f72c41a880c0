"""What is known to many digits, as strings for the JSON of `spectra predict`: digits, or enclosures with proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flint import arb

from ..errors import ConvergenceError
from .narrowing import bits_for, is_narrow
from .power_series import working_precision
from .precise import PreciseNetwork

if TYPE_CHECKING:
    from .ball_field import BallField


NOTHING = (
    "nothing is certified: of an expression here no bound of |φ'| is proven, and with it none of a tail, or not where "
    "its kinks are"
)
# χ of two engines that are the same number.
SAME = 1e-9


def digits(ball: arb, count: int) -> str:
    """The ball's midpoint to `count` digits."""
    with working_precision(bits_for(count)):
        return ball.str(count, radius=False)


def enclosure(ball: arb, count: int) -> tuple[str, str]:
    """Midpoint and radius of a ball that holds this one, `count` digits at most."""
    with working_precision(bits_for(count)):
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
    with working_precision(bits_for(2 * count)):
        variance = moments[1] - moments[0] * moments[0]
    if is_narrow(variance, count):
        record["jacobian"]["variance"] = digits(variance, count)
    largest = _or_note(precise.largest, notes)
    if largest is not None:
        record["jacobian"]["support"][1] = digits(largest, count)
        with working_precision(bits_for(count)):
            record["singular_values"]["max"] = digits(largest.sqrt(), count)
    _into_bulks(record, precise, largest, notes)
    for k, location in enumerate(at or ()):
        # 0 off the bulks is exact.
        if record["density"]["pdf"][k]:
            density = _or_note(lambda location=location: precise.density(location), notes)
            if density is not None:
                record["density"]["pdf"][k] = digits(density, count)
    return notes


def _into_bulks(record: dict[str, Any], precise: PreciseNetwork, largest: arb | None, notes: list[str]) -> None:
    """Ends of bulks to all digits: those the engine has found, sharpened; λ_max is the one that is proven."""
    count, jacobian = precise.digits, record["jacobian"]
    try:
        known = precise.edges()
    except ConvergenceError as error:
        notes.append(f"edges not to all digits: {error}")
        return
    if largest is not None:
        known.append((float(largest.mid()), largest))
    for bulk in jacobian["bulks"]:
        for side, end in enumerate(bulk):
            ball = next((ball for place, ball in known if ball is not None and _same(end, place)), None)
            if ball is not None:
                bulk[side] = digits(ball, count)
                _at_lower_end(record, end, ball, count)
    if any(ball is None for _, ball in known):
        notes.append("not to all digits: some ends of bulks")


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * abs(b)


def _at_lower_end(record: dict[str, Any], end: float, ball: arb, count: int) -> None:
    low = record["jacobian"]["support"][0]
    if isinstance(low, float) and low > 0.0 and _same(end, low):
        record["jacobian"]["support"][0] = digits(ball, count)
        with working_precision(bits_for(count)):
            record["singular_values"]["min"] = digits(ball.sqrt(), count)


def _into_mean_field(record: dict[str, Any], field: BallField, count: int) -> None:
    table = record["mean_field"]
    bits = bits_for(count)
    with working_precision(bits):
        table["q"] = [digits(q, count) for run in field.runs for q in run.variances]
    table["chi"] = [digits(run.chi, count) for run in field.runs for _ in range(run.repeat)]
    if field.q_star is not None:
        table["q_star"] = digits(field.q_star, count)
    if field.chi_1 is not None:
        table["chi_1"] = digits(field.chi_1, count)
    layers = record["network"].get("layers", [record["network"]])
    if len(layers) == len(field.numbers):
        with working_precision(bits):
            for keys, (weights, biases) in zip(layers, field.numbers, strict=True):
                keys["sigma_w"], keys["sigma_b"] = digits(weights.sqrt(), count), digits(biases.sqrt(), count)


def certified(
    precise: PreciseNetwork, order: int, at: Sequence[float] | None
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Proven enclosures by name, and notes on what could not be proved.

    q_star and chi_1 belong to the network, chi_layer_1, sigma_w, mu_1 and mu_2 (E φ'², E φ'⁴) to its first layer.
    """
    count, notes = precise.digits + 2, []
    if not precise.proven:
        return {}, [NOTHING]
    found: dict[str, tuple[str, str]] = {}
    field = precise.mean_field()
    first = field.runs[0]
    if field.q_star is not None:
        found["q_star"] = enclosure(field.q_star, count)
    if field.chi_1 is not None:
        found["chi_1"] = enclosure(field.chi_1, count)
    found["chi_layer_1"] = enclosure(first.chi, count)
    with working_precision(bits_for(count)):
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

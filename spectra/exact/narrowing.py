"""Balls made narrow enough: the same computation with more and more bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ConvergenceError
from .budget import OverBudget
from .power_series import working_precision

BITS_PER_DIGIT = math.log2(10.0)
# Bits beyond those of the digits asked for, to begin with, and how often they are raised by half.
SPARE, TRIES = 40, 10


def bits_for(digits: int, more: int = 0) -> int:
    """Bits to compute so many digits with; `more` where terms cancel."""
    return SPARE + more + math.ceil(BITS_PER_DIGIT * digits)


def is_narrow(ball: Any, digits: int) -> bool:
    """Whether a ball is exactly 0, or known to so many digits."""
    return bool(ball.is_zero() or ball.rel_accuracy_bits() > BITS_PER_DIGIT * digits)


def narrowed(compute: Callable[[], Any], judged: Callable[[Any], Iterable[Any]], digits: int, more: int = 0) -> Any:
    """What `compute` gives at a precision at which the balls that `judged` finds in it are narrow enough.

    Raises
    ------
    ConvergenceError : as `compute`, at two precisions in a row; or `TRIES` were not enough.
    """
    bits = bits_for(digits, more)
    failure: ConvergenceError | None = None
    for _ in range(TRIES):
        with working_precision(bits):
            try:
                found = compute()
                if all(is_narrow(x, digits) for x in judged(found)):
                    return found
                failure = None
            except OverBudget:
                raise
            except ConvergenceError as error:
                # More bits may do; that there is nothing to be found shows at once.
                if failure is not None and str(failure) == str(error):
                    raise
                failure = error
        bits = bits * 3 // 2
    raise failure or ConvergenceError(f"{digits} digits were not reached with {bits * 2 // 3} bits")

"""A cap on the evaluations of integrands in one computation, so that what is too hard is given up in minutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..errors import ConvergenceError

# Some 20 microseconds each: a minute or two.
LIMIT = 4_000_000


class OverBudget(ConvergenceError):
    """The cap was reached: more bits would not help."""


_spent: ContextVar[list[int] | None] = ContextVar("spent", default=None)


@contextmanager
def budget(limit: int = LIMIT) -> Iterator[None]:
    """All evaluations inside count towards one limit."""
    token = _spent.set([limit])
    try:
        yield
    finally:
        _spent.reset(token)


def spend() -> None:
    """Count an evaluation, where there is a limit.

    Raises
    ------
    OverBudget : beyond it.
    """
    left = _spent.get()
    if left is not None:
        left[0] -= 1
        if left[0] < 0:
            raise OverBudget(f"{LIMIT:,} evaluations of integrands were not enough")

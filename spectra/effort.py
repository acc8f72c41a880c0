"""A cap on the work of one computation, counted in terms of sums: the same on every machine, unlike a clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import ConvergenceError
from .native import NATIVE

# Terms 1/(1 − vt) of one law's sum; some ten nanoseconds each with numpy, one or less in compiled code, so that the
# whole takes some ten seconds, and up to a minute where single points are what is asked for.
LIMIT = 8e8 if NATIVE is None else 1e10
# What one evaluation costs for every law besides its terms, in terms.
FIXED = 4_000
# What the nodes of one law of D² cost, in terms.
ONE_LAW = 300_000


class OutOfWork(ConvergenceError):
    """The cap was reached: no other way is worth a try."""


class Effort:
    """Work done so far."""

    def __init__(self, limit: float) -> None:
        self.spent, self.limit = 0.0, limit

    def spend(self, terms: float, laws: int) -> None:
        """Count an evaluation.

        Raises
        ------
        OutOfWork : beyond the limit.
        """
        self.spent += FIXED * (1 + laws) + terms
        if self.spent > self.limit:
            raise OutOfWork(
                f"the law was not found with {self.limit:.1e} terms of its equation: too many layers of different "
                "variance, or a law too hard to resolve"
            )


_current: ContextVar[Effort | None] = ContextVar("effort", default=None)


@contextmanager
def limited(limit: float = LIMIT) -> Iterator[Effort]:
    """Everything evaluated inside counts towards `limit`."""
    effort = Effort(limit)
    token = _current.set(effort)
    try:
        yield effort
    finally:
        _current.reset(token)


def spend(terms: float, laws: int = 0) -> None:
    """Count an evaluation, where there is a limit."""
    effort = _current.get()
    if effort is not None:
        effort.spend(terms, laws)

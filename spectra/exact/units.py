"""What an element of a ring must be for an operation on series: a unit, or the constant that it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

# Numbers with rounding may be as far off.
ROUNDING = 1e-9


def inverse_of(x: Any, what: str = "a number that is divided by") -> Any:
    """1/x.

    Raises
    ------
    ValueError : x is no unit of its ring; `what` it is.
    """
    from flint.utils.flint_exceptions import DomainError

    try:
        # (A ball that holds 0 is left to more bits.)
        if not x == 0:  # noqa: SIM201
            return Fraction(1, x) if isinstance(x, int) else 1 / x
    except DomainError:
        # Of a polynomial.
        pass
    raise ValueError(f"{what} must have an inverse, and {x} has none.")


def expect(first: Sequence[Any], constant: int, operation: str) -> None:
    """Refuse a series whose constant, if it has one, is another number.

    Raises
    ------
    ValueError : it is.
    """
    x: Any = first[0] if first else constant
    inexact = isinstance(x, (float, complex)) or hasattr(x, "_mpf_") or hasattr(x, "_mpc_")
    holds = getattr(x, "contains", None)
    near = abs(x - constant) < ROUNDING if inexact else holds is not None and holds(constant)
    if not (x == constant or near):
        raise ValueError(f"`{operation}`: the series must begin with {constant}, not with {x}.")


def over(x: Any, k: int) -> Any:
    """x/k, exactly."""
    return x / k if not isinstance(x, int) else Fraction(x, k)


def distinct(names: Sequence[str]) -> list[str]:
    """Names of symbols, if each is a name and stands once.

    Raises
    ------
    ValueError : it does not.
    """
    for name in names:
        if not name.isidentifier() or list(names).count(name) > 1:
            raise ValueError(f"symbols {list(names)}: {name!r} stands twice, or is no name; each must be another name.")
    return list(names)

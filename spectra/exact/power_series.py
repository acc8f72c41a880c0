"""Truncated power series over any ring that contains the rationals, with one interface for all.

`PlainSeries` has lists of coefficients of any kind (polynomials in symbols, mpmath numbers, fractions); `FlintSeries`
leaves rationals and balls to FLINT, whose algorithms are faster by orders of magnitude.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

from .lowest_terms import coprime_fraction
from .units import distinct, expect, inverse_of, over

Series = TypeVar("Series", bound="PowerSeries")


class PowerSeries(ABC):
    """a_0 + a_1 x + … + a_{n−1} x^{n−1} + O(xⁿ), n = `order`; every operation keeps the smaller order.

    Division, `log`, `power` and `revert` divide by a leading coefficient, which must be a unit of the ring; where it
    is none, or the constant is not what an operation needs, a `ValueError` says so.
    """

    order: int

    @property
    @abstractmethod
    def coefficients(self) -> list[Any]:
        """a_0 … a_{n−1}, zeros included."""

    @abstractmethod
    def like(self: Series, coefficients: Sequence[Any]) -> Series:
        """A series over the same ring, of order len(coefficients)."""

    @abstractmethod
    def __add__(self: Series, other: Series | Any) -> Series:
        """Sum with a series, or with an element of the ring or a fraction."""

    @abstractmethod
    def __mul__(self: Series, other: Series | Any) -> Series:
        """Product with a series, or with an element of the ring or a fraction."""

    @abstractmethod
    def _inverse(self: Series) -> Series: ...

    @abstractmethod
    def _log(self: Series) -> Series: ...

    @abstractmethod
    def _exp(self: Series) -> Series: ...

    @abstractmethod
    def _compose(self: Series, inner: Series) -> Series: ...

    @abstractmethod
    def _revert(self: Series) -> Series: ...

    def inverse(self: Series) -> Series:
        """1/a, a_0 a unit."""
        inverse_of(self.coefficients[0], "the constant of a series that is divided by")
        return self._inverse()

    def log(self: Series) -> Series:
        """Log a, a_0 = 1."""
        expect(self.coefficients[:1], 1, "log")
        return self._log()

    def exp(self: Series) -> Series:
        """Exp a, a_0 = 0."""
        expect(self.coefficients[:1], 0, "exp")
        return self._exp()

    def compose(self: Series, inner: Series) -> Series:
        """a(b(x)), b_0 = 0."""
        expect(inner.coefficients[:1], 0, "compose")
        return self._compose(inner)

    def revert(self: Series) -> Series:
        """The series b with a(b(x)) = x; a_0 = 0, a_1 a unit."""
        expect(self.coefficients[:1], 0, "revert")
        if self.order > 1:
            inverse_of(self.coefficients[1], "the coefficient of x in a series that is inverted")
        return self._revert()

    def __neg__(self: Series) -> Series:
        return self * -1

    def __sub__(self: Series, other: Series | Any) -> Series:
        return self + -other

    def __truediv__(self: Series, other: Series) -> Series:
        return self * other.inverse()

    def power(self: Series, exponent: Any) -> Series:
        """a^s for any s of the ring, a_0 = 1."""
        return (self.log() * exponent).exp()

    def times_x(self: Series) -> Series:
        """The series x a, of one order more."""
        a = self.coefficients
        return self.like([a[0] * 0, *a])

    def over_x(self: Series) -> Series:
        """a/x, of one order less; a_0 = 0 is dropped."""
        return self.like(self.coefficients[1:])

    def at_multiple(self: Series, factor: Any) -> Series:
        """a(r x)."""
        result, power = [], None
        for a in self.coefficients:
            result.append(a if power is None else a * power)
            power = factor if power is None else power * factor
        return self.like(result)


class PlainSeries(PowerSeries):
    """Coefficients in a list, of any type with +, × and ÷ by integers; quadratic and cubic algorithms."""

    def __init__(self, coefficients: Sequence[Any]) -> None:
        self._a, self.order = list(coefficients), len(coefficients)

    @property
    def coefficients(self) -> list[Any]:
        """a_0 … a_{n−1}, zeros included."""
        return list(self._a)

    def like(self, coefficients: Sequence[Any]) -> PlainSeries:
        """A series over the same ring."""
        return PlainSeries(coefficients)

    def __add__(self, other: Any) -> PlainSeries:
        if isinstance(other, PlainSeries):
            return PlainSeries([a + b for a, b in zip(self._a, other._a, strict=False)])
        if isinstance(other, Fraction):
            other = over(self._a[0] * 0 + other.numerator, other.denominator)
        return PlainSeries([self._a[0] + other, *self._a[1:]])

    def __mul__(self, other: Any) -> PlainSeries:
        if isinstance(other, Fraction):
            return PlainSeries([over(a * other.numerator, other.denominator) for a in self._a])
        if not isinstance(other, PlainSeries):
            return PlainSeries([a * other for a in self._a])
        n = min(self.order, other.order)
        return PlainSeries([_dot(self._a[: k + 1], other._a[k::-1]) for k in range(n)])

    def _inverse(self) -> PlainSeries:
        first = inverse_of(self._a[0])
        result = [first]
        for k in range(1, self.order):
            result.append(-_dot(self._a[1 : k + 1], result[::-1]) * first)
        return PlainSeries(result)

    def _log(self) -> PlainSeries:
        # k l_k = k a_k − Σ_{j<k} j l_j a_{k−j}
        zero = self._a[0] * 0
        weighted = [zero]
        for k in range(1, self.order):
            weighted.append(self._a[k] * k - _dot(weighted, self._a[k:0:-1]))
        return PlainSeries([zero, *(over(x, k) for k, x in enumerate(weighted[1:], 1))])

    def _exp(self) -> PlainSeries:
        # k e_k = Σ j a_j e_{k−j}
        result = [self._a[0] * 0 + 1]
        weighted = [a * k for k, a in enumerate(self._a)]
        for k in range(1, self.order):
            result.append(over(_dot(weighted[1 : k + 1], result[::-1]), k))
        return PlainSeries(result)

    def _compose(self, inner: PlainSeries) -> PlainSeries:
        n = min(self.order, inner.order)
        inner = PlainSeries(inner._a[:n])
        result = PlainSeries([self._a[n - 1], *[self._a[0] * 0] * (n - 1)])
        for a in reversed(self._a[: n - 1]):
            result = result * inner + a
        return result

    def _revert(self) -> PlainSeries:
        # Lagrange: b_k = (1/k) [x^{k−1}] (x/a)^k
        quotient = self.over_x().inverse()
        result, power = [self._a[0] * 0], quotient
        for k in range(1, self.order):
            result.append(over(power._a[k - 1], k))
            power = power * quotient
        return PlainSeries(result)


class FlintSeries(PowerSeries):
    """Coefficients in FLINT: rationals, or real or complex balls at the precision of `flint.ctx`."""

    def __init__(self, kind: Any, coefficients: Sequence[Any]) -> None:
        self.order = len(coefficients)
        self._kind = kind
        with _length(self.order):
            self._s = kind(list(coefficients), prec=self.order)

    def _of(self, series: Any, order: int) -> FlintSeries:
        made = object.__new__(FlintSeries)
        made._kind, made._s, made.order = self._kind, series, order
        return made

    def _do(self, operation: Callable[..., Any], other: FlintSeries | None = None) -> FlintSeries:
        order = self.order if other is None else min(self.order, other.order)
        with _length(order):
            return self._of(operation(self._s) if other is None else operation(self._s, other._s), order)

    @property
    def coefficients(self) -> list[Any]:
        """a_0 … a_{n−1}, zeros included."""
        a = list(self._s.coeffs())[: self.order]
        return [*a, *[self._zero] * (self.order - len(a))]

    @property
    def _zero(self) -> Any:
        return type(self._s[0])(0)

    def like(self, coefficients: Sequence[Any]) -> FlintSeries:
        """A series over the same ring."""
        return FlintSeries(self._kind, coefficients)

    def __add__(self, other: Any) -> FlintSeries:
        if isinstance(other, FlintSeries):
            return self._do(lambda a, b: a + b, other)
        number = _flint(other)
        return self._do(lambda a: a + number)

    def __mul__(self, other: Any) -> FlintSeries:
        if isinstance(other, FlintSeries):
            return self._do(lambda a, b: a * b, other)
        number = _flint(other)
        return self._do(lambda a: a * number)

    def _inverse(self) -> FlintSeries:
        return self._do(lambda a: a.inv())

    def _log(self) -> FlintSeries:
        return self._do(lambda a: a.log())

    def _exp(self) -> FlintSeries:
        return self._do(lambda a: a.exp())

    def _compose(self, inner: FlintSeries) -> FlintSeries:
        if all(b == 0 for b in inner.coefficients):
            # FLINT refuses it.
            return self.like([self.coefficients[0], *[self._zero] * (min(self.order, inner.order) - 1)])
        return self._do(lambda a, b: a(b), inner)

    def _revert(self) -> FlintSeries:
        scale = self._scale()
        if scale is None:
            return self._do(lambda a: a.reversion())
        # FLINT keeps one denominator for all coefficients: a(r x)/(r a_1) = x + … has a small one.
        a = self.coefficients
        plain, power = [], 1 / (scale * a[1])
        for x in a:
            plain.append(x * power)
            power = power * scale
        reverted = self.like(plain)._do(lambda a: a.reversion()).coefficients
        found, power = [], scale + 0
        for x in reverted:
            found.append(x * power)
            power = power / (scale * a[1])
        return self.like(found)

    def _scale(self) -> Any:
        """An integer whose powers take most of the denominators of a_k/a_1; None where there are none to take."""
        a = [self._s[k] for k in range(min(self.order, 4))]
        if len(a) < 4 or not hasattr(a[1], "q") or a[1] == 0:
            return None
        first, second = (a[2] / a[1]).q, (a[3] / a[1]).q
        # Its first power clears a_2, its second a_3.
        scale = first * (second // second.gcd(first * first))
        return None if scale == 1 else scale


@dataclass(frozen=True)
class Ring:
    """Coefficients of one kind: `number` converts integers and fractions, `series` makes series of a list of them."""

    number: Callable[[Any], Any]
    series: Callable[[Sequence[Any]], Any]

    def variable(self, order: int) -> Any:
        """The series x."""
        zero = self.number(0)
        return self.series([zero, self.number(1), *[zero] * (order - 2)][:order])


def rationals() -> Ring:
    """Exact rationals, `flint.fmpq`."""
    from flint import fmpq, fmpq_series

    def number(x: Any) -> Any:
        return x if isinstance(x, fmpq) else fmpq(*Fraction(x).as_integer_ratio())

    return Ring(number, lambda a: FlintSeries(fmpq_series, a))


def fractions_of(values: Iterable[Any]) -> list[Fraction]:
    """Elements of `rationals()` as Python's own."""
    return [coprime_fraction(int(x.p), int(x.q)) for x in values]


def balls() -> Ring:
    """Real balls, `flint.arb`, at the precision in force."""
    from flint import arb, arb_series, fmpq

    def number(x: Any) -> Any:
        return arb(fmpq(*x.as_integer_ratio())) if isinstance(x, Fraction) else arb(x)

    return Ring(number, lambda a: FlintSeries(arb_series, a))


def complex_balls() -> Ring:
    """Complex balls, `flint.acb`, at the precision in force."""
    from flint import acb, acb_series, fmpq

    def number(x: Any) -> Any:
        return acb(fmpq(*x.as_integer_ratio())) if isinstance(x, Fraction) else acb(x)

    return Ring(number, lambda a: FlintSeries(acb_series, a))


def mp_numbers() -> Ring:
    """Mpmath numbers, at the precision in force."""
    import mpmath

    def number(x: Any) -> Any:
        return mpmath.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mpmath.mpmathify(x)

    return Ring(number, PlainSeries)


def rational_functions(names: Sequence[str]) -> tuple[Ring, tuple[Any, ...]]:
    """Quotients of polynomials with rational coefficients in these symbols, and the symbols, which may be a mean."""
    from sympy import QQ
    from sympy.polys.fields import field

    quotients, *symbols = field(distinct(names), QQ)

    def number(x: Any) -> Any:
        return quotients(QQ(*Fraction(x).as_integer_ratio())) if isinstance(x, (int, Fraction)) else x

    return Ring(number, PlainSeries), tuple(symbols)


def polynomials(names: Sequence[str]) -> tuple[Ring, tuple[Any, ...]]:
    """Polynomials with rational coefficients in these symbols, `flint.fmpq_mpoly`, and the symbols."""
    from flint import fmpq, fmpq_mpoly_ctx

    context = fmpq_mpoly_ctx.get(distinct(names), "degrevlex")

    def number(x: Any) -> Any:
        return context.constant(fmpq(*Fraction(x).as_integer_ratio())) if isinstance(x, (int, Fraction)) else x

    return Ring(number, PlainSeries), tuple(context.gens())


@contextmanager
def _length(order: int) -> Iterator[None]:
    """FLINT cuts every series at a global length."""
    from flint import ctx

    before, ctx.cap = ctx.cap, max(order, 1)
    try:
        yield
    finally:
        ctx.cap = before


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Balls with so many bits."""
    from flint import ctx

    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total


def _flint(x: Any) -> Any:
    """FLINT knows no fractions of Python's."""
    from flint import fmpq

    return fmpq(x.numerator, x.denominator) if isinstance(x, Fraction) else x

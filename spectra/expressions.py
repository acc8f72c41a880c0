"""Text to laws: "MP(1/2) * MP(1/5)", "semicircle(1) + bernoulli(1/2)", read by a small grammar, never run as code.

`*` is ⊠ between laws and a dilation beside a number, `+` and `−` are ⊞ and a shift, `^` (or `**`) is a ⊠ power.
Numbers are fractions and decimals, and taken as exactly that.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .activations import get_activation
from .convolve import (
    affine,
    compound_poisson,
    compression,
    free_poisson,
    free_power,
    free_product,
    free_sum,
    free_sum_power,
)
from .errors import ConfigError
from .files import read_numbers
from .law import Law
from .laws import Arcsine, Atomic, Bernoulli, Discrete, FussCatalan, MarchenkoPastur, Semicircle, SquaredSlope
from .laws.atomic import point
from .limits.deep import BernoulliLimit, SmoothLimit
from .network.schema import nearest

MAX_LENGTH, MAX_DEPTH, MAX_NODES = 2000, 60, 500
MAX_EXPONENT, MAX_DIGITS, MAX_BITS, LEAST = 64, 60, 3300, Fraction(1, 10**60)
MAX_EIGENVALUES, MAX_BYTES = 2000, 1e6
# Powers of ten that a whole law may reach, as of dilations of dilations.
MAX_DECADES = 100


def parse_law(text: str) -> Law:
    """The law that `text` describes.

    Raises
    ------
    ConfigError : anything outside the grammar, or a law that does not exist; the message says what is allowed.

    Examples
    --------
    >>> low, high = parse_law("MP(1/2) * MP(1/5)").spectrum().support()
    >>> print(f"{low:.12f} {high:.12f}")
    0.061803398875 3.600000000000
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"the law has {len(text)} characters; at most {MAX_LENGTH} are allowed.")
    try:
        with warnings.catch_warnings():
            # Python's own remarks on what is refused below.
            warnings.simplefilter("ignore")
            source = _in_python(text)
            tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"`{text}`: not an expression ({error.args[0]}).") from None
    found = _Reader(text, source).read(tree.body, 0)
    if not isinstance(found, Law):
        raise _no_law(text, found)
    if not _is_of_size(found):
        raise ConfigError(f"`{text}`: the law reaches beyond 1e±{MAX_DECADES}; scale it.")
    return found


def _is_of_size(law: Law) -> bool:
    """Whether moments of some order, too, have doubles."""
    try:
        ends = [abs(end) for end in law.hull if math.isfinite(end)]
        top = max(ends, default=1.0)
        return top == 0.0 or 10.0**-MAX_DECADES < top < 10.0**MAX_DECADES
    except OverflowError:
        return False


def _in_python(text: str) -> str:
    """The text with `**` for `^`, but not inside quotes."""
    parts = re.split(r"""("[^"]*"|'[^']*')""", text.strip())
    return "".join(part if k % 2 else part.replace("^", "**") for k, part in enumerate(parts))


def _no_law(text: str, found: Any) -> ConfigError:
    if isinstance(found, Fraction):
        return ConfigError(f"`{text}`: a number, not a law; the point mass is `dirac({text.strip()})`.")
    return ConfigError(f"`{text}`: not a law; a law has its parameters in parentheses, as in `MP(1/2)`.")


@dataclass(frozen=True)
class _Name:
    """A word that is an argument: the name of an activation."""

    text: str


class _Reader:
    """One walk over the syntax tree, counting nodes and refusing whatever is not listed."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source, self.nodes = text, source, 0

    def refuse(self, why: str) -> ConfigError:
        return ConfigError(f"`{self.text.strip()}`: {why}.")

    def read(self, node: ast.AST, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise self.refuse(f"too deep or too long (at most {MAX_DEPTH} levels, {MAX_NODES} terms)")
        try:
            match node:
                case ast.Constant(value=value):
                    return self.constant(value, ast.get_source_segment(self.source, node))
                case ast.UnaryOp(op=ast.USub(), operand=operand):
                    return self.negated(self.read(operand, depth + 1))
                case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                    return self.read(operand, depth + 1)
                case ast.BinOp(op=op, left=left, right=right):
                    return self.binary(op, self.read(left, depth + 1), self.read(right, depth + 1))
                case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                    return self.call(name, [self.read(argument, depth + 1) for argument in arguments])
                case ast.List(elts=items) | ast.Tuple(elts=items):
                    return [self.read(item, depth + 1) for item in items]
                case ast.Dict(keys=keys, values=values):
                    return self.pairs(
                        [self.read(k, depth + 1) for k in keys if k], [self.read(v, depth + 1) for v in values]
                    )
                case ast.Name(id=name):
                    return _Name(name)
        except ConfigError:
            raise
        except ZeroDivisionError:
            raise self.refuse("divided by zero") from None
        except (ValueError, OverflowError) as error:
            raise self.refuse(str(error).rstrip(".")) from None
        raise self.refuse(
            f"`{type(node).__name__.lower()}` is not part of the grammar: laws, numbers, + − * / ^ and parentheses are"
        )

    def constant(self, value: Any, source: str | None) -> Any:
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(f"`{value!r}` is not a number")
        digits = source or repr(value)
        if len(digits) > MAX_DIGITS or abs(value) > 1e60 or (value and abs(value) < 1e-60):
            raise self.refuse(f"`{digits[:20]}…`: numbers have at most {MAX_DIGITS} characters and lie within 1e±60")
        return Fraction(digits.replace("_", ""))

    def pairs(self, places: list[Any], masses: list[Any]) -> dict[Fraction, Fraction]:
        found: dict[Fraction, Fraction] = {}
        if len(places) != len(masses):
            raise self.refuse("in braces every location has a mass: {1: 1/2, 10: 1/2}")
        for place, mass in zip(places, masses, strict=True):
            if self.number(place) in found:
                raise self.refuse(f"the location {place} stands twice")
            found[place] = self.number(mass)
        return found

    def negated(self, x: Any) -> Any:
        return affine(x, -1) if isinstance(x, Law) else -self.number(x)

    def number(self, x: Any) -> Fraction:
        if not isinstance(x, Fraction):
            raise self.refuse(f"expected a number or a law, not `{_shown(x)}`")
        return x

    def binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        a, b = (x if isinstance(x, Law) else self.number(x) for x in (left, right))
        match op, a, b:
            case ast.Add(), Law(), Law():
                return free_sum(a, b)
            case (ast.Add(), Law() as law, Fraction() as x) | (ast.Add(), Fraction() as x, Law() as law):
                return affine(law, 1, x)
            case ast.Sub(), Law(), Law():
                return free_sum(a, affine(b, -1))
            case ast.Sub(), Law(), Fraction():
                return affine(a, 1, -b)
            case ast.Sub(), Fraction(), Law():
                return affine(b, -1, a)
            case ast.Mult(), Law(), Law():
                return free_product(a, b)
            case (ast.Mult(), Law() as law, Fraction() as x) | (ast.Mult(), Fraction() as x, Law() as law):
                return self.scaled(law, x)
            case ast.Div(), Law(), Fraction():
                return self.scaled(a, 1 / b)
            case ast.Pow(), Law(), Fraction():
                return free_power(a, b)
            case _, Fraction(), Fraction():
                return self.arithmetic(op, a, b)
        raise self.refuse(
            "between laws there are `*` (⊠), `+` and `-` (⊞); a law has powers by numbers ≥ 1 and is divided by numbers"
        )

    def arithmetic(self, op: ast.operator, a: Fraction, b: Fraction) -> Fraction:
        if isinstance(op, ast.Pow):
            if b.denominator != 1 or abs(b) > MAX_EXPONENT:
                raise self.refuse(f"numbers have whole powers up to {MAX_EXPONENT} only")
            if abs(int(b)) * max(a.numerator.bit_length(), a.denominator.bit_length()) > MAX_BITS:
                raise self.refuse("a number is too long")
            if a == 0 and b < 0:
                raise self.refuse("divided by zero")
            return self.sensible(a ** int(b))
        operations: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
            ast.Add: operator.add,
            ast.Sub: operator.sub,
            ast.Mult: operator.mul,
            ast.Div: operator.truediv,
        }
        if type(op) not in operations:
            raise self.refuse(f"`{type(op).__name__.lower()}` is no operation here")
        return self.sensible(operations[type(op)](a, b))

    def sensible(self, x: Fraction) -> Fraction:
        if max(x.numerator.bit_length(), x.denominator.bit_length()) > MAX_BITS or not (
            x == 0 or LEAST < abs(x) < 1 / LEAST
        ):
            raise self.refuse("numbers lie within 1e±60 and have at most a thousand digits")
        return x

    def scaled(self, law: Law, factor: Fraction) -> Law:
        return point(Fraction(0)) if factor == 0 else affine(law, factor)

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name not in _BY_NAME:
            names = sorted(entry.names[0] for entry in _LAWS)
            raise self.refuse(f"no law `{name}`{nearest(name, sorted(_BY_NAME))}; there are {', '.join(names)}")
        entry = _BY_NAME[name]
        if not entry.least <= len(arguments) <= len(entry.kinds):
            raise self.refuse(f"`{name}` is written {entry.usage}")
        for argument, kind in zip(arguments, entry.kinds, strict=False):
            if not isinstance(argument, kind):
                raise self.refuse(f"`{name}` is written {entry.usage}, not with `{_shown(argument)}`")
        return entry.make(*arguments)


def _shown(x: Any) -> str:
    return x.text if isinstance(x, _Name) else str(x)


@dataclass(frozen=True)
class _Entry:
    names: tuple[str, ...]
    usage: str
    kinds: tuple[Any, ...]
    make: Callable[..., Law]
    least: int = 1


def _discrete(atoms: Any, masses: list[Fraction] | None = None) -> Law:
    if isinstance(atoms, dict) and masses is not None:
        raise ValueError("`discrete`: masses stand in the braces, or in a list of their own, not in both")
    places = list(atoms)
    weights = list(atoms.values()) if isinstance(atoms, dict) else masses
    if not all(isinstance(x, Fraction) for x in [*places, *(weights or [])]):
        raise ValueError("`discrete`: locations and masses must be numbers")
    nonnegative = bool(places) and min(places) >= 0 and max(places) > 0
    return (Discrete if nonnegative else Atomic)(places, weights)


def _arcsine(a: Fraction, b: Fraction | None = None) -> Law:
    return Arcsine(-a, a) if b is None else Arcsine(a, b)


def _slope(activation: _Name | str, variance: Fraction) -> Law:
    text = activation.text if isinstance(activation, _Name) else activation
    # In quotes stands a name, too, or an expression in x.
    quoted = not isinstance(activation, _Name) and not re.fullmatch(r"[\w-]{2,}", text)
    return SquaredSlope(get_activation({"expr": text} if quoted else text), float(variance))


def _empirical(path: str) -> Law:
    """Eigenvalues of a file: .npy, or text with numbers."""
    if Path(path).is_file() and Path(path).stat().st_size > MAX_BYTES:
        raise ConfigError(f"`empirical({path!r})`: not a file of at most {MAX_EIGENVALUES} numbers.")
    try:
        values = read_numbers(path)
        if values.dtype.kind not in "iuf":
            raise ValueError(f"dtype {values.dtype}")
        values = values.astype(float).ravel()
    except OSError as error:
        raise ConfigError(f"`empirical({path!r})`: {error.strerror or str(error).rstrip('.')}.") from None
    except ValueError as error:
        raise ConfigError(f"`empirical({Path(path).name!r})`: not an array of real numbers ({error}).") from None
    if not 0 < values.size <= MAX_EIGENVALUES:
        raise ConfigError(f"`empirical`: {values.size} numbers; between 1 and {MAX_EIGENVALUES} are allowed.")
    if not (np.isfinite(values).all() and np.abs(values).max() < 1e60):
        raise ConfigError("`empirical`: every number must be finite, and below 1e60.")
    nonnegative = values.min() >= 0.0 and values.max() > 0.0
    return (Discrete if nonnegative else Atomic)(values.tolist())


_NUMBER, _LAW, _WORD = Fraction, Law, (_Name, str)
_LAWS = (
    _Entry(("MP", "marchenko_pastur"), "MP(ratio, scale = 1)", (_NUMBER, _NUMBER), MarchenkoPastur),
    _Entry(("semicircle",), "semicircle(variance)", (_NUMBER,), Semicircle, least=0),
    _Entry(("arcsine",), "arcsine(r) on [−r, r], or arcsine(a, b)", (_NUMBER, _NUMBER), _arcsine),
    _Entry(("bernoulli", "projection"), "bernoulli(p), mass p at 1 and 1 − p at 0", (_NUMBER,), Bernoulli),
    _Entry(
        ("discrete",),
        "discrete({1: 1/2, 10: 1/2}), or discrete([1, 10]) with equal masses",
        ((dict, list), list),
        _discrete,
    ),
    _Entry(("dirac",), "dirac(a)", (_NUMBER,), point),
    _Entry(("FC", "fuss_catalan"), "FC(order)", (_NUMBER,), FussCatalan),
    _Entry(("smooth_limit",), "smooth_limit(variance), S = exp(−variance w)", (_NUMBER,), SmoothLimit),
    _Entry(
        ("bernoulli_limit",),
        "bernoulli_limit(variance), S = exp(−variance w/(1 + w))",
        (_NUMBER,),
        BernoulliLimit,
    ),
    _Entry(("free_poisson", "poisson"), "free_poisson(rate, jump = 1)", (_NUMBER, _NUMBER), free_poisson),
    _Entry(("compound",), "compound(rate, law of the jumps)", (_NUMBER, _LAW), compound_poisson, least=2),
    _Entry(("compress",), "compress(law, share)", (_LAW, _NUMBER), compression, least=2),
    _Entry(("sum_power",), "sum_power(law, t): law ⊞ … ⊞ law, t times", (_LAW, _NUMBER), free_sum_power, least=2),
    _Entry(
        ("slope",),
        'slope(tanh, variance) or slope("x**2/2", 1): φ′(√variance z)², z normal',
        (_WORD, _NUMBER),
        _slope,
        least=2,
    ),
    _Entry(("empirical",), 'empirical("eigenvalues.npy")', ((str,),), _empirical),
)
_BY_NAME = {alias: entry for entry in _LAWS for alias in entry.names}

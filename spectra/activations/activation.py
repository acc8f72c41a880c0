"""`Activation` and `Branch`: a pointwise nonlinearity as smooth pieces with analytic formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectra.errors import ConfigError

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Branch:
    """A smooth piece φ of an activation on the open interval (lower, upper).

    `value`, `slope`, `curvature` are φ, φ', φ'' by this branch's own formula: elementwise, real or complex128 input,
    continued analytically off the interval. They are finite without warnings for |Re x| ≤ 10⁴ (a formula that
    grows exponentially outside its interval is cut at e⁷⁰⁰; a true pole there, as of softsign, stays a pole).

    Attributes
    ----------
    constant_slope : φ' where it is constant on the branch, else None.
    turning_points : zeros of φ'·φ'' inside the interval, sorted (critical points of φ'²); () if constant or periodic.
    analytic : False for callables whose derivative is not analytic: complex input raises ConfigError.

    Accuracy
    --------
    Slopes are accurate relative to themselves also where they underflow, except near their zeros
    (tests/test_activations.py).
    """

    lower: float
    upper: float
    value: Function
    slope: Function
    curvature: Function
    constant_slope: float | None = None
    turning_points: tuple[float, ...] = ()
    analytic: bool = True


@dataclass(frozen=True, eq=False)
class Activation:
    """A pointwise nonlinearity φ: branches that cover the line, with its kinks between them.

    Attributes
    ----------
    name, parameters : catalogue name and (parameter, value) pairs; the text for user expressions.
    kinks : finite branch boundaries; φ is continuous there, φ' or a higher derivative is not.
    even_slope : whether φ'(x)² = φ'(−x)².
    slope_period : period of φ'², where periodic.
    slope_bound : sup |φ'|, inf where unbounded.
    analytic : whether the slopes of all branches take complex input.
    source : "catalogue", "expression" or "callable".
    """

    name: str
    parameters: tuple[tuple[str, float], ...]
    branches: tuple[Branch, ...]
    kinks: tuple[float, ...]
    even_slope: bool
    slope_period: float | None = None
    slope_bound: float = float("inf")
    analytic: bool = True
    source: str = "callable"
    _kinks_array: np.ndarray = field(init=False, repr=False, default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        ends = [b.upper for b in self.branches[:-1]]
        starts = [b.lower for b in self.branches[1:]]
        if not (tuple(ends) == tuple(starts) == self.kinks) or sorted(self.kinks) != list(self.kinks):
            raise AssertionError(f"branches of {self.name} do not cover the line; please report")
        object.__setattr__(self, "_kinks_array", np.array(self.kinks))

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether φ' has finitely many values."""
        return all(branch.constant_slope is not None for branch in self.branches)

    @property
    def is_homogeneous(self) -> bool:
        """φ' depends on the sign of x alone, so that the law of φ'(h) does not depend on the variance of h."""
        return self.is_piecewise_linear and set(self.kinks) <= {0.0}

    @property
    def is_projection(self) -> bool:
        """φ'² takes one value beside 0: D² is a multiple of a projection."""
        slopes = [b.constant_slope for b in self.branches]
        return None not in slopes and len({s * s for s in slopes if s}) == 1

    def __call__(self, x: Any) -> Any:
        """φ(x) for real x of any shape."""
        return self._evaluate("value", x)

    def derivative(self, x: Any) -> Any:
        """φ'(x) for real x of any shape; the right-hand value at kinks."""
        return self._evaluate("slope", x)

    def second_derivative(self, x: Any) -> Any:
        """φ''(x) for real x of any shape; the right-hand value at kinks (no delta functions)."""
        return self._evaluate("curvature", x)

    def _evaluate(self, what: str, x: Any) -> Any:
        x = np.asarray(x, dtype=float)
        if len(self.branches) == 1:
            return np.asarray(getattr(self.branches[0], what)(x))[()]
        index = self._kinks_array.searchsorted(x, side="right")
        result = np.empty(x.shape)
        for i, branch in enumerate(self.branches):
            here = index == i
            result[here] = getattr(branch, what)(x[here])
        return result[()]

    def symbolic(self) -> Any:
        """Return φ as a sympy expression of the real symbol x in elementary functions (Piecewise at kinks)."""
        import sympy

        from spectra.activations import symbolic

        formulas = [symbolic.elementary(f) for f, _ in self._formulas()]
        pairs = [
            (f, sympy.StrictLessThan(symbolic.X, symbolic.exact(k))) for f, k in zip(formulas, self.kinks, strict=False)
        ]
        return sympy.Piecewise(*pairs, (formulas[-1], True)) if pairs else formulas[0]

    def mp(self, x: Any, order: int = 0) -> Any:
        """Return φ^(order)(x) as an mpmath number at the working precision `mpmath.mp.dps`; x may be complex.

        The branch is the one of Re x (the right-hand one at kinks). Relative accuracy, except near zeros.
        """
        import mpmath

        x = mpmath.mpmathify(x)
        index = sum(1 for kink in self.kinks if mpmath.re(x) >= kink)
        return self._mp_function(index, order)(x)

    def _mp_function(self, index: int, order: int) -> Function:
        from spectra.activations import symbolic

        return symbolic.branch_function(self, index, order)

    def _formulas(self) -> list[tuple[Any, Any]]:
        """(φ, φ') of every branch in sympy."""
        if self.source == "catalogue":
            from spectra.activations.definitions import BY_NAME
            from spectra.activations.symbolic import formulas_and_slopes

            return formulas_and_slopes(BY_NAME[self.name], dict(self.parameters))
        if self.source == "expression":
            from spectra.activations.expression import formulas_and_slopes as of_expression

            return of_expression(self.name)
        raise NotImplementedError(f"activation {self.name!r} is a callable: it has no symbolic form")

    @staticmethod
    def from_callable(
        value: Function,
        slope: Function,
        *,
        kinks: Sequence[float] = (),
        curvature: Function | None = None,
        name: str = "custom",
    ) -> Activation:
        """Activation from a callable φ and its derivative φ', both vectorised over real arrays.

        The two are checked against each other; see `spectra.activations.callables`. Spectra need φ' off the real axis
        too: there `slope` must take complex arrays and be analytic beside each point that is no kink.

        Raises
        ------
        ConfigError : `slope` is not the derivative of `value`, or φ jumps, or values are not finite reals.
        """
        from spectra.activations.callables import from_callable

        return from_callable(value, slope, kinks=kinks, curvature=curvature, name=name)

    def _key(self) -> tuple[Any, ...]:
        if self.source == "callable":
            return (id(self),)
        return (self.source, self.name, self.parameters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> Any:
        # compiled branches do not pickle; the description does
        from spectra.activations.catalogue import get_activation

        if self.source == "callable":
            raise ConfigError(f"activation {self.name!r} was made from callables and cannot be pickled.")
        return get_activation, (
            {"expr": self.name} if self.source == "expression" else {"name": self.name, **dict(self.parameters)},
        )

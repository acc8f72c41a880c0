"""Numbers of a network to any number of digits, as balls: proven enclosures where the tails of φ' are bounded.

Each is computed with more and more bits until its ball is narrow enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, fmpq

from ..continuation import locate
from ..errors import ConvergenceError
from ..master import MasterEquation
from ..network.config import Network
from ..network.jacobian import jacobian_equation
from ..network.meanfield import mean_field
from .ball_density import enclosed_density
from .ball_edges import enclosed_largest
from .ball_equation import BallEquation, ball_equation
from .ball_field import BallField, ball_field
from .budget import OverBudget, budget
from .decimals import decimal
from .moments import PER_ORDER, ball_moments
from .power_series import working_precision

# Bits beyond those of the digits asked for, to begin with, and how often they are raised by half.
SPARE, TRIES = 40, 8
BITS_PER_DIGIT = math.log2(10.0)


@dataclass(frozen=True)
class PreciseNetwork:
    """A network whose numbers can be had to `digits` digits; numbers of its configuration are decimals: 1.1 is 11/10.

    Parameters
    ----------
    net : the network; its activations must have a symbolic form.
    digits : relative accuracy wanted, 10^−digits.

    Raises
    ------
    ConfigError : from every method, where an activation has no symbolic form or no enclosures in ball arithmetic.
    """

    net: Network
    digits: int

    def mean_field(self) -> BallField:
        """σ_w², σ_b², q and χ of every run of layers, and q*."""
        return self._narrow(0, lambda field, _: field, lambda field: [x for r in field.runs for x in (r.q, r.chi)])

    def moments(self, order: int) -> list[arb]:
        """m_1 … m_n of JJᵀ."""
        return self._narrow(PER_ORDER * order, lambda field, _: ball_moments(field, order), lambda found: found)

    @cached_property
    def _largest(self) -> arb:
        return self._narrow(0, lambda _, equation: enclosed_largest(equation), lambda found: [found])

    def largest(self) -> arb:
        """λ_max of JJᵀ, the true end of the support, however thin the density there.

        Raises
        ------
        ConvergenceError : it is not shown to be a critical point, or an atom.
        """
        return self._largest

    def density(self, location: float) -> arb:
        """ρ(λ) at a point inside a bulk.

        Raises
        ------
        ConvergenceError : no root was found there: λ lies in a gap, or outside the support.
        """
        engine = jacobian_equation(mean_field(self.net))
        exact = decimal(location)

        def enclosed(_: BallField, equation: BallEquation) -> arb:
            start = _start(engine, equation, location)
            return enclosed_density(equation, start, arb(fmpq(exact.numerator, exact.denominator)))

        return self._narrow(0, enclosed, lambda found: [found])

    @property
    def proven(self) -> bool:
        """Whether what is given are proven enclosures."""
        with working_precision(64):
            return all(run.law.proven for run in ball_field(self.net).runs)

    def _narrow(
        self, more: int, compute: Callable[[BallField, BallEquation], Any], judged: Callable[[Any], list[arb]]
    ) -> Any:
        bits = SPARE + more + math.ceil(BITS_PER_DIGIT * self.digits)
        failure: ConvergenceError | None = None
        with budget():
            for _ in range(TRIES):
                with working_precision(bits):
                    try:
                        field = ball_field(self.net)
                        found = compute(field, ball_equation(field))
                        if all(
                            x.is_zero() or x.rel_accuracy_bits() > BITS_PER_DIGIT * self.digits for x in judged(found)
                        ):
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
        raise failure or ConvergenceError(f"{self.digits} digits were not reached with {bits * 2 // 3} bits")


def _start(engine: MasterEquation, equation: BallEquation, location: float) -> tuple[complex, tuple[complex, ...]]:
    """The solution w, y_1 … at λ to a few digits, from the engine in doubles."""
    roots = locate(engine, np.array([-math.log(location)]))
    w = complex(engine.moment_function(roots.zeta)[0])
    starts = []
    for factor in equation.factors:
        ratio = float(factor.ratio.mid())
        mean = float(factor.law.mean.mid())
        kin = [
            (abs(mean - one.law.mean), k)
            for k, one in enumerate(engine.factors)
            if isinstance(one.family, tuple)
            and one.family[0] == factor.law.activation
            and math.isclose(one.family[1], ratio)
        ]
        if not kin:
            # Of a projection χ is known in closed form.
            starts.append(1j)
            continue
        law = engine.factors[min(kin)[1]].law
        starts.append(complex(roots.v[min(kin)[1], 0]) * law.rank / mean)
    return w, tuple(starts)

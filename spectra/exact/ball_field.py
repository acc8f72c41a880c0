"""The mean field in ball arithmetic: σ_w², σ_b², q and χ of every layer, with proof.

Numbers of a configuration are the decimals they are written as: 1.1 is 11/10.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flint import arb, ctx

from ..activations import Activation
from ..errors import ConfigError, ConvergenceError
from ..line.numbers import exactly
from ..network.architectures import refuse_but_products
from ..network.config import Network
from ..network.resolve import ResolvedRun, Start, are_alike, resolved_runs, start
from .enclosures import enclosed_zero
from .gaussian_balls import GaussianBalls, pieces_of
from .rational_balls import ball_of
from .slope_balls import SlopeBalls, value_at_zero

# Layers on the way to a fixed point that are followed one by one, at most.
MOST_LAYERS = 300
# Bits above the last one by which a variance may still change where its interval is shown to map into itself.
SETTLED = 16
# A double of the other engine this far off is another number.
SAME = 1e-9


@dataclass(frozen=True)
class BallRun:
    """Consecutive layers with one law of D².

    Parameters
    ----------
    activation, weights : as configured.
    law : of D², at variance q.
    q : variance of the pre-activations of the first of them, on which their law does not depend where φ is
        positively homogeneous.
    sigma_w2, sigma_b2 : σ_w² and σ_b².
    fan_in, fan_out : widths before and in the run, None where not stated.
    repeat : number of layers.
    critical : σ_w was found from χ = 1 at this q.
    """

    activation: Activation
    weights: str
    law: SlopeBalls
    q: arb
    sigma_w2: arb
    sigma_b2: arb
    fan_in: int | None
    fan_out: int | None
    repeat: int
    critical: bool = False

    @cached_property
    def chi(self) -> arb:
        """σ_w² E φ'²."""
        return arb(1) if self.critical else self.sigma_w2 * self.law.mean

    @property
    def variances(self) -> list[arb]:
        """Q of every layer."""
        found = [self.q]
        for _ in range(self.repeat - 1):
            moves = is_homogeneous(self.activation)
            found.append(self.sigma_w2 * self.law.mean * found[-1] + self.sigma_b2 if moves else found[-1])
        return found


@dataclass(frozen=True)
class BallField:
    """The layers in order, and the fixed point they are referred to, if there is one.

    Parameters
    ----------
    runs : equal layers merged.
    numbers : σ_w² and σ_b² of every run as configured.
    q_star : fixed point of the variance map, None where there is none.
    chi_1 : σ_w² E φ'² of the first activation there; of a positively homogeneous one at any variance.  None as in
        `spectra.network.MeanField`.
    """

    runs: tuple[BallRun, ...]
    numbers: tuple[tuple[arb, arb], ...]
    q_star: arb | None
    chi_1: arb | None

    @property
    def proven(self) -> bool:
        """Whether what follows are proven enclosures: the tails of all Gaussian integrals are bounded."""
        return all(run.law.proven for run in self.runs)


def is_homogeneous(activation: Activation) -> bool:
    """Whether φ(ax) = aφ(x), a > 0: E φ² = q E φ'².  Slopes that hang on the sign of x alone allow a φ(0), too."""
    return activation.is_homogeneous and value_at_zero(activation).is_zero()


class _Variance:
    """E φ² and E φ'² of an activation at variance q, with their derivatives in q."""

    def __init__(self, activation: Activation, q: arb) -> None:
        self.law, self._q = SlopeBalls(activation, q), arb(q)
        self._over = GaussianBalls(activation, q)
        self._root, self._offset = self._q.sqrt(), abs(value_at_zero(activation))

    def _size(self, r: arb) -> arb:
        # |φ(h)| ≤ |φ(0)| + sup |φ'| |h|.
        return self._offset + self._over.top * self._root * r

    @cached_property
    def second(self) -> arb:
        """E φ²."""
        return self._over.mean(lambda _z, value, _slope: value * value, lambda r: self._size(r) ** 2)

    @cached_property
    def gain(self) -> arb:
        """Derivative of E φ² in q, E φφ'z/√q."""
        top, root = self._over.top, self._root
        bound = lambda r: self._size(r) * top * r / root  # noqa: E731
        return self._over.mean(lambda z, value, slope: value * slope * z / root, bound)

    @cached_property
    def slope_gain(self) -> arb:
        """Derivative of E φ'² in q, E (z² − 1) φ'²/(2q)."""
        top, double = self._over.top, 2 * self._q
        return self._over.mean(
            lambda z, _, slope: (z * z - 1) * slope * slope / double, lambda r: r * r * top**2 / double
        )


def ball_field(net: Network) -> BallField:
    """The mean field of `net` in balls.

    Raises
    ------
    ConfigError : as `spectra.mean_field`; an activation that has no enclosures.
    ConvergenceError : a fixed point could not be enclosed, or too many layers lie before it.
    """
    refuse_but_products(net.layers)
    try:
        for spec in net.layers:
            pieces_of(spec.activation)
    except NotImplementedError as error:
        raise ConfigError(f"`activation`: {error}; there are doubles only for it.") from None
    runs, _ = resolved_runs(net)
    begin = start(net, runs)
    resolved: list[_Resolved] = []
    for run in runs:
        resolved.append(_resolved(run, resolved[-1] if resolved else None))
    q_star = _fixed_point(resolved[0], begin)
    made, fan_in = [], net.input_width
    at_rest: dict[Activation, SlopeBalls] = {}
    second = ball_of(exactly(begin.input_variance))
    for one in resolved:
        fan_out = one.run.spec.width or fan_in
        if begin.at_fixed_point or is_homogeneous(one.activation):
            law = at_rest.setdefault(one.activation, SlopeBalls(one.activation, arb(1) if q_star is None else q_star))
            laws = [(law, one.run.spec.repeat)]
            first = one.sigma_w2 * second + one.sigma_b2 if q_star is None or not begin.at_fixed_point else q_star
            if not begin.at_fixed_point:
                # E φ² = q E φ'².
                for _ in range(one.run.spec.repeat):
                    second = (one.sigma_w2 * second + one.sigma_b2) * law.mean
        else:
            laws, second = _followed(one, second)
            first = None
        for law, repeat in laws:
            spec = one.run.spec
            critical = one.run.critical and (begin.at_fixed_point or is_homogeneous(one.activation))
            numbers = one.sigma_w2, one.sigma_b2, fan_in, fan_out, repeat, critical
            made.append(BallRun(one.activation, spec.weights, law, law.q if first is None else first, *numbers))
            fan_in = fan_out
    has_chi_1 = begin.q_star is not None or are_alike(runs)
    chi_1 = _chi_1(resolved[0], q_star) if has_chi_1 else None
    return BallField(tuple(made), tuple((one.sigma_w2, one.sigma_b2) for one in resolved), q_star, chi_1)


@dataclass(frozen=True)
class _Resolved:
    run: ResolvedRun
    sigma_w2: arb
    sigma_b2: arb
    # Where the layers are critical at one.
    q: arb | None = None

    @property
    def activation(self) -> Activation:
        return self.run.spec.activation


def _square(number: Any) -> arb:
    """The square of a decimal; 0 where it is left out."""
    return ball_of(exactly(float(number or 0.0)) ** 2)


def _resolved(run: ResolvedRun, before: _Resolved | None) -> _Resolved:
    """Balls for the numbers of one run."""
    spec = run.spec
    if not run.critical:
        return _Resolved(run, _square(spec.sigma_w), _square(spec.sigma_b))
    if run.q_star is None:
        # Positively homogeneous: E φ'² is the same at every variance.
        return _Resolved(run, 1 / SlopeBalls(spec.activation, arb(1)).mean, arb(0))
    if run.q_star == 0.0:
        return _Resolved(run, 1 / SlopeBalls(spec.activation, arb(0)).mean, arb(0), arb(0))
    if run.given:
        q = ball_of(exactly(run.q_star))
        here = _Variance(spec.activation, q)
        sigma_w2 = 1 / here.law.mean
        options = [q - sigma_w2 * here.second]
        if before is not None:
            # Where the activation changes σ_b may follow the incoming variance.
            options.append(q - sigma_w2 * _Variance(before.activation, q).second)
        wanted = float(spec.sigma_b or 0.0) ** 2
        chosen = min(options, key=lambda b: abs(float(b.mid()) - wanted))
        if abs(float(chosen.mid()) - wanted) > SAME * run.q_star:
            raise AssertionError(f"σ_b² of {spec.activation.name} is {chosen} in balls, {wanted}; please report")
        return _Resolved(run, sigma_w2, chosen, q)
    sigma_b2 = _square(spec.sigma_b)

    def excess(q: arb) -> arb:
        here = _Variance(spec.activation, q)
        return q - here.second / here.law.mean - sigma_b2

    def slope(q: arb) -> arb:
        here = _Variance(spec.activation, q)
        mean = here.law.mean
        return 1 - here.gain / mean + here.second * here.slope_gain / mean**2

    q = enclosed_zero(excess, slope, arb(run.q_star), f"q* of {spec.activation.name} on its critical line")
    return _Resolved(run, 1 / SlopeBalls(spec.activation, q).mean, sigma_b2, q)


def _fixed_point(first: _Resolved, begin: Start) -> arb | None:
    """The fixed point the other engine refers to, enclosed."""
    if begin.q_star is None or is_homogeneous(first.activation):
        return None
    if first.q is not None:
        return first.q
    if begin.q_star == 0.0:
        return arb(0)

    def excess(q: arb) -> arb:
        return first.sigma_w2 * _Variance(first.activation, q).second + first.sigma_b2 - q

    def slope(q: arb) -> arb:
        return first.sigma_w2 * _Variance(first.activation, q).gain - 1

    return enclosed_zero(excess, slope, arb(begin.q_star), f"q* of {first.activation.name}")


def _chi_1(first: _Resolved, q_star: arb | None) -> arb | None:
    """χ at the fixed point, which need not be that of any layer."""
    free = is_homogeneous(first.activation)
    if not free and q_star is None:
        return None
    if first.run.critical and (free or q_star is first.q):
        return arb(1)
    return first.sigma_w2 * SlopeBalls(first.activation, arb(1) if free or q_star is None else q_star).mean


def _followed(one: _Resolved, second: arb) -> tuple[list[tuple[SlopeBalls, int]], arb]:
    """The laws of the layers of a run, reached with E x² = `second`, and E x² after it."""
    laws: list[tuple[SlopeBalls, int]] = []
    repeat = one.run.spec.repeat
    q = one.sigma_w2 * second + one.sigma_b2
    for done in range(repeat):
        if done > MOST_LAYERS:
            raise ConvergenceError(
                f"more than {MOST_LAYERS} layers of {one.activation.name} lie before its fixed point"
            )
        here = _Variance(one.activation, q)
        image = one.sigma_w2 * here.second + one.sigma_b2
        if abs(image - q) < arb(2) ** (SETTLED - ctx.prec) * q:
            around = q.union(image) + arb(0, (abs(image - q) + arb(2) ** (SETTLED - ctx.prec) * q).upper())
            there = _Variance(one.activation, around)
            if around.contains(one.sigma_w2 * there.second + one.sigma_b2):
                # Mapped into itself: all further layers are in there.
                return [*laws, (SlopeBalls(one.activation, around), repeat - done)], there.second
        laws.append((here.law, 1))
        second, q = here.second, image
    return laws, second

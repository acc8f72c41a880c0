"""Tuning of residual networks: the largest α at which a number of the spectrum keeps to its bound."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..correlated.network import first_two_moments
from ..errors import ConfigError, ConvergenceError, UnboundedError, UnfollowedError
from ..network.architectures import ARCHITECTURES, architecture_of
from ..network.architectures.scales import spread
from ..network.config import Network
from ..network.fields import checked
from ..network.meanfield import gradient_growth, mean_field
from ..network.schema import CRITICAL
from ..network.zeros import bracketed_zero
from .targets import Target

# σ_w of layers that are given none.
WEIGHT = 1.0
# α of what counts as no block at all, the least α at which correlated slopes are followed, and the largest tried.
NONE, LEAST, LARGEST = 1e-9, 0.01, 1e2
# The same where every block takes a law of its own.
LARGEST_FOLLOWED = 10.0
# Steps away from the α that fresh slopes would have, until the right one lies between: the first, and the largest.
STEP, FARTHEST = 1.1, 2.0
# Spectra that may fail on the way.
MOST_FAILED = 4
# So near to the bound is near enough where every number takes a spectrum.
NEAR = 3e-3
# And by such a factor below the α at which nothing can be computed.
NEAR_END = 1.1
# A block has to be worth so much to be named as what would do better; and chains are this long at most.
WORTH, LONGEST = 1.05, 32


@dataclass(frozen=True)
class Strength:
    """What the search for α found.

    Parameters
    ----------
    network : at the α chosen; None where the target is out of reach whatever α is.
    alpha, value : α, and the target's number there.
    least : the number as α → 0, where the target is out of reach; with `least_at` the least that was found, there.
    ends : nothing could be computed of larger α.
    """

    network: Network | None
    alpha: float | None
    value: float
    least: float
    least_at: float | None = None
    ends: bool = False

    @property
    def reachable(self) -> bool:
        """Whether some α keeps to the bound."""
        return self.network is not None


def has_alpha(keys: Mapping[str, Any] | Network) -> bool:
    """Whether a network, or the keys of one, has layers with α, by which it is tuned."""
    if isinstance(keys, Network):
        return any(spec.alpha is not None for spec in keys.layers)
    kinds = [table.get("kind") for table in tables_of(keys)]
    return any("alpha" in ARCHITECTURES[kind].keys for kind in kinds if isinstance(kind, str) and kind in ARCHITECTURES)


def tables_of(keys: Mapping[str, Any] | Network) -> list[Mapping[str, Any]]:
    """What is given: the top level, and that of every layer."""
    given = keys._given if isinstance(keys, Network) else keys
    return [given, *(layer for layer in given.get("layers") or () if isinstance(layer, Mapping))]


def residual_family(keys: Mapping[str, Any] | Network) -> Network:
    """The network of `keys` with one α for all residual layers, still to choose: `replace(alpha=…)` does.

    σ_w and σ_b stay; σ_w is 1 where it is left out or "critical", which says nothing here. An init is refused.

    Raises
    ------
    ConfigError : the keys do not describe a network.
    """
    given = dict(checked(keys._given if isinstance(keys, Network) else keys))
    for table in (given, *given.get("layers", ())):
        if isinstance(table.get("alpha"), str):
            # Set aside, but not unread.
            spread({"alpha": table["alpha"]}, "", 0, 1)
        table.pop("alpha", None)
        table.pop("q_star", None)
        if table.get("sigma_w") == CRITICAL:
            table.pop("sigma_w")
    if "init" not in given:
        given.setdefault("sigma_w", WEIGHT)
    return Network(**given, alpha=1.0)


def strongest(family: Network, target: Target) -> Strength:
    """The largest α at which the number of `target` keeps to its bound; it grows with α.

    Raises
    ------
    ConfigError : another number than the variance is asked for of a network with dense layers too; or α would have to
        be so small that correlated slopes are not followed.
    ConvergenceError : so small that spectra of such weak blocks fail.

    Accuracy
    --------
    The number equals its bound to the target's accuracy (variance), else it is at most 0.3 % below.
    """
    number = _Numbers(family, target)
    if not all(architecture_of(spec).multiplies for spec in family.layers):
        return _followed(number)
    failed = number.failed
    limit = _without_blocks(family, target)
    if not (limit < target.value):
        return Strength(None, None, math.inf, limit)
    trial = _as_if_fresh(family, target, limit)
    step = STEP if target.met(number(trial)) else 1.0 / STEP
    while target.met(number(trial * step)) == (step > 1.0):
        trial *= step
        # Farther every time: a bound just above that of no blocks takes a very small α.
        step = min(max(step**1.5, 1.0 / FARTHEST), FARTHEST)
        if trial < NONE or len(failed) > MOST_FAILED:
            raise ConvergenceError(
                f"`target {target.kind} = {target.value:g}`: without blocks it is {limit:.6g}, and no α from "
                f"{trial:.2g} on that keeps to it could be computed{f': {failed[-1]}' if failed else ''}"
            )
        if trial > LARGEST:
            return Strength(family.replace(alpha=trial), trial, number(trial), limit)
        if trial < LEAST and _correlated(family):
            raise ConfigError(
                f"`target {target.kind} = {target.value:g}`: needs α below {LEAST:g}, where the correlations of slopes "
                f'from block to block are not followed; take order = "post", or about α = {trial:.2g}.'
            )
    good, bad = sorted((trial, trial * step))
    alpha, ends = _between(number, target, good, bad)
    return Strength(family.replace(alpha=alpha), alpha, number(alpha), limit, ends=ends)


class _Numbers:
    """The number of a target at every α that it is asked for, once; infinite where it could not be computed."""

    def __init__(self, family: Network, target: Target) -> None:
        self.family, self.target = family, target
        self.failed: list[Exception] = []
        self._known: dict[float, float] = {}

    def __call__(self, alpha: float) -> float:
        if alpha not in self._known:
            try:
                self._known[alpha] = self.target.of(self.family.replace(alpha=alpha))
            except (ConvergenceError, UnboundedError, UnfollowedError) as failure:
                # As a rule a spectrum that has come down to 0, or signals beyond all bounds: too large.
                self.failed.append(failure)
                self._known[alpha] = math.inf
        return self._known[alpha]

    def at(self, alpha: float, *, ends: bool) -> Strength:
        """What is to be said of one α."""
        return Strength(self.family.replace(alpha=alpha), alpha, self(alpha), math.nan, ends=ends)


def _followed(number: _Numbers) -> Strength:
    """The same where gradients are no product, and the number may fall before it grows: from the largest α down.

    Raises
    ------
    ConvergenceError : several spectra failed.
    """
    family, target = number.family, number.target
    seen: list[tuple[float, float]] = []
    for alpha in _followable(family):
        if not _may_keep(family.replace(alpha=alpha), target):
            continue
        seen.append((number(alpha), alpha))
        if len(number.failed) > MOST_FAILED:
            raise ConvergenceError(f"`target {target.kind} = {target.value:g}`: {number.failed[-1]}")
        if math.isinf(number(alpha)) and not number.failed:
            # Directions are lost, at any α.
            break
        if target.met(number(alpha)):
            if 2.0 * alpha > LARGEST_FOLLOWED or target.met(number(2.0 * alpha)):
                return number.at(alpha, ends=False)
            found, ends = _between(number, target, alpha, 2.0 * alpha)
            return number.at(found, ends=ends)
    least, alpha = min(seen, default=(math.inf, None))
    return Strength(None, None, math.inf, least, alpha)


def _followable(family: Network) -> Iterator[float]:
    """Falling α, by factors of 2, as long as signals can be followed."""
    start = 0.5 / math.sqrt(sum(spec.repeat for spec in family.layers))
    found = False
    for k in range(math.floor(math.log2(LARGEST_FOLLOWED / start)), -math.ceil(-math.log2(NONE / start)), -1):
        alpha = start * 2.0**k
        try:
            mean_field(family.replace(alpha=alpha))
        except (UnboundedError, UnfollowedError):
            if found:
                return
            continue
        found = True
        yield alpha


def keeping(net: Network, alpha: float) -> float | None:
    """The α at which m_1 = 1, next to the one given; None where none is found."""

    def growth(log_alpha: float) -> float:
        return gradient_growth(mean_field(net.replace(alpha=math.exp(log_alpha))).runs)

    here = there = math.log(alpha)
    try:
        # Stronger blocks make gradients grow.
        step = math.log(FARTHEST) * (-1.0 if growth(here) > 0.0 else 1.0)
        while growth(there) * step < 0.0:
            here, there = there, there + step
        return math.exp(bracketed_zero(growth, *sorted((here, there)), tolerance=1e-8))
    except (ConvergenceError, UnboundedError, UnfollowedError):
        return None


def _may_keep(net: Network, target: Target) -> bool:
    """Whether two moments, which cost nothing, leave it open that a number that takes a spectrum keeps to its bound."""
    if target.kind == "variance":
        return True
    try:
        first, second = first_two_moments(mean_field(net))
    except UnfollowedError:
        return False
    if target.kind == "s_max":
        # λ_max ≥ m_2/m_1, of all but next to nothing of the mass as a rule.
        return second / first <= target.value**2
    # All within [a, K²a] has a variance of (K² − 1)²/(4K²) at most, over the square of its mean (Bhatia, Davis); of
    # gradients 2 % may lie anywhere.
    square, room = target.value**2, 1.0
    if target.kind == "gradient":
        square, room = square**2, 4.0
    return second / first**2 - 1.0 <= room * (square - 1.0) ** 2 / (4.0 * square)


def _without_blocks(family: Network, target: Target) -> float:
    """The number of the network as α → 0."""
    if target.kind == "variance":
        first, second = first_two_moments(mean_field(family.replace(alpha=NONE)), fresh=True)
        # What is left of the blocks is of the size of α².
        return max(second / first**2 - 1.0 - 1e-12, 0.0)
    if any(architecture_of(spec).is_product for spec in family.layers):
        raise ConfigError(
            f"`target {target.kind}`: of a network with residual and dense layers tuning goes by the variance alone."
        )
    runs = mean_field(family.replace(alpha=NONE)).runs
    log = sum(run.repeat * math.log(abs(architecture_of(run.spec).skip(run.spec, run.level))) for run in runs)
    return {"s_max": math.exp(log), "condition": 1.0, "gradient": math.exp(abs(log))}[target.kind]


def _as_if_fresh(family: Network, target: Target, limit: float) -> float:
    """The α that would be right if slopes were independent from block to block, or about that."""
    variance = target.value
    if target.kind != "variance":
        # The limit of many weak blocks has a relative variance of 2c and λ_max = K = (1 + c + r) e^r, r² = c(c + 2),
        # times what there is without them.
        largest = target.value if target.kind == "condition" else (target.value / limit) ** 2

        def over(log_c: float) -> float:
            c = math.exp(log_c)
            r = math.sqrt(c * (c + 2.0))
            return math.log1p(c + r) + r - math.log(largest)

        variance = 2.0 * math.exp(bracketed_zero(over, -60.0, 4.0)) if largest > 1.0 else 1e-3

    def excess(log_alpha: float) -> float:
        try:
            first, second = first_two_moments(mean_field(family.replace(alpha=math.exp(log_alpha))), fresh=True)
        except (UnboundedError, UnfollowedError):
            return math.inf
        return math.log(max(second / first**2 - 1.0, 1e-300) / variance)

    # By factors of 2 and no farther: where α is large signals are, and their states take many nodes.
    low = high = math.log(0.5 / math.sqrt(sum(spec.repeat for spec in family.layers)))
    while excess(low) > 0.0 and low > math.log(NONE):
        low -= math.log(2.0)
    while excess(high) < 0.0 and high < math.log(LARGEST):
        low, high = high, high + math.log(2.0)
    if low == high or excess(low) > 0.0 or excess(high) < 0.0:
        return math.exp(high)
    if math.isinf(excess(high)):
        return math.exp(low)
    return math.exp(bracketed_zero(excess, low, high, tolerance=1e-6))


def _correlated(family: Network) -> bool:
    """Whether slopes of one block say something of the next one's."""
    return sum(spec.repeat for spec in family.layers if architecture_of(spec).reads_state(spec)) > 1


def _between(number: Any, target: Target, good: float, bad: float) -> tuple[float, bool]:
    """The largest α between one that keeps to the bound and one that does not; whether that one is not known."""
    if target.value == number(good):
        return good, False
    while target.kind == "variance" and math.isinf(number(bad)) and bad > good * NEAR_END:
        middle = math.sqrt(good * bad)
        good, bad = (middle, bad) if target.met(number(middle)) else (good, middle)
    if target.kind == "variance" and math.isinf(number(bad)):
        return good, True
    if target.kind == "variance":

        def excess(log_alpha: float) -> float:
            return math.log(number(math.exp(log_alpha)) / target.value)

        return math.exp(bracketed_zero(excess, math.log(good), math.log(bad), tolerance=1e-11)), False
    # Each of these takes a spectrum: regula falsi in the logarithms of α and of the number, a few steps.
    while number(good) < target.value * (1.0 - NEAR) and bad > good * (1.0 + NEAR / 10.0):
        low, high, wanted = (math.log(x) for x in (number(good), number(bad), target.value))
        share = (wanted - low) / (high - low) if math.isfinite(high) else 0.5
        # A little to the good side, so that the step ends the search where it is right.
        trial = good * (bad / good) ** min(max(0.99 * share, 0.05), 0.95)
        if target.met(number(trial)):
            good = trial
        else:
            bad = trial
    return good, number(good) < target.value * (1.0 - NEAR) and math.isinf(number(bad))


def instead(family: Network, target: Target, found: Strength) -> Iterator[tuple[dict[str, Any], str, Strength]]:
    """Changes that allow a larger α, or any: (keys, words, what they do); where trying them is cheap."""
    if target.kind != "variance" or sum(spec.repeat for spec in family.layers) > LONGEST:
        return
    first = next(spec for spec in family.layers if not architecture_of(spec).is_product)
    tried: list[tuple[dict[str, Any], str]] = []
    if any(spec.weights != "orthogonal" for spec in family.layers):
        tried.append(({"weights": "orthogonal"}, "orthogonal weights"))
    order = "post" if architecture_of(first).reads_state(first) else "pre"
    tried.append(({"order": order}, f"activation {'after' if order == 'post' else 'before'} the weights"))
    for changes, words in tried:
        cleared = {
            f"layers.{i}.{key}": None
            for i, layer in enumerate(family._given.get("layers", ()))
            for key in changes
            if key in layer
        }
        try:
            there = strongest(family.replace(**changes, **cleared), target)
        except (ConfigError, ConvergenceError):
            continue
        if there.alpha is not None and there.alpha > WORTH * (found.alpha or 0.0):
            yield changes, f"{words}: α = {there.alpha:.4g}", replace(there)

"""Tuning of residual networks: the largest α at which a number of the spectrum keeps to its bound."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..correlated.network import first_two_moments
from ..errors import ConfigError, ConvergenceError
from ..network.architectures import architecture_of, are_products
from ..network.config import Network
from ..network.fields import checked
from ..network.meanfield import mean_field
from ..network.schema import CRITICAL
from ..network.zeros import bracketed_zero
from .targets import Target

# σ_w of layers that are given none.
WEIGHT = 1.0
# α of what counts as no block at all, the least α at which correlated slopes are followed, and the largest tried.
NONE, LEAST, LARGEST = 1e-9, 0.01, 1e2
# Steps away from the α that fresh slopes would have, until the right one lies between: the first, and the largest.
STEP, FARTHEST = 1.1, 2.0
# Spectra that may fail on the way.
MOST_FAILED = 4
# So near to the bound is near enough where every number takes a spectrum.
NEAR = 3e-3
# A block has to be worth so much to be named as what would do better; and chains are this long at most.
WORTH, LONGEST = 1.05, 32


@dataclass(frozen=True)
class Strength:
    """What the search for α found.

    Parameters
    ----------
    network : at the α chosen; None where the target is out of reach whatever α is.
    alpha, value : α, and the target's number there.
    least : the number as α → 0, where the target is out of reach.
    """

    network: Network | None
    alpha: float | None
    value: float
    least: float

    @property
    def reachable(self) -> bool:
        """Whether some α keeps to the bound."""
        return self.network is not None


def is_residual(keys: Mapping[str, Any] | Network) -> bool:
    """Whether a network, or the keys of one, has residual layers."""
    if isinstance(keys, Network):
        return not are_products(keys.layers)
    return any(table.get("kind") == "residual" for table in tables_of(keys))


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
    limit = _without_blocks(family, target)
    if not (limit < target.value):
        return Strength(None, None, math.inf, limit)
    known: dict[float, float] = {}
    failed: list[ConvergenceError] = []

    def number(alpha: float) -> float:
        if alpha not in known:
            try:
                known[alpha] = target.of(family.replace(alpha=alpha))
            except ConvergenceError as failure:
                # As a rule a spectrum that has come down to 0: too large.
                failed.append(failure)
                known[alpha] = math.inf
        return known[alpha]

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
    alpha = _between(number, target, good, bad)
    return Strength(family.replace(alpha=alpha), alpha, number(alpha), limit)


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
    log = sum(spec.repeat * math.log(architecture_of(spec).skip(spec)) for spec in family.layers)
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
        first, second = first_two_moments(mean_field(family.replace(alpha=math.exp(log_alpha))), fresh=True)
        return math.log(max(second / first**2 - 1.0, 1e-300) / variance)

    # By factors of 2 and no farther: where α is large signals are, and their states take many nodes.
    low = high = math.log(0.5 / math.sqrt(sum(spec.repeat for spec in family.layers)))
    while excess(low) > 0.0 and low > math.log(NONE):
        low -= math.log(2.0)
    while excess(high) < 0.0 and high < math.log(LARGEST):
        high += math.log(2.0)
    if low == high or excess(low) > 0.0 or excess(high) < 0.0:
        return math.exp(high)
    return math.exp(bracketed_zero(excess, low, high, tolerance=1e-6))


def _correlated(family: Network) -> bool:
    """Whether slopes of one block say something of the next one's."""
    return sum(spec.repeat for spec in family.layers if architecture_of(spec).reads_state(spec)) > 1


def _between(number: Any, target: Target, good: float, bad: float) -> float:
    """The largest α between one that keeps to the bound and one that does not."""
    if target.value == number(good):
        return good
    if target.kind == "variance":

        def excess(log_alpha: float) -> float:
            return math.log(number(math.exp(log_alpha)) / target.value)

        return math.exp(bracketed_zero(excess, math.log(good), math.log(bad), tolerance=1e-11))
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
    return good


def instead(family: Network, target: Target, found: Strength) -> Iterator[tuple[dict[str, Any], str, Strength]]:
    """Changes that allow a larger α, or any: (keys, words, what they do); where trying them is cheap."""
    if target.kind != "variance" or sum(spec.repeat for spec in family.layers) > LONGEST:
        return
    first = next(spec for spec in family.layers if not architecture_of(spec).is_product)
    tried: list[tuple[dict[str, Any], str]] = []
    if any(spec.weights != "orthogonal" for spec in family.layers):
        tried.append(({"weights": "orthogonal"}, "orthogonal weights"))
    order = "post" if first.order == "pre" else "pre"
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

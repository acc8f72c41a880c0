"""What would do better than the network as it is: other weights, another activation, less depth; each computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, ConvergenceError
from ..network.config import Network
from .search import Found, critical_family, search
from .targets import Target

# Activations that are tried in place of the network's: smooth, with a slope of 1 at 0; and straight in the middle.
ACTIVATIONS = ("tanh", "hardtanh")
# Better means so much better.
_WORTH = 0.95


@dataclass(frozen=True)
class Alternative:
    """A change of the configuration and what it does.

    Parameters
    ----------
    changes : keys and their values, as `Network.replace` and `--set` take them.
    words : the change and its effect, in one clause.
    reachable : whether the target is kept after it.
    q_star, value : the point of the edge of chaos, and the target's number there.
    """

    changes: dict[str, Any]
    words: str
    reachable: bool
    q_star: float | None
    value: float

    def to_dict(self) -> dict[str, Any]:
        """Plain keys and numbers."""
        return {
            "changes": self.changes,
            "words": self.words,
            "reachable": self.reachable,
            "q_star": self.q_star,
            "achieved": self.value,
        }


def alternatives(family: Network, target: Target, found: Found) -> tuple[Alternative, ...]:
    """Changes that keep to the target where the network does not, or at a larger q*; each by a search of its own."""
    made = [*_inputs(family, target, found), *_weights(family, target, found), *_activations(family, target, found)]
    if not found.reachable:
        made += list(_depth(family, target))
    # What comes nearer is worth saying only where nothing gets there.
    return tuple([one for one in made if one.reachable] or made)


def _inputs(family: Network, target: Target, found: Found) -> Iterator[Alternative]:
    """Inputs scaled so that every layer is at q*, where the input variance that is given leads elsewhere."""
    if family.input_variance in (None, "fixed-point"):
        return
    scaled = family.replace(input_variance=None)
    yield from _compared({"input_variance": "fixed-point"}, "inputs scaled so that q_1 = q*", scaled, target, found)


def _weights(family: Network, target: Target, found: Found) -> Iterator[Alternative]:
    if all(spec.weights == "orthogonal" for spec in family.layers):
        return
    other = _everywhere(family, "weights", "orthogonal")
    yield from _compared({"weights": "orthogonal"}, "orthogonal weights", other, target, found)


def _activations(family: Network, target: Target, found: Found) -> Iterator[Alternative]:
    here = {spec.activation.name for spec in family.layers}
    orthogonal = _everywhere(family, "weights", "orthogonal")
    bases = [({}, "", family)]
    if orthogonal != family:
        bases.append(({"weights": "orthogonal"}, " and orthogonal weights", orthogonal))
    for name in ACTIVATIONS:
        if here == {name}:
            continue
        for changes, words, base in bases:
            other = _everywhere(base, "activation", name)
            made = list(_compared({"activation": name} | changes, name + words, other, target, found))
            yield from made
            if made and made[0].reachable:
                break


def _compared(
    changes: dict[str, Any], words: str, other: Network, target: Target, found: Found
) -> Iterator[Alternative]:
    """The alternative, where it reaches what the network does not, reaches it at a larger q*, or comes nearer."""
    try:
        there = search(other, target, coarse=True)
    except (ConfigError, ConvergenceError):
        return
    if there.reachable and found.reachable:
        if (
            found.exact
            and there.q_star is not None
            and found.q_star is not None
            and there.q_star > found.q_star / _WORTH
        ):
            text = f"{words}: {_kept(target, there)} instead of {found.q_star:.4g}"
            yield Alternative(changes, text, True, there.q_star, there.value)
    elif there.reachable:
        text = f"{words}: {_kept(target, there)}"
        yield Alternative(changes, text, True, there.q_star, there.value)
    elif not found.reachable and there.least < _WORTH * found.least:
        text = f"{words}: {target.words} of {there.least:.4g} instead of {found.least:.4g} at least"
        yield Alternative(changes, text, False, there.q_star, there.value)


def _depth(family: Network, target: Target) -> Iterator[Alternative]:
    """The largest depth that keeps to the target; for nets given by a `depth` alone."""
    if len(family.layers) != 1 or family.depth == 1 or family.rectangular:
        return

    def reaches(depth: int) -> Found | None:
        try:
            there = search(family.replace(depth=depth), target, coarse=True)
        except (ConfigError, ConvergenceError):
            return None
        return there if there.reachable else None

    best, low, high = reaches(1), 1, family.depth
    if best is None:
        return
    # Every layer spreads the law further: the numbers grow with the depth.
    while high - low > 1:
        middle = (low + high) // 2
        there = reaches(middle)
        if there is None:
            high = middle
        else:
            low, best = middle, there
    text = f"a depth of {low} instead of {family.depth}: {_kept(target, best)}"
    yield Alternative({"depth": low}, text, True, best.q_star, best.value)


def _everywhere(family: Network, key: str, value: str) -> Network:
    """The family with a key set for every layer."""
    changes: dict[str, Any] = {key: value}
    for index, layer in enumerate(family._given.get("layers", ())):
        if key in layer:
            changes[f"layers.{index}.{key}"] = None
    return critical_family(family.replace(**changes))


def _kept(target: Target, there: Found) -> str:
    return f"{target.words} at most {target.value:g}, at q* = {there.q_star:.4g}"

"""`tune`: σ_w and σ_b for a target, why, what would do better, or by how much it is out of reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..network.config import Network
from ..network.expectations import gaussian_moments
from ..network.meanfield import mean_field
from ..prediction import Prediction, predict
from ..record import finite, prediction_to_dict, resolved
from .alternatives import Alternative, alternatives
from .reasons import reason
from .search import CHOSEN, Found, critical_family, search
from .snippet import pytorch_snippet
from .targets import Target

SCHEMA = 1


@dataclass(frozen=True)
class Tuned:
    """A network tuned to a target.

    Parameters
    ----------
    target : what was asked for.
    found : the point of the edge of chaos; where the target is out of reach, the one that comes nearest.
    reason : one sentence: why this point, or by how much the target is missed.
    alternatives : what would do better, each computed.
    set_aside : keys of the configuration that tuning replaced.
    scaled : inputs may be scaled as the network needs them: no `input_variance` is given.
    """

    target: Target
    found: Found
    reason: str
    alternatives: tuple[Alternative, ...]
    set_aside: tuple[str, ...] = ()
    scaled: bool = True

    @property
    def reachable(self) -> bool:
        """Whether the target can be kept."""
        return self.found.reachable

    @property
    def network(self) -> Network | None:
        """The tuned network, on the edge of chaos at a number q*; None where there is no edge of chaos."""
        return self.found.network

    @cached_property
    def prediction(self) -> Prediction | None:
        """Its spectrum."""
        return None if self.found.network is None else predict(self.found.network)

    @property
    def snippet(self) -> str | None:
        """PyTorch text that initialises a model so."""
        return None if self.found.network is None else pytorch_snippet(mean_field(self.found.network))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        notes = []
        if self.set_aside:
            notes.append(f"set aside, as tuning chooses them: {', '.join(self.set_aside)}")
        net, q = self.found.network, self.found.q_star
        if net is None or q is None:
            return tuple(notes)
        if not self.found.stable:
            notes.append(
                f"q* = {q:.6g} is a fixed point that variances move away from: inputs must be scaled to it exactly, "
                "and narrow networks will leave it"
            )
        free = all(gaussian_moments(spec.activation).scale_free is not None for spec in net.layers)
        if self.scaled and not free:
            notes.append(f"inputs need a mean square of {mean_field(net).input_variance:.6g}, so that q_1 = q*")
        return tuple(notes)

    def to_dict(self, *, points: int = 400) -> dict[str, Any]:
        """The JSON object of `spectra tune`."""
        pred = self.prediction
        missing: list[str] = []
        numbers = finite(
            {
                "target": {"kind": self.target.kind, "value": self.target.value},
                "achieved": self.found.value,
                "least": self.found.least,
                "q_star": self.found.q_star,
                "alternatives": [one.to_dict() for one in self.alternatives],
            },
            missing,
        )
        notes = [*self.notes, *(f"`{path}` is null: infinite, or there is none" for path in dict.fromkeys(missing))]
        return {
            "schema": SCHEMA,
            "reachable": self.reachable,
            "network": None if pred is None else finite(resolved(pred.network, pred.mean_field), []),
            "prediction": None if pred is None else prediction_to_dict(pred, points=points),
            "reason": self.reason,
            **numbers,
            "snippet": self.snippet,
            "notes": notes,
        }


def tune(keys: Mapping[str, Any] | Network, target: Target, *, advise: bool = True) -> Tuned:
    """σ_w² = 1/E φ'² and σ_b² = q* − σ_w² E φ² at the largest q* whose spectrum keeps to `target`.

    Parameters
    ----------
    keys : keys of a configuration, or a network; σ_w, σ_b, q_star and init in it are set aside.
    target : an upper bound on a number of the spectrum.
    advise : whether alternatives are computed too.

    Raises
    ------
    ConfigError : the other keys do not describe a network.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, section 3: L·Var fixed by the choice of q*.

    Examples
    --------
    >>> tuned = tune({"depth": 20, "activation": "tanh", "weights": "orthogonal"}, Target("variance", 0.25))
    >>> tuned.reachable, round(tuned.found.q_star, 9)
    (True, 0.04813091)
    """
    family = critical_family(keys)
    found = search(family, target)
    others = alternatives(family, target, found) if advise else ()
    given = keys._given if isinstance(keys, Network) else keys
    layers = [layer for layer in given.get("layers", ()) if isinstance(layer, Mapping)]
    aside = tuple(key for key in CHOSEN if any(table.get(key) is not None for table in (given, *layers)))
    scaled = family.input_variance in (None, "fixed-point")
    return Tuned(target, found, reason(family, target, found, others), others, aside, scaled)

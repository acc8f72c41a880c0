"""`tune`: σ_w and σ_b for a target, why, what would do better, or by how much it is out of reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import ConfigError
from ..network.config import Network
from ..network.expectations import gaussian_moments
from ..network.meanfield import MeanField, mean_field
from ..network.schema import shown
from ..prediction import Prediction
from ..record import finite, prediction_to_dict, resolved
from .alternatives import Alternative, alternatives
from .full_law import full_law
from .reasons import reason, residual_reason
from .residual import has_alpha, instead, residual_family, strongest, tables_of
from .search import CHOSEN, Found, critical_family, search
from .snippet import pytorch_snippet
from .targets import Target

SCHEMA = 1
_NOTHING = "infinite, or there is none"
_NULL = {
    "alpha": "dense layers have none, or none was found",
    "q_star": "residual layers are not tuned by it, or no q* was found",
}


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
    alpha : of residual networks, which are tuned by it.
    """

    target: Target
    found: Found
    reason: str
    alternatives: tuple[Alternative, ...]
    set_aside: tuple[str, ...] = ()
    scaled: bool = True
    alpha: float | None = None

    @property
    def reachable(self) -> bool:
        """Whether the target can be kept."""
        return self.found.reachable

    @property
    def network(self) -> Network | None:
        """The tuned network, on the edge of chaos at a number q*, or with its α; None where there is no such thing."""
        return self.found.network

    @cached_property
    def prediction(self) -> Prediction | None:
        """Its spectrum; None where there is no network, or no prediction of it (`notes` say why)."""
        return self._predicted[0]

    @cached_property
    def _predicted(self) -> tuple[Prediction | None, str | None]:
        """The prediction, or why there is none."""
        if self.found.network is None:
            return None, None
        found, why_not = full_law(self.found.network)
        return found, None if why_not is None else f"no spectrum of the tuned network: {why_not}"

    @cached_property
    def mean_field(self) -> MeanField | None:
        """Its mean field; None where there is no network."""
        return None if self.found.network is None else mean_field(self.found.network)

    @property
    def snippet(self) -> str | None:
        """PyTorch text that initialises a model so."""
        return None if self.mean_field is None else pytorch_snippet(self.mean_field)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""
        notes = []
        if self.set_aside:
            notes.append(f"set aside, as tuning chooses them: {', '.join(self.set_aside)}")
        net, q = self.found.network, self.found.q_star
        notes += [reason for reason in self._predicted[1:] if reason is not None]
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
                "alpha": self.alpha,
                "alternatives": [one.to_dict() for one in self.alternatives],
            },
            missing,
        )
        # Each kind of network is tuned by one of them.
        missing += [key for key in ("q_star", "alpha") if numbers[key] is None and key not in missing]
        notes = [*self.notes, *(f"`{path}` is null: {_NULL.get(path, _NOTHING)}" for path in dict.fromkeys(missing))]
        return {
            "schema": SCHEMA,
            "reachable": self.reachable,
            "network": None if self.network is None else finite(resolved(self.network, mean_field(self.network)), []),
            "prediction": None if pred is None else prediction_to_dict(pred, points=points),
            "reason": self.reason,
            **numbers,
            "snippet": self.snippet,
            "notes": notes,
        }


def tune(keys: Mapping[str, Any] | Network, target: Target, *, advise: bool = True) -> Tuned:
    """σ_w² = 1/E φ'² and σ_b² = q* − σ_w² E φ² at the largest q* whose spectrum keeps to `target`.

    Of a network with residual layers the largest α of these instead, at the σ_w and σ_b that are given.

    Parameters
    ----------
    keys : keys of a configuration, or a network; σ_w, σ_b, q_star and init in it are set aside. With residual layers α
        and q_star alone; σ_w is 1 where it is left out.
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
    if not isinstance(keys, (Mapping, Network)):
        raise ConfigError(f"`tune({keys!r:.40})`: `keys` must be a table of keys, or a `spectra.Network`.")
    if not isinstance(target, Target):
        raise ConfigError(f'`tune(target={target!r:.40})`: must be a `Target`, as Target("variance", 0.25).')
    if has_alpha(keys):
        return _residual(keys, target, advise)
    _refuse_normalised(keys)
    family = critical_family(keys)
    found = search(family, target)
    others = alternatives(family, target, found) if advise else ()
    scaled = family.input_variance in (None, "fixed-point")
    aside = _given_of(keys, CHOSEN)
    return Tuned(target, found, reason(family, target, found, others), others, aside, scaled)


def _given_of(keys: Mapping[str, Any] | Network, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the keys named that are given, anywhere."""
    return tuple(key for key in names if any(table.get(key) is not None for table in tables_of(keys)))


def _refuse_normalised(keys: Mapping[str, Any] | Network) -> None:
    """What tuning chooses, σ_w and σ_b, normalising takes out again."""
    for table in tables_of(keys):
        if table.get("normalise") is not None:
            raise ConfigError(
                f"`normalise = {shown(table['normalise'])}`: normalised layers are tuned where they are residual "
                "blocks, by `alpha`; without a skip the size of weights is nothing to their gradients."
            )


def _residual(keys: Mapping[str, Any] | Network, target: Target, advise: bool) -> Tuned:
    """A network with residual layers."""
    family = residual_family(keys)
    strength = strongest(family, target)
    others = tuple(
        Alternative(changes, words, True, None, there.value)
        for changes, words, there in (instead(family, target, strength) if advise else ())
    )
    found = Found(strength.reachable, strength.network, None, strength.value, strength.reachable, True, strength.least)
    why = residual_reason(family, target, strength)
    return Tuned(target, found, why, others, _given_of(keys, ("alpha", "q_star")), True, strength.alpha)

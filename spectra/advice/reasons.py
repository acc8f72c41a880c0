"""One sentence on why a tuned network is as it is, or why and by how much its target is out of reach."""

from __future__ import annotations

import math

from ..errors import ConfigError
from ..network.architectures import architecture_of
from ..network.config import Network
from ..network.criticality import critical_point
from ..network.expectations import gaussian_moments
from ..network.jacobian import jacobian_equation
from ..network.meanfield import gradient_growth, mean_field
from ..prediction import predict
from ..series import relative_variance
from .alternatives import Alternative
from .residual import Strength, keeping
from .search import Found
from .targets import Target


def reason(family: Network, target: Target, found: Found, others: tuple[Alternative, ...]) -> str:
    """The sentence; where the target is out of reach it names what would keep to it, if anything tried does."""
    if found.network is None:
        return f"Out of reach: {_no_edge(family, found)}{_instead(others)}."
    if not found.reachable:
        asked = f"asked for was {target.value:g}, {_missed(target, found)}"
        return f"Out of reach: {_floor(family, target, found)}; {asked}{_instead(others)}."
    q, value = found.q_star or 0.0, found.value
    names = _names(family)
    if _scale_free(family):
        return (
            f"{names} on the edge of chaos has {target.words} {value:.6g} whatever the variance of pre-activations, "
            f"which is within the bound of {target.value:g}."
        )
    kept = "the edge of chaos keeps the mean square of gradients"
    if found.exact:
        return (
            f"{kept[0].upper()}{kept[1:]}, and q* = {q:.6g} is the largest q* there at which the {target.words} of "
            f"{names} is not above {target.value:g}."
        )
    return (
        f"{kept[0].upper()}{kept[1:]}; at q* = {q:.6g} the {target.words} of {names} is {value:.6g}, within the bound "
        f"of {target.value:g}."
    )


def residual_reason(family: Network, target: Target, found: Strength) -> str:
    """Of a network with residual layers: what α does."""
    names, blocks = _names(family), sum(s.repeat for s in family.layers if not architecture_of(s).is_product)
    words = relative_words(target)
    if found.network is None:
        where = f"without its {blocks} residual blocks, α → 0, the {words} is {found.least:.6g} already"
        if found.least_at is not None:
            where = f"of all α that were tried α = {found.least_at:.4g} has the least {words}, {found.least:.6g}"
            if math.isinf(found.least):
                where = f"{blocks} blocks of {names} lose some directions entirely, so that the {words} is infinite"
        return f"Out of reach: {where}, asked for was {target.value:g}."
    effect = next(filter(None, (architecture_of(spec).effect(spec) for spec in family.layers)))
    # Where every number takes a spectrum the search ends a little below the bound.
    nearly = ", or nearly so," if found.value < target.value * (1.0 - target.accuracy) else ""
    # Networks with such blocks have one width.
    m_1 = math.exp(gradient_growth(mean_field(found.network).runs))
    if found.ends:
        nearly = ", as far as signals and spectra can be followed,"
    kept = (
        None if all(architecture_of(spec).multiplies for spec in family.layers) else keeping(family, found.alpha or 1.0)
    )
    return (
        f"Each block {effect}: α = {found.alpha:.6g} is the largest{nearly} at which the {words} of {blocks} residual "
        f"blocks of {names} is not above {target.value:g} (it is {found.value:.6g}, and m_1 = {m_1:.6g}"
        f"{'' if kept is None else f'; it is 1 at α = {kept:.6g}'})."
    )


def relative_words(target: Target) -> str:
    """What is bounded, of a network that need not have m_1 = 1."""
    return f"{target.words} over m_1²" if target.kind == "variance" else target.words


def weights_share(family: Network) -> float:
    """What the weights and widths alone add to the relative variance of JJᵀ: that of the linear network."""
    layers = family._given.get("layers", ())
    changes = {f"layers.{i}.activation": None for i, layer in enumerate(layers) if "activation" in layer}
    linear = family.replace(activation="identity", input_variance=None, **changes)
    return max(relative_variance(jacobian_equation(mean_field(linear))), 0.0)


def _floor(family: Network, target: Target, found: Found) -> str:
    """The least value, and what it is made of."""
    names, depth = _names(family), family.depth
    layers = "layer" if depth == 1 else "layers"
    if target.kind == "variance":
        weights = weights_share(family)
        text = f"{depth} {layers} of {names} have a variance of JJᵀ of at least {found.least:.6g}, at any q*"
        parts = []
        if weights > 1e-9 * found.least:
            free = any(spec.weights != "orthogonal" for spec in family.layers)
            kind = "weights of independent entries alone" if free else "widths alone"
            parts.append(f"{weights:.6g} from {kind}")
        if found.least - weights > 1e-6 * found.least:
            why = "a kink that no signal is too small for" if _scale_free(family) else "the slopes of the activation"
            parts.append(f"{found.least - weights:.6g} from {why}")
        return f"{text} ({' and '.join(parts)})" if parts else text
    if math.isinf(found.least):
        if found.network is not None and predict(found.network).spectrum.atom_at_zero > 0.0:
            return f"{depth} {layers} of {names} lose some directions entirely, so that the {target.words} is infinite"
        return f"the {target.words} of {depth} {layers} of {names} is beyond the range of doubles, at any q*"
    return f"the {target.words} of {depth} {layers} of {names} is at least {found.least:.4g}, at any q*"


def _missed(target: Target, found: Found) -> str:
    if math.isinf(found.least):
        return "by more than any number tells"
    return f"a factor {found.least / target.value:.4g} less" if target.value > 0.0 else "which it stays above"


def _instead(others: tuple[Alternative, ...]) -> str:
    reached = [one for one in others if one.reachable]
    return f"; {reached[0].words}" if reached else "; nothing that was tried keeps to it"


def _names(family: Network) -> str:
    names = list(dict.fromkeys(spec.activation.name for spec in family.layers))
    kinds = list(dict.fromkeys(spec.weights for spec in family.layers))
    return f"{', '.join(names)} with {', '.join(kinds)} weights"


def _scale_free(family: Network) -> bool:
    return all(gaussian_moments(spec.activation).scale_free is not None for spec in family.layers)


def _no_edge(family: Network, found: Found) -> str:
    """Why there is no edge of chaos; the activation's own reason where one alone has none anywhere."""
    for spec in family.layers:
        try:
            critical_point(spec.activation, sigma_b=0.1)
        except ConfigError as error:
            _, _, text = str(error).partition(": ")
            if "no edge of chaos:" in text:
                return text.rstrip(".")
    return (found.why_not or "no point of the edge of chaos could be computed").rstrip(".")

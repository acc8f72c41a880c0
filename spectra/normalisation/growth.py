"""How the mean square gradient grows with depth in normalised networks, and which orders explode."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConfigError
from ..network.architectures import architecture_of
from ..network.config import LayerSpec, Network
from ..network.meanfield import MeanField, mean_field

# Blocks after which what does not grow has settled, and changes that count as none.
DEEP, SETTLED = 2000, 1e-12


@dataclass(frozen=True)
class Growth:
    """Π χ_l ~ const · e^{rate · L} · L^exponent for great depth L.

    Parameters
    ----------
    rate : lim log χ_l: gradients explode where it is positive, vanish where it is negative.
    exponent : lim l (χ_l − 1) where the rate is 0, else 0.
    reason : why, in a sentence.
    """

    rate: float
    exponent: float
    reason: str


def gradient_growth(activation: Any, normalise: str | dict[str, Any] = "batch", **keys: Any) -> float:
    """Factor χ by which a normalised layer without skip multiplies the mean square gradient, at its fixed point.

    E φ'(z)²/Var φ(z) for batch norm of large batches before φ, E φ'²/E φ² for layer and RMS norm, z ~ N(0, 1) and no
    biases; for a batch of B examples their expectation over the sphere (`spectra.normalisation.batch`).

    Parameters
    ----------
    activation : as in a configuration.
    normalise : "batch", "layer", "rms", or a table as in a configuration: `{"name": "batch", "batch": 8}`.
    keys : others of a configuration; σ_w = 1 where left out, which without biases and ε drops out.

    Raises
    ------
    ConfigError : keys that do not go together, a batch of three or fewer, no fixed point.

    Accuracy
    --------
    1e-12 relative (tests/test_normalisation.py).

    Source
    ------
    Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz, ICLR 2019, Theorems 7 and 8, for batches of finite size.

    Examples
    --------
    >>> round(gradient_growth("relu"), 12)  # π/(π − 1)
    1.466942206924
    >>> round(gradient_growth("relu", {"name": "batch", "batch": 8}), 10)
    1.7881899767
    """
    net = Network(**({"sigma_w": 1.0} | keys | {"depth": 1, "activation": activation, "normalise": normalise}))
    chi = mean_field(net).chi_1
    if chi is None:
        raise ConfigError("`gradient_growth(...)`: the variance of these layers has no fixed point.")
    return chi


def growth(net: Network) -> Growth:
    """How Π χ_l of `net` would go on if its layers, all of one description, were repeated for ever.

    A normalisation that stands on the skip, after the sum, divides what passes by the skip in every block: χ is other
    than 1 as a rule, and its powers explode or vanish. One that stands in the branch lets x grow beside it and
    divides the branch by what it has grown to: χ_l − 1 ~ κ/l with κ = E φ'²/(E φ² − centre), and Π χ_l ~ L^κ.

    Raises
    ------
    ConfigError : layers that differ, or a case that is not known: in a branch after φ, or with ε > 0.

    Accuracy
    --------
    1e-10 (tests/test_normalised_growth.py).
    """
    specs = {replace(spec, repeat=1, width=None) for spec in net.layers}
    if len(specs) != 1:
        raise ConfigError("`growth(net)`: its layers differ; give a network of one kind of layer.")
    (spec,) = specs
    if not architecture_of(spec).multiplies:
        raise ConfigError('`order = "sum"`: gradients are not the product of χ; `growth` is of the other orders.')
    position = spec.normalise.position if spec.normalise is not None else None
    if position in ("before", "after") and spec.skip is not None and spec.skip >= 1.0:
        return _in_branch(net, spec)
    chi = _repeated(net, DEEP).chi[-2:]
    if not abs(chi[1] / chi[0] - 1.0) < SETTLED:
        raise ConfigError("`growth(net)`: χ does not settle with depth, and no law of it is known.")
    rate = math.log(chi[1])
    does = "explode" if rate > SETTLED else "vanish" if rate < -SETTLED else "keep their size"
    where = " after the sum, so that x itself is divided in every block" if position == "sum" else ""
    return Growth(rate, 0.0, f"normalised{where}: χ settles at {chi[1]:.6g}, and gradients {does}")


def _repeated(net: Network, depth: int) -> MeanField:
    """Mean field of so many layers like those of a network of one kind of them."""
    table = net.to_dict() | {"depth": depth, "input_variance": None}
    layers = table.pop("layers", None)
    if layers is not None:
        first = {key: value for key, value in layers[0].items() if key not in ("repeat", "width")}
        table = {key: value for key, value in table.items() if key not in ("width", "input_width")} | first
    return mean_field(Network(**table))


def _in_branch(net: Network, spec: LayerSpec) -> Growth:
    """A skip of 1 or more beside a branch that is divided by what x has grown to."""
    normaliser, beta = spec.normalise, spec.skip
    assert normaliser is not None
    assert beta is not None
    if beta > 1.0:
        return Growth(
            2.0 * math.log(beta), 0.0, "x grows by the skip alone, which leaves the branch behind, and so does J"
        )
    if normaliser.position == "after" or normaliser.epsilon > 0.0:
        raise ConfigError("`growth(net)`: normalised in the branch it is known before φ with ε = 0 alone.")
    first, second = _repeated(net, 2).runs
    if not normaliser.over_batch and second.level.entering.mean != 0.0:
        reason = (
            "means of x add up, x² grows like the square of the depth and the branch dies out: gradients stay bounded"
        )
        return Growth(0.0, 0.0, reason)
    # χ_l − 1 = K/spread_l, and the spread grows by the same in every block.
    before, after = (1.0 / architecture_of(spec).gain(spec, run.level) for run in (first, second))
    exponent = (first.chi - 1.0) * before / (after - before)
    reason = (
        f"normalised in the branch: x grows beside it, χ_l − 1 falls like {exponent:.6g}/l, and gradients grow like "
        "that power of the depth"
    )
    return Growth(0.0, exponent, reason)

"""From mean field to the law of JJᵀ of a network whose layers let x pass beside their weights."""

from __future__ import annotations

import math
from itertools import groupby, islice, pairwise

from ..activations import Activation
from ..errors import ConfigError, ConvergenceError
from ..network.architectures import architecture_of
from ..network.meanfield import MeanField
from ..spectrum import Spectrum
from ..threads import single_threaded_blas
from .dilated import dilated
from .free import FreeEquation
from .free_product import free_blocks, free_law, free_moments, freeness_defect
from .free_series import free_series_moments
from .law import block_law
from .layers import Layer, blocks_of, slope_law
from .solved import BlockLaw
from .two_moments import two_moments

# Error of the density that counts as none: it is an estimate, of many digits at once.
TOLERANCE = 1e-7
# By so much, relatively, the density of independent slopes may be off for the free formula to do, which is fast.
FREE_ENOUGH = 1e-4
# What all branches add, relatively, below which a failure is that of a law too narrow.
NARROW = 1e-4
# Moments of the free formula that are off by less are the same; by this and more, it is said in per cent.
SAME, PER_CENT = 1e-8, 1e-4
# Nodes of laws of slopes for four moments of it.
FREE_NODES = 8
# States need no finer panels than this for two moments.
ROUGH = 0.6


def network_law(field: MeanField) -> tuple[BlockLaw, tuple[str, ...]]:
    """The law of JJᵀ, and what is to be said of it: by which theory, how good.

    Raises
    ------
    ConfigError : widths that differ, or a layer that no signal reaches.
    ConvergenceError : as `block_law`.
    """
    layers = layers_of(field)
    _refuse_many_slopes(layers)
    try:
        return _law_of(layers)
    except ConvergenceError as failure:
        raise _narrow(layers, failure) from None


def _law_of(layers: list[Layer]) -> tuple[BlockLaw, tuple[str, ...]]:
    if _may_be_free(layers):
        defect = freeness_defect(layers)
        if _is_nearly_free(layers, defect):
            return free_law(layers), (_of_freeness(defect),) if defect else ()
        found = block_law(layers)
        return found, (_by_diagonals(found), _of_freeness(defect))
    found = block_law(layers)
    return found, (_by_diagonals(found), *_against_freeness(layers, found.spectrum))


def _may_be_free(layers: list[Layer]) -> bool:
    return not _are_chained(layers) and not any(layer.hidden or layer.drift for layer in layers)


def _is_nearly_free(layers: list[Layer], defect: float) -> bool:
    # Kernels of diagonal matrices have more in common than those of free ones.
    atom = FreeEquation(free_blocks(layers, FREE_NODES)).atom
    return defect < FREE_ENOUGH and (atom is None or len(layers) == 1)


def matrices_to_solve(field: MeanField) -> int:
    """Weight matrices in the equation that a spectrum takes, whose cost grows with them; 0 where the free formula does.

    Raises
    ------
    ConfigError : as `network_law`.
    """
    layers = layers_of(field)
    _refuse_many_slopes(layers)
    if _may_be_free(layers) and _is_nearly_free(layers, freeness_defect(layers)):
        return 0
    return sum(1 + len(layer.hidden) for layer in layers)


def _narrow(layers: list[Layer], failure: ConvergenceError) -> ConvergenceError:
    """The failure, or what is behind it where blocks add next to nothing to what passes beside them."""
    added = sum(layer.gain / layer.skip**2 if layer.skip else math.inf for layer in layers)
    if added > NARROW:
        return failure
    return ConvergenceError(
        f"`alpha`: all branches together add {added:.1g} of what passes beside them (`skip`), in mean squares, and the "
        f"law is too narrow about Π β² for its density to be found ({failure}); give a larger one, from α/β of some "
        f"{math.sqrt(NARROW / len(layers)):.1g} on, or take the two moments (`spectra audit`)"
    )


def _refuse_many_slopes(layers: list[Layer]) -> None:
    """Raise `ConfigError` where φ of many slopes comes after a sum: nodes that stand for them do not resolve λ → 0."""
    for layer in layers:
        activation = layer.activation
        if layer.drift is None or not isinstance(activation, Activation):
            continue
        if not activation.is_piecewise_linear:
            raise ConfigError(
                f'`activation = "{activation.name}"`: with `order = "sum"` a spectrum is computed for activations of '
                "finitely many slopes (relu, leaky_relu, hardtanh, …); of others there are the mean field, "
                "gradients, two moments (`spectra audit`), and samples."
            )


def first_two_moments(field: MeanField, *, fresh: bool = False) -> tuple[float, float]:
    """m_1 and m_2 of JJᵀ, without a spectrum; `fresh`: as if slopes were independent from layer to layer.

    Raises
    ------
    ConfigError : as `layers_of`.
    """
    return two_moments(blocks_of(layers_of(field), fresh=fresh, finer=ROUGH))


def layers_of(field: MeanField) -> list[Layer]:
    """What the solver needs to know of every layer.

    Raises
    ------
    ConfigError : see `network_law`.
    """
    widths = {width for run in field.runs for width in (run.fan_in, run.fan_out)}
    if len(widths) > 1:
        raise ConfigError(
            "`width`: a network with residual layers is predicted where all widths are the same; `spectra.sample` "
            "samples others."
        )
    layers: list[Layer] = []
    for run in field.runs:
        architecture = architecture_of(run.spec)
        level, reads = run.level, architecture.reads_state(run.spec)
        for variance in run.variances.tolist():
            if not variance > 0.0:
                raise ConfigError("`sigma_w`: no signal reaches a layer of this network; nothing is predicted of it.")
            state, drift = architecture.state(run.spec, variance, level), architecture.drift(run.spec, level)
            if drift is not None and layers and layers[-1].reads_state:
                raise ConfigError(
                    '`order = "sum"`: after a block of order "pre", on whose slopes its own depend, such a block is '
                    'not predicted; put a dense layer of activation "identity" between them.'
                )
            layers.append(
                Layer(
                    dilated(run.spec.activation, variance, state),
                    state,
                    architecture.skip(run.spec, level),
                    architecture.gain(run.spec, level),
                    run.spec.weights == "orthogonal",
                    reads,
                    architecture.hidden(run.spec, variance, level),
                    drift,
                )
            )
    return layers


def _are_chained(layers: list[Layer]) -> bool:
    """Whether slopes of one neuron in two layers depend on each other."""
    if any(a.drift and b.drift for a, b in pairwise(layers)):
        return True
    # Constant slopes depend on nothing.
    runs = (list(run) for reads, run in groupby(layers, key=lambda layer: layer.reads_state) if reads)
    return any(len(list(islice((a for a in run if slope_law(a, 2)[0].size > 1), 2))) == 2 for run in runs)


def _by_diagonals(found: BlockLaw) -> str:
    return f"density by freeness over diagonal matrices, good to {max(found.error, 1e-14):.0e} (estimated)"


def _of_freeness(defect: float) -> str:
    return (
        "slopes are independent from block to block, which makes the blocks free of each other only nearly: the free "
        f"formula's density is off by about {defect:.0e}"
    )


@single_threaded_blas()
def _against_freeness(layers: list[Layer], spectrum: Spectrum) -> tuple[str, ...]:
    """By how much plain freeness, of slopes that are fresh in every layer, is off."""
    if any(layer.hidden or layer.drift for layer in layers):
        free = free_series_moments(layers, 4)
    else:
        free = free_moments(FreeEquation(free_blocks(layers, FREE_NODES)), 4, spectrum.support()[1])
    first, second, fourth = (float(free[k - 1] / spectrum.moment(k) - 1.0) for k in (1, 2, 4))
    if any(a.drift and b.drift for a, b in pairwise(layers)):
        why, taken = "slopes φ'(h) after the sums of one neuron depend on each other", "independent"
        off = {1: first, 2: second, 4: fourth}
        if abs(first) >= SAME:
            why += ", and m_1 is not the product of chi"
    elif _are_chained(layers):
        why, taken = "slopes φ'(x) of one neuron are correlated from block to block", "fresh"
        off = {2: second, 4: fourth}
    else:
        if abs(fourth) < SAME:
            return ()
        return (
            "slopes are independent from block to block, which makes the blocks free of each other only nearly: the "
            f"free formula has m_4 off by {fourth:+.1e}, relatively",
        )
    if all(abs(each) < SAME for each in off.values()):
        agree = " and ".join(f"m_{k}" for k in off if k > 1)
        return (f"the free formula, which takes slopes for {taken} from block to block, has the same {agree} here",)
    (k, one), *others = off.items()
    *middle, last = [f"m_{k} by {_off(each)}" for k, each in others]
    deviations = f"{', '.join([f'm_{k} off by {_off(one)}', *middle])} and {last}"
    return (f"{why}: the free formula, which takes them for {taken}, has {deviations}",)


def _off(part: float) -> str:
    """A relative deviation, in per cent where they say something of it."""
    if abs(part) < SAME:
        return f"less than {SAME:.0e}"
    return f"{part:+.2%}" if abs(part) >= PER_CENT else f"{part:+.1e}"

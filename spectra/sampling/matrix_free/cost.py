"""What estimates without matrices take of memory and time, asked before anything is drawn."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import SeedSequence

from ...errors import ConfigError
from ...threads import cores, single_threaded_blas
from ..memory import Estimate, physical_memory
from ..widths import scaled_widths, whole_number
from .top import MOST_TOGETHER
from .weights import BLOCK, Independent, Reflectors, redrawn_weights

if TYPE_CHECKING:
    from ...network.config import Network

MEMORY = 2.0**28  # bytes of weights kept by default, by all workers together
_TRIED = 1000  # rows and columns of the matrix that is timed
_TOP = 4  # products more, for λ_max


def refuse_bases_beyond_memory(net: Network, width: int | None, probes: int, steps: int) -> None:
    """Raise `ConfigError` where the Krylov bases of one network, and its slopes, are more than the machine's memory."""
    memory = physical_memory()
    if memory is None:
        return
    # The width by itself first: where it is no double, neither are the others.
    needed = 8 * width if isinstance(width, int) else 0
    if needed <= memory:
        needed = _bytes(scaled_widths(net, width), probes, steps)
    if needed > memory:
        size = "its own width" if width is None else f"width {width}"
        raise ConfigError(
            f"`width`: what {probes} probes and {steps} steps need at {size} is more than the {memory / 2**30:.3g} "
            "GiB of memory of this machine; choose fewer of them, or a smaller width."
        )


def at_once(widths: tuple[int, ...], probes: int, steps: int, samples: int) -> int:
    """Networks that are estimated side by side: as many as there are cores, and as memory holds."""
    memory = physical_memory()
    room = samples if memory is None else max(1, memory // _bytes(widths, probes, steps))
    return max(1, min(cores(), samples, room))


def expected(
    net: Network,
    width: int | None = None,
    samples: int = 8,
    *,
    probes: int = 16,
    steps: int = 32,
    memory: float = MEMORY,
) -> Estimate:
    """Memory and time that `sample(net, width, samples, …)` takes here, from products of a smaller matrix timed now.

    Parameters
    ----------
    net, width, samples, probes, steps, memory : see `sample`; a thread a core is meant.

    Raises
    ------
    ConfigError : impossible width or samples, or no width anywhere.
    """
    samples, widths = whole_number("samples", samples, 1), scaled_widths(net, width)
    workers = at_once(widths, probes, steps, samples)
    specs = [spec for spec in net.layers for _ in range(spec.repeat)]
    room, first, again, kept = memory / workers, 0.0, 0.0, 0.0
    times = {kind: _seconds_an_entry(kind, probes) for kind in {spec.weights for spec in specs}}
    # Further layers of a branch keep the width.
    shapes = [
        (spec.weights, after if k else before, after)
        for spec, (before, after) in zip(specs, pairwise(widths), strict=True)
        for k in range(spec.branch_layers)
    ]
    for kind, before, after in shapes:
        drawn, used = times[kind]
        bytes_kept = 8 * (Reflectors if kind == "orthogonal" else Independent).kept_doubles(after, before)
        first += drawn * after * before
        keeps = kept + bytes_kept <= room
        kept += bytes_kept if keeps else 0.0
        again += (used if keeps else drawn) * after * before
    products = 2 * min(steps, *widths) + _TOP
    seconds = (first + products * again) * -(-samples // workers)
    return Estimate(workers * (_bytes(widths, probes, steps) + int(kept)), seconds)


def _bytes(widths: tuple[int, ...], probes: int, steps: int) -> int:
    """Of one network: bases, those joined for λ_max and their products, slopes, vectors and weights in hand."""
    n = min(widths[0], widths[-1])
    steps = min(steps, n)
    together = min(probes, MOST_TOGETHER, n // steps + 1) * steps
    doubles = probes * (steps + 3) * n + together * n + 5 * together**2 + sum(widths) + 3 * probes * max(widths)
    return 8 * (doubles + 3 * BLOCK)


def _seconds_an_entry(kind: str, probes: int) -> tuple[float, float]:
    """Seconds over N² that a product with `probes` vectors takes, weights drawn for it, and weights kept."""
    weights = redrawn_weights(kind, _TRIED, _TRIED, 1.0, SeedSequence(0), room=np.inf)
    vectors = np.ones((_TRIED, probes))
    found = []
    with single_threaded_blas():
        for _ in range(2):
            start = time.perf_counter()
            weights.times(vectors)
            found.append((time.perf_counter() - start) / _TRIED**2)
    return found[0], found[1]

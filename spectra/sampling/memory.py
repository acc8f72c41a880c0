"""What sampling takes of memory and time, asked before anything is drawn."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..network.architectures import architecture_of
from ..threads import cores, single_threaded_blas
from .forward import together
from .widths import scaled_widths, whole_number

if TYPE_CHECKING:
    from ..network.config import Network

_SURE = 0.6  # of `_peak_bytes`: what factoring a square product takes at least (0.70 measured, N = 400)


def refuse_beyond_memory(
    net: Network, width: int | None, name: str, *, dtype: str = "float64", factored: bool = False
) -> None:
    """Raise `ConfigError`, naming `name`, where one network of this width is more than the machine's memory holds.

    Parameters
    ----------
    net, width : see `sample`.
    name : of what asked.
    dtype : see `sample`.
    factored : whether the product is factored in this machine's memory where it is ill conditioned.
    """
    memory = physical_memory()
    if memory is None:
        return
    # The width by itself first: where it is no double, neither are the others.
    if (isinstance(width, int) and 8 * width > memory) or _needed(net, width, dtype, factored) > memory:
        size = "its own width" if width is None else f"width {width}"
        raise ConfigError(
            f"`{name}`: the matrices of one network of {size} are more than the {memory / 2**30:.3g} GiB of memory of "
            "this machine; choose a smaller width."
        )


def _sizes(net: Network, width: int | None) -> tuple[int, ...]:
    """N_0 … N_L, times the number of examples J is of."""
    widths, specs = scaled_widths(net, width), list(net.layers)
    copies = together(specs, max(widths))
    return tuple(n * copies for n in widths)


def _needed(net: Network, width: int | None, dtype: str, factored: bool) -> float:
    widths = _sizes(net, width)
    # Four square layers, none of them well conditioned, are factored in any case.
    steep = all(layer.weights != "orthogonal" and architecture_of(layer).is_product for layer in net.layers)
    sure = factored and steep and len(set(widths)) == 1 and len(widths) > 4
    return max(_least_bytes(widths), _SURE * _peak_bytes(widths, dtype) if sure else 0)


def _least_bytes(widths: tuple[int, ...]) -> int:
    """Doubles alive at once in the largest layer: W, D W and the product of all layers so far."""
    return 8 * max(after * (2 * before + widths[0]) for before, after in pairwise(widths))


def physical_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not tell."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return memory if memory > 0 else None


@dataclass(frozen=True)
class Estimate:
    """What sampling is expected to take.

    Parameters
    ----------
    bytes : of memory, at the peak, by all workers together.
    seconds : within a factor of two or so on an idle machine.
    """

    bytes: int
    seconds: float


def estimate(net: Network, width: int | None = None, samples: int = 8, *, dtype: str = "float64") -> Estimate:
    """Memory and time that `sample(net, width, samples)` takes here: N² and L N³, from a product and a QR timed now.

    Parameters
    ----------
    net, width, samples, dtype : see `sample`; one thread a core is meant.

    Raises
    ------
    ConfigError : impossible width or samples, or no width anywhere.
    """
    samples = whole_number("samples", samples, 1)
    widths = _sizes(net, width)
    workers = max(1, min(cores(), samples, networks_in_memory(widths, dtype) or samples))
    product, factor = _speeds(min(max(widths), 256), dtype)
    kinds = [(s.weights == "orthogonal", architecture_of(s).is_product) for s in net.layers for _ in range(s.repeat)]
    seconds, least = 0.0, widths[0]
    more = [s.branch_layers - 1 for s in net.layers for _ in range(s.repeat)]
    for (before, after), (haar, steep), further in zip(pairwise(widths), kinds, more, strict=True):
        # Either the weights or the product is factored in most layers D W, few others; U T and what is not BLAS are
        # another product.
        seconds += 2 * product * 2.0 * after * before * least
        seconds += factor * 2.0 * (4 / 3) * after * min(after, least) ** 2 * steep
        seconds += factor * (4 / 3) * max(before, after) * min(before, after) ** 2 * haar * (1 + further)
        seconds += product * 2.0 * after**3 * further
        least = min(least, after)
    seconds += factor * 12 * (4 / 3) * least**3  # five steps of QR and the windows
    return Estimate(workers * _peak_bytes(widths, dtype), seconds * math.ceil(samples / workers))


def networks_in_memory(widths: tuple[int, ...], dtype: str) -> int | None:
    """How many networks of these widths memory holds at once, at least 1; None where it is not known."""
    memory = physical_memory()
    return None if memory is None else max(1, memory // _peak_bytes(widths, dtype))


def _peak_bytes(widths: tuple[int, ...], dtype: str) -> int:
    """Of one network: the last values are found in doubles whatever C and T are held in (test: tracemalloc)."""
    return 8 * (8 if dtype == "float32" else 10) * max(widths) ** 2


def _speeds(size: int, dtype: str) -> tuple[float, float]:
    """Seconds a floating-point operation takes in a product, and in a QR factorisation, of matrices of this size."""
    matrix = np.random.default_rng(0).standard_normal((size, size)).astype(dtype)
    with single_threaded_blas():
        times = []
        for task in (lambda: matrix @ matrix, lambda: np.linalg.qr(matrix, mode="r")):
            found = []
            for _ in range(3):
                start = time.perf_counter()
                task()
                found.append(time.perf_counter() - start)
            times.append(min(found))
    return times[0] / (2 * size**3), times[1] / (4 / 3 * size**3)

"""What one network takes of the machine's memory, asked before anything is drawn."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .widths import scaled_widths

if TYPE_CHECKING:
    from ..network.config import Network


def refuse_beyond_memory(net: Network, width: int | None, name: str) -> None:
    """Raise `ConfigError`, naming `name`, where one network of this width is more than the machine's memory holds."""
    memory = _physical_memory()
    if memory is None:
        return
    # The width by itself first: where it is no double, neither are the others.
    if (isinstance(width, int) and 8 * width > memory) or _least_bytes(scaled_widths(net, width)) > memory:
        size = "its own width" if width is None else f"width {width}"
        raise ConfigError(
            f"`{name}`: the matrices of one network of {size} are more than the {memory / 2**30:.3g} GiB of memory of "
            "this machine; choose a smaller width."
        )


def _least_bytes(widths: tuple[int, ...]) -> int:
    """Doubles alive at once in the largest layer: W, D W and the product of all layers so far."""
    return 8 * max(after * (2 * before + widths[0]) for before, after in pairwise(widths))


def _physical_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not tell."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return memory if memory > 0 else None

"""Networks that a store has already, and those that are missing, as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, TypeVar

from .parallel import parallel
from .store import Store

T = TypeVar("T")


def known(
    kept: Store | None, kind: Callable[..., T], samples: int, progress: Callable[[int, int], None] | None
) -> dict[int, T]:
    """Those of the first `samples` networks that are kept, each made a `kind` of its arrays, by their index."""
    found = {} if kept is None else {index: kind(**arrays) for index, arrays in kept.load(samples).items()}
    if found and progress is not None:
        progress(len(found), samples)
    return found


def complete(
    results: dict[int, Any],
    task: Any,
    streams: Sequence[Any],
    kept: Store | None,
    progress: Callable[[int, int], None] | None,
    **workers: Any,
) -> None:
    """Put the missing ones into `results`: `task` of their streams, kept and told as they come; see `parallel`."""
    missing = [index for index in range(len(streams)) if index not in results]
    # Closed here, at once, whatever happens: nothing is left to whoever collects generators.
    with closing(parallel(task, [streams[index] for index in missing], task.stopped, **workers)) as coming:
        for place, result in coming:
            if kept is not None:
                kept.save(missing[place], vars(result))
            results[missing[place]] = result
            if progress is not None:
                progress(len(results), len(streams))

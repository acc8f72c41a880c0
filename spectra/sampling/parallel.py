"""Tasks by joblib: threads, one a core, or whatever backend was asked for; each task with single-threaded BLAS."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from threading import Event
from typing import Any, TypeVar

from ..errors import ConfigError
from ..threads import cores, single_threaded_blas

T = TypeVar("T")


def parallel(
    task: Callable[[Any], Any],
    arguments: Sequence[Any],
    stopped: Event,
    *,
    n_jobs: int | None = None,
    backend: Any = None,
    most: int | None = None,
) -> Generator[tuple[int, Any], None, None]:
    """Yield (index, task(arguments[index])) as they come.

    Parameters
    ----------
    task, arguments : both must pickle where the backend is not threads.
    stopped : set when nobody waits for results any more: at the end, after an error, after Ctrl-C.
    n_jobs : as in joblib; where left out, what `joblib.parallel_config` says, else a thread a core.
    backend : a backend of joblib; where left out, that of `joblib.parallel_config`, else threads.
    most : limit to the number of threads that is chosen here.

    Raises
    ------
    ConfigError : no such backend or number of workers.
    """
    from joblib import Parallel, delayed
    from joblib.parallel import ThreadingBackend, get_active_backend

    active, configured = get_active_backend(prefer="threads")
    if n_jobs is None and backend is not None:
        n_jobs = -1
    elif n_jobs is None and isinstance(active, ThreadingBackend) and configured == 1:
        n_jobs = max(1, min(cores(), len(arguments), most or len(arguments)))
    call = delayed(_Numbered(task))
    options = {"n_jobs": n_jobs, "backend": backend, "prefer": "threads", "batch_size": 1}
    try:
        Parallel(**options)._effective_n_jobs()
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"`sample(n_jobs={n_jobs!r}, backend={backend!r})`: joblib says: {error}") from None
    waiting = list(enumerate(arguments))
    running: Any = None
    try:
        with single_threaded_blas():
            try:
                running = Parallel(return_as="generator_unordered", **options)(call(*pair) for pair in waiting)
            except ValueError:
                # Some backends (multiprocessing, Ray, Spark) return nothing before all is done: a round at a time then.
                many = 4 * (Parallel(**options)._effective_n_jobs() or 1)
                rounds = (waiting[start : start + many] for start in range(0, len(waiting), many))
                running = (pair for some in rounds for pair in Parallel(**options)(call(*pair) for pair in some))
            for pair in running:  # noqa: UP028  # `yield from` would close it before `stopped` is set
                yield pair
    finally:
        # Nothing is left to wait for, unless an error or Ctrl-C came: then what has not begun never will, and what
        # has is let go at its next layer.
        stopped.set()
        if running is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib remarks that not all was asked for
                running.close()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made by another thread while the one before it is used."""
    from concurrent.futures import ThreadPoolExecutor

    end: Any = object()
    with ThreadPoolExecutor(1) as other:
        coming = other.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = other.submit(next, items, end)
            yield item


class _Numbered:
    """A task that says which one it was."""

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.task = task

    def __call__(self, index: int, argument: Any) -> tuple[int, Any]:
        return index, self.task(argument)

"""The command `spectra`: the only part of the package that prints."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    >>> main(["predict", "nowhere.toml"])
    2
    """
    try:
        # Here and not above: Ctrl-C may come while this is being loaded.
        from .app import INTERRUPTED, run

        status = run(arguments)
    except BaseException as error:
        if not _is_interruption(error):
            raise
        status = INTERRUPTED = 130
        sys.stderr.write("spectra: interrupted; nothing was written\n")
    if status == INTERRUPTED and arguments is None:
        # The interpreter would wait for threads that are busy with matrices; everything of ours is cleaned up.
        os._exit(status)
    if arguments is None:
        # All goes with the process: the interpreter need not search it for cycles, which takes as long as a prediction.
        gc.freeze()
    return status


def _is_interruption(error: BaseException | None) -> bool:
    """Whether Ctrl-C is at the bottom of it: libraries that are being loaded make errors of their own of it."""
    return error is not None and (
        isinstance(error, KeyboardInterrupt) or _is_interruption(error.__cause__ or error.__context__)
    )

"""The group of commands, and what every failure looks like: one line on standard error and an exit status.

Status 0: done (`check`: samples agree; `audit`: neither vanishing nor exploding). 1: `check` found disagreement,
`audit` a bad initialisation. 2: bad input, or a file that cannot be written.
3: the numerics did not reach their tolerance, memory ran out, or spectra is at fault. 130: interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from ..errors import ConfigError, ConvergenceError
from ..network.schema import nearest
from .audit import audit
from .bench import bench
from .check import check
from .compare import compare
from .law import law
from .moments import moments
from .phase import phase
from .predict import predict
from .tune import tune

BAD_INPUT, NUMERICS, INTERRUPTED, CLOSED_PIPE = 2, 3, 130, 141


class _Commands(click.Group):
    """A group that names the nearest command where the one asked for does not exist."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], known)}; there are {', '.join(known)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Caught here, before click prints an empty line of its own.
            raise _InterruptedError from None
        except BrokenPipeError:
            # Click would exit with 1, which is the verdict of `check`.
            raise _ClosedPipeError from None


class _InterruptedError(Exception):
    """Ctrl-C, on its way to `main`."""


class _ClosedPipeError(Exception):
    """The reader of standard output went away; on its way to `run`."""


def _version() -> str:
    try:
        return version("jacobian-spectra")
    except PackageNotFoundError:
        return "(not installed: run from its source)"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version(), prog_name="spectra")
def commands() -> None:
    """Predict the singular values of the input-output Jacobian of a wide random network."""


for _command in (predict, compare, check, bench, moments, law, phase, tune, audit):
    commands.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status, whatever happens."""
    if sys.stdout is None:
        return _fail("standard output is closed; send it to a file, or to /dev/null", BAD_INPUT)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no Greek shows question marks rather than a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        status = commands.main(
            args=None if arguments is None else list(arguments), prog_name="spectra", standalone_mode=False
        )
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return BAD_INPUT
    except click.ClickException as error:
        return _fail(error.format_message(), BAD_INPUT)
    except ConfigError as error:
        return _fail(str(error), BAD_INPUT)
    except (BrokenPipeError, _ClosedPipeError):
        # The reader went away: no error of ours, and the interpreter must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}", BAD_INPUT)
    except ConvergenceError as error:
        return _fail(str(error), NUMERICS)
    except MemoryError:
        return _fail("out of memory; a smaller depth, width or number of points needs less", NUMERICS)
    except (KeyboardInterrupt, click.Abort, _InterruptedError):
        return _fail("interrupted; nothing was written", INTERRUPTED)
    except Exception:
        # Status 1 belongs to `check`; a fault of ours must not be taken for its verdict.
        traceback.print_exc()
        return _fail("the error above is a fault of spectra; please report it", NUMERICS)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    click.echo(f"spectra: {' '.join(message.split())}", err=True)
    return status

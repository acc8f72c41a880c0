"""Where results go: standard output for the reader, files whole or not at all, notes to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..files import Path, check_writable, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..sampling import Estimate

Progress = Callable[[int, int], None]
_LONG = 20.0  # seconds of sampling that are announced


@dataclass(frozen=True)
class Outputs:
    """The places a command writes to, found usable before anything is computed.

    Parameters
    ----------
    json_path : file, "-" for standard output, or None.
    plot_path : file or None.
    config_path : file for a configuration, or None.
    """

    json_path: str | None
    plot_path: str | None = None
    config_path: str | None = None

    def __post_init__(self) -> None:
        if self.json_path == "":
            raise click.UsageError("`--json ''`: must be a path, or -.")
        named = {"--json": self.json_path, "--plot": self.plot_path, "--write": self.config_path}
        paths = {option: path for option, path in named.items() if path is not None and path != "-"}
        if len({os.path.realpath(path) for path in paths.values()}) < len(paths):
            raise click.UsageError(f"`{'` and `'.join(paths)}` name the same file.")
        read = {os.path.realpath(path) for path in _configurations()}
        for option, path in paths.items():
            # `tune --write` may put the mended configuration where the other was.
            if option != "--write" and os.path.realpath(path) in read:
                raise click.UsageError(f"`{option} {path}`: is the configuration that is read.")
            check_writable(path)

    @property
    def silent(self) -> bool:
        """Whether standard output belongs to JSON alone."""
        return self.json_path == "-"

    def write(
        self,
        document: Callable[[], dict[str, Any]],
        figure: Callable[[], Figure] | None = None,
        config: Callable[[], str] | None = None,
    ) -> None:
        """Make what was asked for, then write all of it; commands without `--plot` have no figure."""
        contents: dict[Path, bytes] = {}
        text = ""
        if self.json_path is not None:
            from ..record import to_json

            text = to_json(document()) + "\n"
        if self.plot_path is not None and figure is not None:
            from ..plot import figure_bytes

            file_format = os.path.splitext(self.plot_path)[1].lower().lstrip(".")
            contents[self.plot_path] = figure_bytes(figure(), file_format)
        if self.config_path is not None and config is not None:
            contents[self.config_path] = config().encode()
        if self.json_path is not None and not self.silent:
            contents[self.json_path] = text.encode()
        write_whole(contents)
        if self.silent:
            sys.stdout.write(text)


def _configurations() -> tuple[str, ...]:
    """The files that the command at hand reads."""
    context = click.get_current_context(silent=True)
    named = context.params.get("config", context.params.get("configs", ())) if context is not None else ()
    return (named,) if isinstance(named, str) else tuple(named or ())


def say_notes(notes: Iterable[str]) -> None:
    """Print notes on standard error, a line each."""
    for note in notes:
        click.echo(f"note: {' '.join(str(note).split())}", err=True)


@contextmanager
def progress(label: str) -> Iterator[Callable[[str], Progress | None]]:
    """Bars on standard error where it is a terminal; otherwise nothing at all.

    Yields a function from a label to a callback (done, total).
    """
    if not sys.stderr.isatty():
        yield lambda _label: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def start(part: str) -> Progress:
            task = bars.add_task(f"{label} {part}".strip())
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield start


@contextmanager
def working(label: str) -> Iterator[None]:
    """What is being done, and since when, on standard error where it is a terminal; otherwise nothing at all."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bars.add_task(label, total=None)
        yield


@contextmanager
def told_where_to_go_on(store: str | None) -> Iterator[None]:
    """Ctrl-C with `--store` loses nothing, and says so."""
    try:
        yield
    except KeyboardInterrupt:
        if store is not None:
            say_notes([f"what was sampled is in {store}; the same command goes on from there"])
        raise


def say_what_it_takes(found: Sequence[Estimate], times: float = 1.0) -> None:
    """Say on standard error what memory and time sampling takes, one run after the other, where that is long."""
    seconds = times * sum(each.seconds for each in found)
    if seconds > _LONG:
        time = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        time = time if seconds < 7200 else f"{seconds / 3600:.1f} h"
        memory = max(each.bytes for each in found) / 2**30
        say_notes([f"sampling: about {time} and {memory:.2g} GiB of memory"])

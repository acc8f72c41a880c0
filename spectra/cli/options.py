"""Options that several commands share, and the kinds of value they take."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ..network.toml import parse_change

if TYPE_CHECKING:
    from ..network.config import Network

MAX_POINTS = 1_000_000


class NumberList(click.ParamType):
    """Numbers separated by commas, every one finite."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple of floats; whole numbers stay whole, so that they are echoed as they were given."""
        if not isinstance(value, str):
            return value
        numbers = []
        for text in value.split(","):
            try:
                number = int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
            except ValueError:
                self.fail(f"{text.strip()!r} is not a number; give numbers separated by commas.", param, ctx)
            if not math.isfinite(_as_float(number)):
                self.fail(f"{text.strip()!r} is not finite.", param, ctx)
            numbers.append(number)
        return tuple(numbers)


class CountList(click.ParamType):
    """Whole numbers of at least 1, separated by commas."""

    name = "counts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple of ints."""
        if not isinstance(value, str):
            return value
        parts = [text.strip() for text in value.split(",")]
        for text in parts:
            if not text.isdecimal() or len(text) > 12 or int(text) < 1:
                self.fail(f"{text!r} is not a whole number of at least 1; separate several by commas.", param, ctx)
        return tuple(int(text) for text in parts)


class NameList(click.ParamType):
    """Names separated by commas; what they may be is for the network description to say."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple of strings."""
        if not isinstance(value, str):
            return value
        parts = tuple(text.strip() for text in value.split(","))
        if not all(parts):
            self.fail(f"{value!r} has an empty name; separate names by single commas.", param, ctx)
        return parts


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _changes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    return dict(parse_change(text) for text in values)


def _plot_path(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from ..plot import FORMATS

    if os.path.splitext(value)[1].lower().lstrip(".") not in FORMATS:
        raise click.BadParameter(f"{value!r} must end in {', '.join('.' + name for name in FORMATS)}.")
    return value


def set_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--set key=value`, any number of times."""
    return click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_changes,
        help="Change a key of the configuration; dotted keys reach inside (layers.0.width=64); KEY= takes it out.",
    )(command)


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How networks are sampled: precision, method, array library and device, workers, and where they are kept."""
    options = (
        click.option(
            "--dtype",
            type=click.Choice(["float64", "float32"]),
            default="float64",
            show_default=True,
            help="Precision of the products; in float32 the smallest singular values keep three digits or fewer.",
        ),
        click.option(
            "--method",
            type=click.Choice(["auto", "graded", "plain"]),
            default="auto",
            show_default=True,
            help="Keep products graded, so that no singular value is lost: where needed, always, never.",
        ),
        click.option("--array-module", metavar="NAME", help="Multiply with torch, cupy, … instead of numpy."),
        click.option("--device", metavar="NAME", help="Device of that library, such as cuda."),
        click.option("--jobs", "n_jobs", type=int, metavar="N", help="Networks sampled at once; one a core."),
        click.option("--backend", metavar="NAME", help="What runs them: a backend of joblib (loky, dask, …)."),
        click.option(
            "--store", metavar="DIR", help="Keep every network in DIR as it comes; a run that was killed goes on."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def points_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--points`."""
    return click.option(
        "--points",
        type=click.IntRange(1, MAX_POINTS),
        default=400,
        show_default=True,
        help="Number of density points where --at is not given.",
    )(command)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` and `--plot`."""
    plot = click.option(
        "--plot", "plot_path", metavar="PATH", callback=_plot_path, help="Write a figure (.png, .pdf or .svg)."
    )
    return json_option(plot(command))


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`."""
    return click.option(
        "--json", "json_path", metavar="PATH|-", help="Write JSON; - prints it and nothing else on standard output."
    )(command)


def load(path: str, changes: dict[str, Any]) -> Network:
    """Network of a configuration file, with the changes of `--set`."""
    from ..network.config import Network

    return Network.from_toml(path, changes)

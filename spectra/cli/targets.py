"""The options that name a target, of `tune` and `audit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..advice.targets import Target

_OPTIONS = {
    "variance": ("V", "Variance of JJᵀ of at most V."),
    "s-max": ("S", "Largest singular value (all but 1e-12 of the mass) of at most S."),
    "condition": ("K", "Condition number s_max/s_min (all but 1e-12 of the mass) of at most K."),
    "gradient": ("F", "98 % of the singular values within a factor F of 1."),
}
DEFAULT_VARIANCE = 0.25


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--target-variance`, `--target-s-max`, `--target-condition`, `--target-gradient`."""
    for name, (letter, text) in reversed(_OPTIONS.items()):
        command = click.option(f"--target-{name}", type=float, metavar=letter, help=text)(command)
    return command


def chosen_target(options: dict[str, float | None]) -> Target | None:
    """The one target given, or None.

    Raises
    ------
    click.UsageError : more than one.
    ConfigError : an impossible value.
    """
    from ..advice.targets import Target

    given = [(key.removeprefix("target_"), value) for key, value in options.items() if value is not None]
    if len(given) > 1:
        names = " and ".join(f"`--target-{kind.replace('_', '-')}`" for kind, _ in given)
        raise click.UsageError(f"{names}: give one target.")
    return Target(given[0][0], given[0][1]) if given else None  # type: ignore[arg-type]

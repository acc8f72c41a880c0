"""`spectra tune`: σ_w and σ_b for a target on the spectrum."""

from __future__ import annotations

from typing import Any

import click

from .options import json_option, points_option, set_option
from .outputs import Outputs, say_notes, working
from .targets import DEFAULT_VARIANCE, chosen_target, target_options


@click.command()
@click.argument("config")
@target_options
@click.option("--write", "config_path", metavar="PATH", help="Write the tuned configuration as TOML.")
@points_option
@set_option
@json_option
def tune(
    config: str,
    config_path: str | None,
    points: int,
    changes: dict[str, Any],
    json_path: str | None,
    **targets: float | None,
) -> None:
    """Choose σ_w and σ_b of the network in CONFIG, which needs neither, so that its spectrum keeps to a target.

    The target is a variance of JJᵀ of 0.25 where none is given. Exit status 0 also where it is out of reach: that is
    an answer.
    """
    outputs = Outputs(json_path, config_path=config_path)

    from ..advice.targets import Target
    from ..advice.tune import tune as tune_network
    from ..errors import ConfigError
    from ..network.toml import read_toml, to_toml, with_changes

    target = chosen_target(targets) or Target("variance", DEFAULT_VARIANCE)
    try:
        with working(f"tuning to a {target.words} of {target.value:g} at most"):
            tuned = tune_network(with_changes(read_toml(config), changes), target)
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from None
    with working("the spectrum of the tuned network"):
        record = tuned.to_dict(points=points)
    network = tuned.network
    outputs.write(lambda: record, config=None if network is None else lambda: to_toml(network.to_dict()))
    if not outputs.silent:
        from .advice_tables import print_tuned

        print_tuned(tuned)
    say_notes(tuned.notes)

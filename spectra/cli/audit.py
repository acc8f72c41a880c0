"""`spectra audit`: a verdict on an initialisation, for people and for continuous integration."""

from __future__ import annotations

from typing import Any

import click

from .options import json_option, load, points_option, set_option
from .outputs import Outputs, say_notes, working
from .targets import chosen_target, target_options

BAD_INIT = 1


@click.command()
@click.argument("config")
@target_options
@click.option(
    "--within",
    type=float,
    default=10.0,
    show_default=True,
    metavar="F",
    help="Factor by which root mean square gradients and signals may change over the layers.",
)
@click.option(
    "--input",
    "data_path",
    metavar="FILE",
    help="Inputs (.npy, examples first, or text, one a line): what they do to q_1.",
)
@points_option
@set_option
@json_option
def audit(
    config: str,
    within: float,
    data_path: str | None,
    points: int,
    changes: dict[str, Any],
    json_path: str | None,
    **targets: float | None,
) -> int:
    """Judge the initialisation of the network in CONFIG; exit 1 where gradients vanish or explode.

    Also 1 where a target is given and not kept; 0 otherwise. Status 2 is bad input.
    """
    outputs = Outputs(json_path)
    target = chosen_target(targets)
    net = load(config, changes)

    from ..advice.audit import audit as judge

    inputs = None
    if data_path is not None:
        from ..errors import ConfigError
        from ..files import read_numbers
        from ..flow.inputs import Inputs

        try:
            inputs = Inputs.of(read_numbers(data_path))
        except ValueError as error:
            raise ConfigError(f"{data_path}: {error}") from None
        net = inputs.into(net)
    with working("following signals and gradients, and looking for what would be better"):
        found = judge(net, target, within=within)
    record = found.to_dict(points=points)
    if inputs is not None:
        q_1, c_1 = inputs.first_layer(net)
        record["inputs"] = {
            "mean": inputs.mean,
            "variance": inputs.variance,
            "mean_square": inputs.mean_square,
            "spread": inputs.spread,
            "correlation": inputs.correlation,
            "q_1": q_1,
            "c_1": c_1,
        }
    outputs.write(lambda: record)
    if not outputs.silent:
        from .advice_tables import print_audit

        print_audit(found, record)
    say_notes(found.notes)
    return 0 if found.ok else BAD_INIT

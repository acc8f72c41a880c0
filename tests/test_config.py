"""Network descriptions: what is accepted, what it means, and how everything else is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from spectra.activations import Activation, get_activation
from spectra.errors import ConfigError
from spectra.network.config import Network
from spectra.network.toml import parse_change

BASE = {"depth": 4, "activation": "tanh", "sigma_w": 1.2, "sigma_b": 0.1}
CRITICAL = {"depth": 4, "activation": "tanh", "sigma_w": "critical"}


def without(table: dict, *keys: str) -> dict:
    return {key: value for key, value in table.items() if key not in keys}


def message(**keys: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Network(**keys)
    text = str(caught.value)
    assert "\n" not in text
    return text


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("depth", 0),
        ("depth", -1),
        ("depth", 2.0),
        ("depth", "4"),
        ("depth", True),
        ("depth", 10**12),
        ("sigma_w", 0),
        ("sigma_w", -1.0),
        ("sigma_w", True),
        ("sigma_w", float("nan")),
        ("sigma_w", float("inf")),
        ("sigma_w", 10**400),
        ("sigma_w", "critcal"),
        ("sigma_w", [1.0]),
        ("sigma_b", -0.1),
        ("sigma_b", False),
        ("sigma_b", 1e-200),
        ("weights", "ortogonal"),
        ("weights", 3),
        ("input_variance", 0.0),
        ("input_variance", -1),
        ("input_variance", "fixedpoint"),
        ("width", 0),
        ("width", 10.5),
        ("kind", "convolutional"),
    ],
)
def test_impossible_values_are_refused_with_key_value_and_remedy(key: str, value: object) -> None:
    text = message(**(BASE | {key: value}))
    assert f"`{key} = " in text
    assert "must" in text


@pytest.mark.parametrize(
    ("keys", "meant"),
    [
        ({"depht": 3}, '"depth"'),
        ({"sigma_W": 3}, '"sigma_w"'),
        ({"weights": "gausian"}, '"gaussian"'),
        ({"sigma_w": "Critical "}, '"critical"'),
        ({"input_variance": "fixed_point"}, '"fixed-point"'),
        ({"activation": "tahn"}, "tanh"),
    ],
)
def test_misspellings_are_answered_with_the_nearest_name(keys: dict, meant: str) -> None:
    assert f"did you mean {meant}" in message(**(BASE | keys)).replace("'", "")


@pytest.mark.parametrize("key", ["depth", "activation", "sigma_w"])
def test_what_must_be_given_is_named_when_missing(key: str) -> None:
    assert message(**without(BASE, key)).startswith(f"`{key}`: missing")


@pytest.mark.parametrize(
    ("keys", "fragment"),
    [
        (CRITICAL, "neither is given"),
        (CRITICAL | {"sigma_b": 0.1, "q_star": 0.1}, "both are given"),
        (BASE | {"q_star": 0.1}, 'goes only with `sigma_w = "critical"`'),
    ],
)
def test_critical_needs_exactly_one_of_sigma_b_and_q_star(keys: dict, fragment: str) -> None:
    assert fragment in message(**keys)


def test_an_activation_error_names_the_layer() -> None:
    layers = [{}, {"activation": "tahn"}]
    assert message(**without(BASE, "depth"), layers=layers).startswith("`layers.1.activation = ")


def test_unknown_parameter_of_an_activation_is_refused() -> None:
    text = message(**(BASE | {"activation": {"name": "leaky_relu", "neg_slope": 0.1}}))
    assert "activation" in text
    assert "negative_slope" in text


def test_expressions_cannot_run_code() -> None:
    text = message(**(BASE | {"activation": {"expr": "__import__('os').system('true')"}}))
    assert "activation" in text


# Layers -----------------------------------------------------------------------------------------------------------


def test_depth_and_layers_exclude_each_other() -> None:
    assert "must be left out" in message(**BASE, layers=[{}])


def test_layers_inherit_what_they_leave_out() -> None:
    net = Network(
        **without(BASE, "depth"), weights="orthogonal", layers=[{"repeat": 3}, {"activation": "gelu", "sigma_w": 2.0}]
    )
    first, second = net.layers
    assert (first.activation.name, first.weights, first.sigma_w, first.repeat) == ("tanh", "orthogonal", 1.2, 3)
    assert (second.activation.name, second.weights, second.sigma_w, second.sigma_b) == ("gelu", "orthogonal", 2.0, 0.1)
    assert net.depth == 4


def test_a_layers_own_keys_displace_inherited_ones_they_contradict() -> None:
    net = Network(
        **without(CRITICAL, "depth"), q_star=0.1, layers=[{}, {"sigma_w": 1.5}, {"sigma_b": 0.2}, {"q_star": 0.3}]
    )
    seen = [(spec.sigma_w, spec.sigma_b, spec.q_star) for spec in net.layers]
    assert seen == [("critical", None, 0.1), (1.5, 0.0, None), ("critical", 0.2, None), ("critical", None, 0.3)]


def test_consecutive_equal_layers_become_one_run() -> None:
    net = Network(**without(BASE, "depth"), layers=[{"repeat": 2}, {"repeat": 2}, {"sigma_w": 2.0}])
    assert [spec.repeat for spec in net.layers] == [4, 1]


def test_a_million_layers_cost_what_one_does() -> None:
    net = Network(**(BASE | {"depth": 10**6}))
    assert net.depth == 10**6
    assert len(net.layers) == 1


def test_total_depth_is_bounded() -> None:
    assert "at most" in message(**without(BASE, "depth"), layers=[{"repeat": 6 * 10**6}, {"repeat": 6 * 10**6}])


# Widths -----------------------------------------------------------------------------------------------------------


def test_widths_of_a_rectangular_net_include_the_input() -> None:
    net = Network(**without(BASE, "depth"), input_width=7, layers=[{"width": 5}, {"width": 3, "repeat": 2}])
    assert net.widths == (7, 5, 3)
    assert net.rectangular
    assert net.width is None


def test_one_width_at_the_top_is_a_square_net() -> None:
    net = Network(**BASE, width=30)
    assert (net.width, net.input_width, net.widths, net.rectangular) == (30, 30, (30, 30), False)
    assert Network(**BASE).widths is None


def test_widths_are_stated_for_all_layers_or_for_none() -> None:
    assert message(**without(BASE, "depth"), layers=[{"width": 3}, {}]).startswith("`width`")
    assert message(**without(BASE, "depth"), layers=[{"width": 3}, {"width": 4}]).startswith("`input_width`")
    assert message(**BASE, input_width=3).startswith("`input_width")


# One object -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        BASE,
        CRITICAL | {"q_star": 0.1, "weights": "orthogonal", "input_variance": "fixed-point", "width": 100},
        without(BASE, "depth") | {"layers": [{"repeat": 2}, {"activation": {"name": "elu", "alpha": 0.5}}]},
        BASE | {"activation": {"expr": "tanh(x) + x/10"}},
    ],
)
def test_to_dict_round_trips_through_json(keys: dict) -> None:
    net = Network(**keys)
    again = Network(**json.loads(json.dumps(net.to_dict())))
    assert again == net
    assert hash(again) == hash(net)


def test_equality_is_by_content() -> None:
    one = Network(**BASE)
    assert one == Network(**without(BASE, "depth"), layers=[{"repeat": 3}, {}])
    assert one == Network(**(BASE | {"activation": {"name": "Tanh"}}))
    assert one != Network(**(BASE | {"sigma_w": 1.3}))
    assert one != Network(**(BASE | {"activation": "erf"}))
    assert len({one, one.replace(depth=5), one.replace(depth=5)}) == 2


def test_a_network_cannot_be_changed() -> None:
    net = Network(**BASE)
    with pytest.raises(FrozenInstanceError):
        net.input_variance = 2.0  # type: ignore[misc]
    net.to_dict()["depth"] = 9
    assert net.depth == 4


def test_a_callable_activation_is_kept_as_it_is() -> None:
    own = Activation.from_callable(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2, name="mine")
    net = Network(**(BASE | {"activation": own}))
    assert net.layers[0].activation is own
    assert net == Network(**(BASE | {"activation": own}))
    assert net.to_dict()["activation"] == {"callable": "mine"}


def test_activation_objects_are_written_as_configurations_write_them() -> None:
    for spec in ("tanh", {"name": "elu", "alpha": 0.5}, {"expr": "tanh(x) + x/10"}):
        net = Network(**(BASE | {"activation": get_activation(spec)}))
        assert net.to_dict()["activation"] == spec
        assert net == Network(**(BASE | {"activation": spec}))


def test_numpy_numbers_are_numbers() -> None:
    net = Network(**(BASE | {"depth": np.int64(4), "sigma_w": np.float64(1.2)}))
    assert net == Network(**BASE)


def test_none_counts_as_left_out() -> None:
    assert Network(**BASE, q_star=None, layers=None) == Network(**BASE)


# Files and changes ------------------------------------------------------------------------------------------------


def test_toml_file_and_keywords_give_the_same_network(tmp_path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(
        "weights = 'orthogonal'\nactivation = 'tanh'\nsigma_w = 'critical'\nq_star = 0.1\n"
        "[[layers]]\nrepeat = 3\n[[layers]]\nactivation = {name = 'leaky_relu', negative_slope = 0.2}\n"
    )
    layers = [{"repeat": 3}, {"activation": {"name": "leaky_relu", "negative_slope": 0.2}}]
    expected = Network(weights="orthogonal", activation="tanh", sigma_w="critical", q_star=0.1, layers=layers)
    assert Network.from_toml(path) == expected
    changed = Network.from_toml(path, {"layers.1.activation.negative_slope": 0.3, "layers.0.repeat": 5})
    assert changed.layers[0].repeat == 5
    assert dict(changed.layers[1].activation.parameters)["negative_slope"] == 0.3


def test_what_is_not_toml_is_refused_with_file_and_line(tmp_path) -> None:
    path = tmp_path / "net.toml"
    path.write_text("depth = 3\nnot toml =\n")
    with pytest.raises(ConfigError, match=re.escape(str(path)) + r".*line 2"):
        Network.from_toml(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        Network.from_toml(path)
    with pytest.raises(ConfigError, match="No such file"):
        Network.from_toml(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("depth=9", ("depth", 9)),
        ("sigma_w = 1.5", ("sigma_w", 1.5)),
        ("weights=gaussian", ("weights", "gaussian")),
        ('weights="gaussian"', ("weights", "gaussian")),
        ("activation={expr = 'tanh(x)'}", ("activation", {"expr": "tanh(x)"})),
        ("q_star=", ("q_star", None)),
        ("a=1\nb=2", ("a", "1\nb=2")),
    ],
)
def test_set_values_are_toml_or_else_text(text: str, expected: tuple) -> None:
    assert parse_change(text) == expected


@pytest.mark.parametrize("text", ["depth", "=3", ""])
def test_set_needs_a_key_and_an_equals_sign(text: str) -> None:
    with pytest.raises(ConfigError, match="key=value"):
        parse_change(text)


def test_replace_reaches_inside_by_dotted_keys() -> None:
    net = Network(**(BASE | {"activation": "leaky_relu"}))
    assert dict(net.replace(**{"activation.negative_slope": 0.5}).layers[0].activation.parameters) == {
        "negative_slope": 0.5
    }
    assert net.layers[0].activation.parameters == Network(**net.to_dict()).layers[0].activation.parameters
    layered = Network(**without(BASE, "depth"), layers=[{}, {"sigma_w": 2.0}])
    assert layered.replace(**{"layers.1.sigma_w": 3.0}).layers[1].sigma_w == 3.0
    assert layered.replace(**{"layers.1.sigma_w": None}).layers[0].repeat == 2


@pytest.mark.parametrize("key", ["layers.7.width", "layers.x.width", "layers.0", "depth.width", "nothing.width"])
def test_dotted_keys_that_lead_nowhere_are_refused(key: str) -> None:
    net = Network(**without(BASE, "depth"), layers=[{}, {"sigma_w": 2.0}])
    with pytest.raises(ConfigError, match=re.escape(f"`{key}")):
        net.replace(**{key: 3})


def test_pydantic_is_imported_by_the_first_network_and_not_before() -> None:
    code = (
        "import sys, spectra.network.config as c; assert 'pydantic' not in sys.modules;"
        "c.Network(depth=1, activation='tanh', sigma_w=1.0); assert 'pydantic' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

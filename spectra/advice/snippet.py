"""Text to paste: a PyTorch function that initialises a model's linear layers as the mean field has them."""

from __future__ import annotations

from itertools import groupby

from ..network.architectures import architecture_of
from ..network.meanfield import MeanField

_DRAW = {
    "orthogonal": "nn.init.orthogonal_(layer.weight, gain=sigma_w * math.sqrt(max(1.0, fan_out / fan_in)))",
    "gaussian": "nn.init.normal_(layer.weight, std=sigma_w / math.sqrt(fan_in))",
    "uniform": "nn.init.uniform_(layer.weight, -sigma_w * math.sqrt(3 / fan_in), sigma_w * math.sqrt(3 / fan_in))",
    "rademacher": "layer.weight.bernoulli_(0.5).mul_(2.0).sub_(1.0).mul_(sigma_w / math.sqrt(fan_in))",
}


def pytorch_snippet(field: MeanField) -> str:
    """A function `init_weights(model)` for a model whose `nn.Linear` layers are those of `field`, in order.

    Variances are those of the fan-in convention, Var W = σ_w²/fan_in; `orthogonal_` makes all singular values its gain,
    σ_w where a layer does not widen and σ_w √(fan_out/fan_in) where it does.
    """
    runs = [
        (run.spec.weights, float(run.spec.sigma_w), float(run.spec.sigma_b or 0.0), run.repeat * run.spec.branch_layers)
        for run in field.runs
    ]
    merged = [(key, sum(run[3] for run in same)) for key, same in groupby(runs, key=lambda run: run[:3])]
    kinds = list(dict.fromkeys(kind for (kind, _, _), _ in merged))
    several = len(kinds) > 1
    rows = ((f'"{kind}", ' if several else "", sigma_w, sigma_b, count) for (kind, sigma_w, sigma_b), count in merged)
    scales = " + ".join(f"{count} * [({kind}{sigma_w!r}, {sigma_b!r})]" for kind, sigma_w, sigma_b, count in rows)
    names = "kind, sigma_w, sigma_b" if several else "sigma_w, sigma_b"
    lines = ["import math", "", "import torch", "from torch import nn", "", "", "@torch.no_grad()"]
    lines += ["def init_weights(model):", f"    # ({names}) of every layer", f"    scales = {scales}"]
    lines += ["    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]"]
    lines += [f"    for layer, ({names}) in zip(layers, scales, strict=True):"]
    lines += ["        fan_out, fan_in = layer.weight.shape"]
    if several:
        for number, kind in enumerate(kinds):
            lines += [f'        {"el" if number else ""}if kind == "{kind}":', f"            {_DRAW[kind]}"]
    else:
        lines += [f"        {_DRAW[kinds[0]]}"]
    if any(sigma_b for (_, _, sigma_b), _ in merged):
        lines += ["        nn.init.normal_(layer.bias, std=sigma_b)"]
    else:
        lines += ["        if layer.bias is not None:", "            nn.init.zeros_(layer.bias)"]
    lines += _block(field)
    lines += ["", "", f"# Scale inputs to a mean square of {field.input_variance!r}."]
    return "\n".join(lines) + "\n"


# Modules of a normalisation, by its name; γ beside them.
_NORMS = {
    "batch": "nn.BatchNorm1d(width, eps={eps!r}, affine=False)",
    "layer": "nn.LayerNorm(width, eps={eps!r}, elementwise_affine=False)",
    "rms": "nn.RMSNorm(width, eps={eps!r}, elementwise_affine=False)",
}


def _block(field: MeanField) -> list[str]:
    """A module for the blocks that are not `nn.Linear` and φ, where there are any."""
    found = [(architecture_of(run.spec).torch(run.spec), run) for run in field.runs]
    found = [(form, run) for form, run in found if form]
    if not found:
        return []
    specs = [run.spec for _, run in found]
    # What a block returns, by its order where there are several.
    forms: dict[str, str] = {}
    for (form, _), spec in zip(found, specs, strict=True):
        normal = spec.normalise
        if normal is not None and normal.gain != 1.0:
            form = form.replace("self.norm(", f"{normal.gain!r} * self.norm(")
        if form not in forms.values():
            forms[(spec.order or "dense") + ("" if normal is None else f", {normal.name} norm")] = form
    numbers = list(dict.fromkeys((architecture_of(s).scale(s), architecture_of(s).skip(s)) for s in specs))
    several, deep = len(forms) > 1, any(spec.branch_layers > 1 for spec in specs)
    lines = [
        "",
        "",
        "class Block(nn.Module):",
        f"    # phi: {', '.join(dict.fromkeys(s.activation.name for s in specs))}",
    ]
    if len(numbers) > 1:
        lines.append(f"    # (alpha, skip) of successive blocks: {numbers}")
    alpha, skip = numbers[0]
    extra = f', order="{next(iter(forms))}"' if several else ""
    extra += f", layers={specs[0].branch_layers}" if deep else ""
    lines += [
        f"    def __init__(self, width, phi, alpha={alpha!r}, skip={skip!r}{extra}):",
        "        super().__init__()",
    ]
    if deep:
        lines += [
            "        inner = [part for _ in range(layers - 1) for part in (nn.Linear(width, width), phi)]",
            "        self.linear, self.phi = nn.Sequential(*inner, nn.Linear(width, width)), phi",
        ]
    else:
        lines += ["        self.linear, self.phi = nn.Linear(width, width), phi"]
    lines += [
        f"        self.alpha, self.skip{', self.order' if several else ''} = alpha, skip{', order' if several else ''}"
    ]
    norms = list(dict.fromkeys(_NORMS[n.name].format(eps=n.epsilon) for n in (s.normalise for s in specs) if n))
    lines += [f"        self.norm = {norm}" if k == 0 else f"        # or {norm}" for k, norm in enumerate(norms)]
    lines += ["", "    def forward(self, x):"]
    for order, form in list(forms.items())[1:]:
        lines += [f'        if self.order == "{order}":', f"            return {form}"]
    return [*lines, f"        return {next(iter(forms.values()))}"]

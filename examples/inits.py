"""What common initialisations do to signals and gradients: predicted layer by layer, and seen in real networks.

Four things that people find out the hard way, each as one line of prediction beside one run:

1. weights of standard deviation 1 and width 256 leave the range of float32 within about thirty linear layers, weights
   of standard deviation 1/16 do not;
2. xavier_uniform in a hundred tanh layers: signals decay like 1/√(2l), gradients like a power of the depth;
3. tanh with the gain 5/3 of torch.nn.init explodes: χ_1 = 1.2098 a layer;
4. torch's own default (variance 1/(3 fan_in)) vanishes: χ_1 = 1/3 a layer.

Saves inits.png.
"""

import numpy as np
from matplotlib.figure import Figure

import spectra
from spectra.flow import flow
from spectra.flow.sampled import sample_flow
from spectra.inits.explain import explain

WIDTH = 256


def overflow(std):
    """Layer at which one real float32 network leaves the range of numbers, up to 100."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(WIDTH).astype(np.float32)
    for layer in range(1, 101):
        with np.errstate(over="ignore", invalid="ignore"):
            x = (np.float32(std) * rng.standard_normal((WIDTH, WIDTH), dtype=np.float32)) @ x
        if not np.isfinite(x).all():
            return layer
    return None


def network(depth, activation="tanh", **keys):
    return spectra.Network(depth=depth, activation=activation, width=WIDTH, input_variance=1.0, **keys)


print("1. linear layers of width 256, float32")
for std in (1.0, 1 / 16):
    predicted = flow(network(100, "identity", init={"name": "normal", "std": std})).overflow("float32")
    print(f"   std {std:<7g} overflows at layer: predicted {predicted}, one network {overflow(std)}")

NETS = {
    "xavier_uniform": network(100, init="xavier_uniform"),
    "xavier_uniform, gain 5/3": network(100, init={"name": "xavier_uniform", "nonlinearity": "tanh"}),
    "torch_default": network(100, init="torch_default"),
    "orthogonal, tuned": network(100, weights="orthogonal", sigma_w="critical", q_star=0.1).replace(
        input_variance=None
    ),
}

print(
    "2.-4. a hundred tanh layers: root mean square of h_100, and length of the gradient at the input over the output's"
)
figure = Figure(figsize=(9, 3.8), layout="constrained")
left, right = figure.subplots(1, 2)
for index, (name, net) in enumerate(NETS.items()):
    predicted, sampled = flow(net), sample_flow(net, samples=2, seed=1)
    signals, gradients = 0.5 * predicted.log_h / np.log(10), predicted.log_grad_norm / np.log(10)
    seen_signals = 0.5 * np.log10(sampled.h.mean(axis=0))
    seen_gradients = 0.5 * np.log10(sampled.grad_x.mean(axis=0))
    print(
        f"   {name:25s} h: predicted 10^{signals[-1]:6.2f}, sampled 10^{seen_signals[-1]:6.2f}"
        f"   gradient: predicted 10^{gradients[0]:7.2f}, sampled 10^{seen_gradients[0]:7.2f}"
    )
    layers = np.arange(1, 101)
    left.plot(layers, signals, color=f"C{index}", label=name)
    left.plot(layers[::6], seen_signals[::6], ".", color=f"C{index}")
    right.plot(np.arange(101), gradients, color=f"C{index}", label=name)
    right.plot(np.arange(101)[::6], seen_gradients[::6], ".", color=f"C{index}")

left.set(xlabel="layer l", ylabel="log10 of the root mean square of h_l", title="signals, forward")
right.set(xlabel="layer l", ylabel="log10 of |∂C/∂x_l| / |∂C/∂x_L|", title="gradients, backward")
right.legend(frameon=False)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig("inits.png", dpi=150)

print("What the standard gains do in 32 layers:")
for nonlinearity in ("linear", "tanh", "relu", "selu", "sigmoid"):
    print("  ", explain(nonlinearity, depth=32).sentence)

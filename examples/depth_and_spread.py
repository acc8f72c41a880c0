"""How fast do singular values spread with depth? Gaussian against orthogonal weights, tanh on the edge of chaos.

Both nets have χ_1 = 1: the mean square gradient neither grows nor shrinks, at any depth. But the mean says nothing
about single directions. For Gaussian weights the variance of JJᵀ grows like the depth whatever the activation; for
orthogonal weights it can be kept small by a small q*.
"""

import spectra

print("depth   weights      variance   s at 1 %    median   s at 99 %")
for depth in (1, 4, 16, 64):
    for weights in ("gaussian", "orthogonal"):
        # q* fixes both σ_w and σ_b: the edge of chaos is a curve, and q* runs along it.
        net = spectra.Network(depth=depth, activation="tanh", weights=weights, sigma_w="critical", q_star=0.02)
        pred = spectra.predict(net)
        m_1, m_2 = pred.moments(2)
        low, median, high = pred.singular_values.icdf([0.01, 0.5, 0.99])
        print(f"{depth:5d}   {weights:10s} {m_2 - m_1**2:10.4f} {low:10.2e} {median:9.2e} {high:11.2e}")

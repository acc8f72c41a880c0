"""Signal propagation over (σ_w², σ_b²): phases, the edge of chaos as a curve, and the spectrum of JJᵀ along it."""

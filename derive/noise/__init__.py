"""What the noise does on the manifold: Reg, Σ, and the outcome that they decide."""

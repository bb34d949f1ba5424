"""The normal space of Γ at the parameters: residuals, their derivatives, noise, and verdicts."""

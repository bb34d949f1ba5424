"""The limit, run along Γ."""

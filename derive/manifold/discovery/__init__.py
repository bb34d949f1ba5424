"""Finding Γ: its constraints, a first point, a survey of others."""

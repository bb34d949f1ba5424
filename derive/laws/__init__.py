"""Laws of the noise: as σ → 0 each is characterised by its Lévy pair; some keep their size."""

"""What is measured on runs: bursts, clouds, distances, with standard errors."""

"""What a validation found, as a result to keep, print and read."""

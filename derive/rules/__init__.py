"""The limit of any update rule, from the jet of one step."""

"""The recursion, run."""

"""The recursion and the limit, run."""

"""Changes of meaning that the tests have to notice, and a command that tries each.

    python -m tests.mutations

applies the changes of `table.toml` one at a time to a copy of the sources, runs the tests that
should fail, and prints the changes that none of them noticed.
"""

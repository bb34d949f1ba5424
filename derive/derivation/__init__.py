"""From a problem to its limiting equation."""

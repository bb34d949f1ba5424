"""Models and limits in files."""

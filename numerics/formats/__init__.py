"""File formats and tables that results of every kind use."""

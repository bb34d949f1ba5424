"""Expressions as generated code."""

"""Limits with arguments of their own: adaptive windows, cycles across Γ, local rounds, jumps."""

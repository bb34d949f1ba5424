"""Verdicts on Γ that are proofs, in files that an independent program checks (`derive.certify`)."""

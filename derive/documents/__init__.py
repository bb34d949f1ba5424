"""A derivation as data, and as documents: explanations, theorem statements, their proofs."""

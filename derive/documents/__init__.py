"""A limit as documents: theorem statements, their proofs, what a paper says of it."""

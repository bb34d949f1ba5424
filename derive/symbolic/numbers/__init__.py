"""Values of expressions: at points, to any precision, their roots, their linear algebra."""

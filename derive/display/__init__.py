"""How a limit is shown: text, LaTeX, MathML, explanation."""

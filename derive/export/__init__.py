"""A limit as the text of a program in another language."""

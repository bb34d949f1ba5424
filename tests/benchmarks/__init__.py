"""Speed against hand-written C and other ways to run the same models."""

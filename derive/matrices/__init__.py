"""Matrix models: losses that are words in weight matrices."""

"""Questions about a limit that is derived."""

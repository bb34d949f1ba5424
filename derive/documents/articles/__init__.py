"""What a paper says of a limit, by kind of limit."""

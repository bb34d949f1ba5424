"""What the user states, validated: loss, noise and its law."""

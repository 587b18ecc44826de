"""Makes box and archive equal, in both directions."""

"""Keys, and the sealed form of bytes."""

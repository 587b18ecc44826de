"""The only writer of store and index: one way in, one way out."""

"""The archive, as one protocol, and the ways to reach it."""

"""Sealed objects on disk."""

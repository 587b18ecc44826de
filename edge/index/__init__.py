"""The encrypted database that knows every instance of edge and archive."""

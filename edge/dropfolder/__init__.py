"""Files that people drop into a folder."""

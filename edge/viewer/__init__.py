"""The viewer: OHIF's files, the pages around it, and one that shows images without it."""

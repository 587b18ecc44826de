"""What people and monitors ask about the box itself."""

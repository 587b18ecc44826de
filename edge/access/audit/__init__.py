"""The record of who did what with patient data, and with the box."""

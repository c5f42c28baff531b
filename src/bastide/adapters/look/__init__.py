"""Asking devices what they serve, and writing down what was said as a capture."""

"""Captures: files by windows, and live interfaces."""

"""Versioned messages between processes: bytes to core values and back. Strict in, canonical out."""

"""Readers of containers: octets in, entries out. None touches a disk; each is bounded by the budget and says what it cut."""

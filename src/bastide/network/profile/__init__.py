"""Profiles: what a kind of device is expected to do."""

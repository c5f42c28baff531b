"""Bastide: one control plane for the security of a fleet of IoT devices."""

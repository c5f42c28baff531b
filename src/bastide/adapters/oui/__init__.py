"""Makers by MAC address, from the offline table of the package aiooui (IEEE's registry at the package's date)."""

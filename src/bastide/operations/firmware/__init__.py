"""What is inside a firmware image, and what is wrong with it: unpacked in memory, within bounds, never onto a disk."""

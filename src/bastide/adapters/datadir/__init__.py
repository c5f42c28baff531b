"""The data directory: what lies where, and whether it is ours."""

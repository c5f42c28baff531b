"""Feeds as files: what a folder holds, archives opened on the way."""

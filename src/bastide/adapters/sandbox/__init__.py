"""Hostile input is parsed in a child process that can reach nothing: no files, no network, no credentials, bounded."""

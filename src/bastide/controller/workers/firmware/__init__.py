"""The process that looks into firmware: no network, no files, no credentials, bounded."""

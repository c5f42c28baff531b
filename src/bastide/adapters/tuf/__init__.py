"""The Update Framework, by python-tuf: metadata is its job; what to fetch, from where and how slowly is told here."""

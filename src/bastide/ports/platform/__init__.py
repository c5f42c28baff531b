"""State, the unit of work, the ledger and the samples."""

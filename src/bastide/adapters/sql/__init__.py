"""State on SQLite and PostgreSQL, by SQLAlchemy Core: one file per area, one writer thread, group commit."""

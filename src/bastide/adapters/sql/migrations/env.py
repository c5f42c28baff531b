"""Alembic asks for this file; ``adapters.sql.migrate`` drives the migrations without it."""

"""Alembic's scripts: each revision changes the schema once, forward only, and never changes again itself."""

"""Stores that need nothing from outside: memory and SQLite.  Others are distributions of their own."""

"""The engine room: SQLite run right, and nothing about devices."""

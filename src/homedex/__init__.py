"""Homedex: the registry of every device and entity in a home or a fleet."""

__version__ = "0.1.0"

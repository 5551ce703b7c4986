"""F0, the ground floor: what every room speaks of. Imports nothing of ganatomy above it, and torch never at import."""

__version__ = "0.1.0"

"""F6: one file per verb: a frozen dataclass of settings, and run(settings) -> Path."""

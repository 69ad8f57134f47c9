"""What the command line does, as functions: importable without it, and quick to import."""

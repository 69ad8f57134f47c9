"""One protocol, one file per strategy, found by name; `cpsat` is the only one that imports OR-Tools."""

"""The documentation site: pages that are written here, and a reference that is made from the program."""

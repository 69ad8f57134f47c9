"""A plan: its form, its file, its folder."""

"""A pool of unequal Edge TPUs that serves several models: its question, its plans, what they cost, and their search."""

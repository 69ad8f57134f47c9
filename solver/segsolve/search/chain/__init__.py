"""One pipeline on one execution order."""

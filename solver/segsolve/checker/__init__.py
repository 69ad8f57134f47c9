"""Checks the certificate of an optimum with code of its own, which shares nothing with what made it."""

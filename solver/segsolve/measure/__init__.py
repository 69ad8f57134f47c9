"""Times measured by running segments, and the profiles made of them."""

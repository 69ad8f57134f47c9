"""A pool's plan, ways to use a pool, and its runs: as tables, as JSON documents, and as a page."""

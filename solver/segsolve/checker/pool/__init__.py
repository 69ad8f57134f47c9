"""The check of a pool's plan: everything priced again, and the bound proven again, by code of its own."""

"""Dynamic programs over states and devices: exact for single pipelines, and for their best mix."""

"""Every combination of models, devices, TPU counts and planners, in parallel, and resumable after any kill."""

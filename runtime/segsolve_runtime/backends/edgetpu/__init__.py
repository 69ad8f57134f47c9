"""Edge TPUs that are attached to this machine: what drives them, which there are, and how to open them."""

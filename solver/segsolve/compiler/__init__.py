"""The vendor's compiler: run on a plan's segments, understood, and believed where it knows better than the model."""

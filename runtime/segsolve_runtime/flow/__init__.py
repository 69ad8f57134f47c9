"""How inferences move through a plan's stages: the schedule as a pure function, and the threads that keep to it."""

"""What stages and plans cost: the specification, the tables of all stages, the states between them."""

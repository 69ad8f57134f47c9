"""What OR-Tools solves: constraint programs by CP-SAT, one linear program by GLOP. The only place that imports it."""

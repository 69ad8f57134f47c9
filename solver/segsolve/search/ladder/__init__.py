"""One pipeline on any graph, improved and bounded round by round."""

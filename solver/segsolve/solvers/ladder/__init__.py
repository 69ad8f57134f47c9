"""One pipeline on any DAG: exact by CP-SAT, bounded by HiGHS; for graphs whose lattice of ideals is too large."""

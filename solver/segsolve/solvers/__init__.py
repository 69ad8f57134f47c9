"""The solvers behind the search: CP-SAT and HiGHS, each behind programs of one file each."""

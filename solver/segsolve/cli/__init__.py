"""The command line: one file per command; results on stdout, news on stderr, no logic."""

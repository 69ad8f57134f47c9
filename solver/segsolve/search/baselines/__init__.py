"""The strategies of vendor and research, one file each."""

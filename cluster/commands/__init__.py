"""The commands of the command line, a file per theme; cluster/cli.py lists them."""

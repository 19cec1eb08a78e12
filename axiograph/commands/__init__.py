"""The commands of the command line, a file per theme; axiograph/cli.py lists them."""

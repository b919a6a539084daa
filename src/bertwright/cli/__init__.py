"""The command line: one table of commands, each command one module."""

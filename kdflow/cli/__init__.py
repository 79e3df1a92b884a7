"""The command line: options to a config, one call, errors as one line and an exit code."""

"""What every room may use: errors, text, files, the cache, names, seeds, processes and signals."""

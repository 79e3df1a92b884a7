"""What a command must tell the store, written down before it is told."""

"""`gateway demo`: a sample origin, the embedded engine and the gateway on this machine, without a file."""

"""What sessions of several packages do, tried with the same requests: see docs/comparison.md."""

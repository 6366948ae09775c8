"""One session of one request: what is written, and when."""

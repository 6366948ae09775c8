"""A page of PHP and a FastAPI application that share one session, in Redis."""

"""A small FastAPI application that signs people in: see README.md."""

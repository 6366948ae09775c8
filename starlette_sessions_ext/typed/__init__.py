"""Convert between an application's classes and JSON. Pure."""

"""Between an application's classes and what JSON can say. Pure."""

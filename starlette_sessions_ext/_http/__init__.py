"""The HTTP side of a session: header bytes in and out."""

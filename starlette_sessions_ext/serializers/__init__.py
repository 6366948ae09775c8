"""Encode the data of a session as bytes, and decode it."""

from __future__ import annotations

from .base import Serializer
from .custom import read_serializer
from .plain_json import MAX_DEPTH, JSONSerializer

__all__ = ["MAX_DEPTH", "JSONSerializer", "Serializer", "read_serializer"]

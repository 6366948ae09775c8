"""Encode the data of a session as bytes, and decode it."""

from __future__ import annotations

from .base import Serializer
from .custom import read_serializer
from .plain_json import MAX_DEPTH, JSONSerializer
from .tagged_json import TaggedJSONSerializer

__all__ = ["MAX_DEPTH", "JSONSerializer", "Serializer", "TaggedJSONSerializer", "read_serializer"]

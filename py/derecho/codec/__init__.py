"""From annotated signatures to bytes: types, their layout, and encoders and decoders generated per method."""

from .method import Method, ServiceSchema, schema_of

__all__ = ["Method", "ServiceSchema", "schema_of"]

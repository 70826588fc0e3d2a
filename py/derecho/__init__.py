"""libderecho for Python."""

from .service import ordered, query, schema, service
from .types import *  # noqa: F403

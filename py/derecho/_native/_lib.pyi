# The cffi module: what is in derecho.h, untyped. Only _native looks at it.
from typing import Any

lib: Any
ffi: Any

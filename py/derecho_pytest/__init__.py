"""The pytest plugin: the fixture ``derecho_cluster``. A package of its own, so that pytest loads no libderecho until a
test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from derecho.testing import Cluster


@pytest.fixture
def derecho_cluster() -> Iterator[Callable[..., Cluster]]:
    """Make groups whose members are all in this process: ``derecho_cluster(3, Cache)``, as `derecho.testing.cluster`.

    They are closed when the test ends.
    """
    from derecho.testing import cluster

    with ExitStack() as made:

        def make(*args: Any, **kwargs: Any) -> Cluster:
            return made.enter_context(cluster(*args, **kwargs))

        yield make

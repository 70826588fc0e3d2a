"""Who may include whom: the layers of ARCHITECTURE.md. A module may use what stands below it, never a sibling.

The graph is written down once, here. Tests that stand beside the code keep to the same rules as the code, and may use
GoogleTest.
"""

import re
from pathlib import Path

import pytest

# A module, and those right below it. What it may include follows: these, and all below them.
BELOW = {
    "base": [],
    "fabric": ["base"],
    "store": ["base"],
    "sst": ["fabric"],
    "smc": ["sst"],
    "view": ["sst"],
    "rdmc": ["fabric"],
    "group": ["smc", "view", "rdmc", "store"],
    "rpc": ["group"],
    "node": ["rpc"],
    "capi": ["node"],
}
# The folders of a module, likewise; what lies in the module's own folder is below all of them. A module that is not
# here has none. No wire knows another.
FOLDERS_BELOW = {
    "fabric": {
        "os": [],
        "regions": ["os"],
        "shm": ["regions"],
        "tcp": ["regions"],
        "verbs": ["regions"],
        "bootstrap": ["shm", "tcp", "verbs"],
        "net": ["bootstrap"],
    },
}
# A system's headers that only some files may see: they are opened at run time, or optional.
ONLY_IN = {
    re.compile(r"infiniband/|rdma/rdma_"): re.compile(r"fabric/verbs/\w+\.[ch]pp"),
    re.compile(r"rdma/fi"): re.compile(r"fabric/ofi/\w+\.[ch]pp"),
    re.compile(r"toml\+\+/"): re.compile(r"capi/config\w*\.cpp"),
    re.compile(r"gtest/|gmock/"): re.compile(r".*_test\.cpp|.*_testing\.hpp"),
    re.compile(r"Python\.h"): re.compile(r"(?!)"),
}
GENERATED = {"abi_hash.hpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)


def allowed(name: str, below: dict[str, list[str]]) -> set[str]:
    found = {name}
    for one in below[name]:
        found |= allowed(one, below)
    return found


def folder_of(file: str) -> tuple[str, str]:
    """Module and folder of fabric/tcp/link.cpp; the folder of fabric/fabric.hpp is empty."""
    module, *folders, _ = file.split("/")
    return module, "/".join(folders)


def folder_complaint(file: str, included: str) -> str | None:
    """Why a file may not include one of its own module's."""
    (module, own), (_, other) = folder_of(file), folder_of(included)
    graph = FOLDERS_BELOW.get(module, {})
    if unknown := {own, other} - graph.keys() - {""}:
        return f"{file} includes {included}: {module} has no folder {unknown.pop()!r}"
    may = allowed(own, graph) if own else set()
    if other and other not in may:
        stands_on = ", ".join(sorted(may - {own})) or "nothing"
        return f'{file} includes "{included}", but {own or module} stands on {stands_on}'
    return None


def complaint(file: str, bracket: str, included: str) -> str | None:
    """Why `file` (such as sst/table.cpp) may not include this; None when it may."""
    for header, files in ONLY_IN.items():
        if header.match(included) and not files.fullmatch(file):
            return f"{file} includes <{included}>, which only {files.pattern} may"
    if bracket == "<" or included in GENERATED:
        return None
    module, _, rest = included.partition("/")
    if not rest:
        return f'{file} includes "{included}": write it from libderecho/ on, as "module/{included}"'
    if module not in BELOW:
        return f'{file} includes "{included}": there is no module {module!r}'
    own = file.partition("/")[0]
    if own == module:
        return folder_complaint(file, included)
    may = allowed(own, BELOW)
    if module not in may:
        return f'{file} includes "{included}", but {own} stands on {", ".join(sorted(may - {own})) or "nothing"}'
    return None


def complaints(file: str, text: str) -> list[str]:
    found = (complaint(file, bracket, included) for bracket, included in INCLUDE.findall(text))
    return [line for line in found if line]


def test_every_module_is_in_the_graph(root: Path) -> None:
    modules = {path.relative_to(root / "libderecho").parts[0] for path in (root / "libderecho").rglob("*.[ch]pp")}
    assert modules <= BELOW.keys()


def test_modules_include_only_what_stands_below_them(root: Path) -> None:
    found = []
    for path in sorted((root / "libderecho").rglob("*.[ch]pp")):
        found += complaints(str(path.relative_to(root / "libderecho")), path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("smc/ring.cpp", '#include "view/view.hpp"'),
        ("view/view.cpp", '#include "smc/ring.hpp"'),
        ("store/log.cpp", '#include "fabric/fabric.hpp"'),
        ("base/ids.hpp", '#include "fabric/fabric.hpp"'),
        ("rpc/calls.cpp", '#include "node/node.hpp"'),
        ("sst/table_test.cpp", '#include "group/group.hpp"'),
        ("fabric/tcp/link.cpp", "#include <infiniband/verbs.h>"),
        ("fabric/tcp/link.cpp", '#include "fabric/shm/link.hpp"'),
        ("fabric/shm/link.cpp", '#include "fabric/net/net_fabric.hpp"'),
        ("fabric/fabric.hpp", '#include "fabric/os/memory.hpp"'),
        ("fabric/os/memory.hpp", '#include "fabric/elsewhere/memory.hpp"'),
        ("smc/ring.cpp", "#include <gtest/gtest.h>"),
        ("smc/ring.cpp", '#include "ring.hpp"'),
    ],
)
def test_the_check_sees_each_kind_of_offence(file: str, line: str) -> None:
    assert complaints(file, line)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("base/limits.hpp", "#include <derecho.h>"),
        ("fabric/verbs/queue.cpp", "#include <infiniband/verbs.h>"),
        ("fabric/verbs/queue.cpp", '#include "fabric/os/memory.hpp"'),
        ("fabric/net/net_fabric.cpp", '#include "fabric/fabric.hpp"'),
        ("group/group.cpp", '#include "base/ids.hpp"'),
        ("group/group.cpp", '#include "view/view.hpp"'),
        ("smc/ring_test.cpp", "#include <gtest/gtest.h>"),
        ("fabric/bootstrap/bootstrap.cpp", '#include "abi_hash.hpp"'),
    ],
)
def test_the_check_lets_through_what_is_right(file: str, line: str) -> None:
    assert not complaints(file, line)

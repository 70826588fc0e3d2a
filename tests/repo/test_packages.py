"""What is published under other systems' names: the wheel has every language's binding, jars carry the licence, and
the POM says what the repository says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest

POM = "{http://maven.apache.org/POM/4.0.0}"


@pytest.fixture(scope="module")
def pom(root: Path) -> ElementTree.Element:
    return ElementTree.parse(root / "bindings" / "java" / "pom.xml").getroot()


def test_the_installed_package_has_the_jar_and_the_assembly(installed: Path) -> None:
    found = {path.name for path in (installed / "_native").iterdir()}
    assert {"derecho.jar", "Derecho.dll", "Derecho.xml"} <= found


def test_a_jar_carries_the_licence(installed: Path, root: Path) -> None:
    for jar in (installed / "_native").glob("*.jar"):
        with zipfile.ZipFile(jar) as archive:
            assert archive.read("META-INF/LICENSE") == (root / "LICENSE").read_bytes()


def test_the_pom_has_the_version_and_the_abi_of_the_repository(root: Path, pom: ElementTree.Element) -> None:
    properties = pom.find(f"{POM}properties")
    assert properties is not None
    assert properties.findtext(f"{POM}revision") == (root / "VERSION").read_text().strip()
    abi = re.search(r"#define DERECHO_ABI_VERSION (\d+)", (root / "include" / "derecho.h").read_text())
    assert abi is not None and properties.findtext(f"{POM}derecho.abi") == abi[1]


@pytest.mark.parametrize(
    "part", ["description", "url", "licenses/license/name", "developers/developer/name", "scm/url"]
)
def test_the_pom_can_be_published(pom: ElementTree.Element, part: str) -> None:
    assert (pom.findtext("/".join(POM + name for name in part.split("/"))) or "").strip()


def test_the_pom_attaches_sources_javadoc_and_the_library(pom: ElementTree.Element) -> None:
    plugins = {p.findtext(f"{POM}artifactId"): p for p in pom.iter(f"{POM}plugin")}
    assert {"maven-source-plugin", "maven-javadoc-plugin", "flatten-maven-plugin", "maven-enforcer-plugin"} <= set(
        plugins
    )
    assert "${derecho.classifier}" in {c.text for c in plugins["maven-jar-plugin"].iter(f"{POM}classifier")}

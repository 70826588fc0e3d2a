"""The command ``derecho stubs``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import click

from .model import StubError, StubModel, read_services

__all__ = ["stubs"]

LANGUAGES = ("python", "java", "csharp", "c", "cpp")


@click.command()
@click.argument("service", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lang", required=True, metavar="LANG,...", help=f"Of {', '.join(LANGUAGES)}.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder to write to.")
@click.option(
    "--package", default="", help="Java's package, whose folder is written to; C#'s namespace.  [default: none]"
)
@click.option(
    "--dll", is_flag=True, help="A CMake project that makes the C++ service a DLL of untyped stubs, and shims."
)
@click.option("--service", "only", metavar="NAME", help="Only this one of the file's services.")
def stubs(service: Path, lang: str, out: Path, package: str, dll: bool, only: str | None) -> None:
    """Write each language's side of the services in SERVICE, a Python file with @derecho.service classes.

    The same input always gives the same bytes. Existing files are replaced, except those meant to be filled in.
    """
    languages = lang.split(",")
    for language in languages:
        if language not in LANGUAGES:
            raise click.BadParameter(f"{language!r} is none of {', '.join(LANGUAGES)}", param_hint="--lang")
    try:
        models = _chosen(read_services(service), only)
        write(_all_files(models, [_emitter(language, package, dll) for language in languages]), out)
    except StubError as error:
        click.echo(f"derecho stubs: {error}", err=True)
        sys.exit(1)


def write(files: dict[str, str], out: Path) -> None:
    """Write generated files, and say so; a file whose text says it is yours is written only if there is none."""
    for name, content in files.items():
        path = out / name
        if path.exists() and "Yours to fill in" in content.partition("\n")[0]:
            click.echo(f"{path}: kept")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        click.echo(str(path))


def _chosen(models: list[StubModel], only: str | None) -> list[StubModel]:
    chosen = [m for m in models if only in (None, m.schema.name)]
    if not chosen:
        raise StubError(f"no service {only!r}; there are: {', '.join(m.schema.name for m in models)}")
    return chosen


def _all_files(models: list[StubModel], emitters: list[Callable[[StubModel], dict[str, str]]]) -> dict[str, str]:
    files: dict[str, str] = {}
    for model in models:
        made = {name: text for emit in emitters for name, text in emit(model).items()}
        for name in made.keys() & files.keys():
            raise StubError(
                f"{model.schema.name}: another service of this file has {name} already; write one by --service"
            )
        files |= made
    return files


def _emitter(language: str, package: str, dll: bool) -> Callable[[StubModel], dict[str, str]]:
    module = importlib.import_module(f"derecho.stubs.{'dll' if dll else language}")

    if dll:
        return lambda model: module.emit(model, language, package)
    if language in ("java", "csharp"):
        return lambda model: module.emit(model, package)
    return module.emit  # type: ignore[no-any-return]

"""The command ``derecho``. Subcommands are imported when they are called, so that each starts at once."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import click

__all__ = ["main"]

_BINDINGS = {
    "java": ("derecho.jar", "a JDK 22 or later (apt-get install openjdk-25-jdk, or JAVA_HOME)"),
    "csharp": ("Derecho.dll", "a C# compiler (apt-get install mono-mcs)"),
}
_LAZY = {name: f"derecho.{name}.cli" for name in ("bench", "demo", "doctor", "stubs")}
_LAZY["schema"] = "derecho.stubs.schema_cli"


class _Commands(click.Group):
    """Finds the commands that live in subpackages of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        there = [name for name, module in _LAZY.items() if importlib.util.find_spec(module.rpartition(".")[0])]
        return sorted([*super().list_commands(ctx), *there])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _LAZY:
            command = getattr(importlib.import_module(_LAZY[cmd_name]), cmd_name)
            assert isinstance(command, click.Command)
            return command
        return super().get_command(ctx, cmd_name)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import derecho

        click.echo(f"derecho {derecho.version()}")
        ctx.exit()


@click.group(cls=_Commands)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def main() -> None:
    """libderecho: strongly consistent replicated state, for programs in every language."""


@main.command()
def version() -> None:
    """Print the version of the library."""
    import derecho

    click.echo(derecho.version())


def missing(language: str) -> str:
    """Why there is no binding for a language here, and how to get it."""
    name, wants = _BINDINGS[language]
    return (
        f"This installation has no {name}: it was built without {wants}. With that, and in a clone, "
        f"`pip install --force-reinstall .` brings it; so does every wheel that the project publishes."
    )


@main.command()
def info() -> None:
    """Print where the library, the headers, the CMake package and the other languages' bindings are."""
    import derecho
    from derecho._native import LIBRARY

    package = Path(derecho.__file__).parent
    rows = {
        "version": derecho.version(),
        "library": LIBRARY,
        "headers": package / "include",
        "cmake": package / "lib" / "cmake" / "derecho",
        "pkgconfig": package / "lib" / "pkgconfig",
        "java": LIBRARY.with_name("derecho.jar"),
        "csharp": LIBRARY.with_name("Derecho.dll"),
    }
    for name, value in rows.items():
        absent = isinstance(value, Path) and not value.exists()
        click.echo(f"{name:<10} {value}{'  (missing)' if absent else ''}")
    for language in ("java", "csharp"):
        if not Path(str(rows[language])).exists():
            click.echo(missing(language))


@main.command("cmake-dir")
def cmake_dir() -> None:
    """Print the folder of the CMake package: -Dderecho_DIR=$(derecho cmake-dir)."""
    import derecho

    click.echo(Path(derecho.__file__).parent / "lib" / "cmake" / "derecho")


@main.command()
def jar() -> None:
    """Print the path of the Java binding: javac -cp $(derecho jar) ..."""
    from derecho import jvm

    if not jvm.JAR.exists():
        raise click.ClickException(missing("java"))
    click.echo(jvm.JAR)


@main.command("pkgconfig-dir")
def pkgconfig_dir() -> None:
    """Print the folder of the pkg-config file: PKG_CONFIG_PATH=$(derecho pkgconfig-dir)."""
    import derecho

    click.echo(Path(derecho.__file__).parent / "lib" / "pkgconfig")


if __name__ == "__main__":
    main()

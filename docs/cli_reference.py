"""Write the reference part of docs/commands.md from the commands themselves.

python docs/cli_reference.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from imgorder.cli import app

PAGE = Path(__file__).resolve().parent / "commands.md"
MARK = "<!-- reference: written by docs/cli_reference.py -->\n"


def page() -> str:
    """The whole page: what was written by hand above the mark, and the reference of today's commands below it."""
    head, mark, _ = PAGE.read_text("utf-8").partition(MARK)
    if not mark:
        raise SystemExit(f"{PAGE}: lost its mark; put this line back: {MARK}")
    return head + mark + "".join(f"\n{describe(name, command)}\n" for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before what they hold."""

    def under(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for short, inner in getattr(command, "commands", {}).items():
            if not inner.hidden:
                yield from under(f"{name} {short}", inner)

    return under("imgorder", typer.main.get_command(app))


def describe(name: str, command: Any) -> str:
    """One command as Markdown: heading, help, usage, a line for each parameter, example."""
    shown = [each for each in command.params if not each.hidden]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option"]
    needed = [_spelling(each) for each in (*arguments, *options) if each in arguments or each.required]
    usage = [name, *(["COMMAND"] if hasattr(command, "commands") else []), *needed, "[OPTIONS]"]
    parts = [f"### {name}", command.help or "", f"```text\n{' '.join(usage)}\n```"]
    parts.append("\n".join(f"- `{_spelling(each)}`{_meaning(each)}" for each in (*arguments, *options)))
    if command.epilog:
        kind, _, example = command.epilog.partition(": ")
        parts.append(f"{kind}: `{example}`")
    return "\n\n".join(filter(None, parts))


def _spelling(parameter: Any) -> str:
    """As it is typed: ``--first FILE``, ``PATHS…``."""
    metavar = (parameter.metavar or "VALUE").rstrip("…. ")
    if metavar.startswith("["):  # as Typer writes what may be left out
        metavar = metavar.strip("[]")
    if parameter.param_type_name == "argument":
        typed = metavar + ("…" if parameter.nargs == -1 else "")
        return typed if parameter.required else f"[{typed}]"
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {metavar}"


def _meaning(parameter: Any) -> str:
    text = f": {parameter.help}" if parameter.help else ""
    if parameter.show_default and parameter.default not in (None, False, (), []) and "default:" not in text:
        text += f" Default: `{parameter.default}`."
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

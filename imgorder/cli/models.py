"""``imgorder models``: which models there are, and what they score; fetch, check and publish their files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli._options import Commands
from imgorder.cli._terminal import one_line_errors
from imgorder.cli.model_tools import add_model_tools
from imgorder.errors import ModelError, ProblemsError, UsageError
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.inference.cards import Card

models = Commands(
    name="models",
    invoke_without_command=True,
    epilog="Example: imgorder models --json",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model's name, as `imgorder models` lists it.")]


@models.callback()
@one_line_errors
def listing(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also print what each model scored, its limits, licence and data.")
    ] = False,
) -> None:
    """List the models; or fetch, check or publish the files of one."""
    if context.invoked_subcommand is not None:
        if as_json or verbose:
            option = "--json" if as_json else "--verbose"
            raise UsageError(f"{option} is for the list of models, not for {context.invoked_subcommand}")
        return
    if as_json and verbose:
        raise UsageError("--json prints everything; leave out --verbose")
    from imgorder.inference.cards import cards

    found = cards()
    if as_json:
        print(json.dumps({"version": 1, "models": [asdict(card) for card in found]}, indent=2))
        return
    within = {name for card in found for name in card.members.values()}  # shown with their group
    shown = [card for card in found if card.name not in within]
    if verbose:
        _print_details(shown)
    else:
        _print_list(shown, {card.name for card in found})


def _print_list(shown: list[Card], known: set[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from imgorder.inference.cards import DEFAULT_MODEL, INSTALL_SEPARATE, SEPARATE, networks, sizes_in_words
    from imgorder.inference.model_files import find_file

    table = Table("model", "photos", "on disk", "files", "about", box=None, pad_edge=False, show_edge=False)
    for card in shown:
        kinds: dict[str, bool] = {}
        size = 0
        for each in networks(card):
            for backend, entry in each.files.items():
                here = find_file(each, backend) is not None
                kinds[backend] = kinds.get(backend, True) and here
                size += entry.bytes * here
        files = ", ".join(backend for backend, here in kinds.items() if here)
        files = files or ("not here" if kinds else "none needed")
        name = f"{card.name} (default)" if card.name == DEFAULT_MODEL else card.name
        row = (name, sizes_in_words(card.sizes), f"{size / 1e6:.1f} MB" if size else "–", files, show(card.about))
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    console.print(table)
    absent = [name for name in SEPARATE if name not in known and not name[:-1].endswith("-n")]  # no members
    if absent:
        print(f"Not installed: {', '.join(absent)}; {INSTALL_SEPARATE}")


def _print_details(shown: list[Card]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from imgorder.inference.cards import DEFAULT_MODEL, networks

    console = Console(highlight=False)
    for card in shown:
        mark = " (default)" if card.name == DEFAULT_MODEL else ""
        console.print(Text.assemble((card.name, "bold"), f"{mark}: {show(card.about)}"))
        files = "a network for each number of photos" if card.members else _files(card)
        console.print(Text(f"  family {card.family}, {card.photos}, {files}"))
        for each in networks(card) if card.members else ():
            console.print(Text(f"  {each.name}: {each.photos}, {_files(each)}"))
        for title, text in (("licence", card.licence), ("data", card.data)):
            if text:
                console.print(Text(f"  {title}: {show(text)}"))
        for limit in card.limits:
            console.print(Text(f"  limit: {show(limit)}"))
        if card.figures:
            table = Table("data", "n", "spacing", "sets", "exact match", "path baseline")
            for row in card.figures:
                cells = (str(row.seq_len), str(row.spacing), str(row.sets))
                table.add_row(Text(row.dataset), *cells, f"{row.accuracy:.1f} %", f"{row.baseline:.1f} %")
            console.print(table)


@models.command(epilog="Example: imgorder models pull tridab-s")
@one_line_errors
def pull(
    name: Name,
    offline: Annotated[bool, typer.Option("--offline", help="Do not fetch; fail if a file is not here.")] = False,
) -> None:
    """Make sure that a model's files are here and right, and print where; fetch from the Hub what is not.

    A damaged file in the cache is fetched again. A model of several networks has the files of all of them.
    """
    from imgorder.inference.model_files import usable_file

    places = [
        (card, {backend: usable_file(card, backend, offline, mend=True) for backend in card.files})
        for card in _networks(name)
    ]
    for card, paths in places:
        _print_places(card, paths)


@models.command(epilog="Example: imgorder models verify")
@one_line_errors
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model (default: all).")] = None,
) -> None:
    """Compare the files that are here with the sizes and hashes of their cards. The network is not used.

    Ends with code 1 if one differs, or if one is missing that has to be here, or if a model that is named has no
    file here.
    """
    from imgorder.inference.cards import cards
    from imgorder.inference.model_files import present_file

    problems: list[str] = []
    places: list[tuple[Card, dict[str, Path]]] = []
    for card in _networks(name) if name else [card for card in cards() if not card.members]:
        paths: dict[str, Path] = {}
        broken = []
        for backend in card.files:
            try:
                if path := present_file(card, backend):
                    paths[backend] = path
            except ModelError as error:
                broken.append(str(error))
        if name and card.files and not paths and not broken:
            broken.append(f"{card.name}: none of its files is here; run: imgorder models pull {card.name}")
        problems += broken
        places.append((card, paths))
    if problems:
        raise ProblemsError(problems)
    for card, paths in places:
        _print_places(card, paths)


@models.command(epilog="Example: imgorder models push tridab-s --repo OWNER/NAME --yes")
@one_line_errors
def push(
    name: Name,
    repo: Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="Repository; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Upload; without it, only say what would be.")] = False,
) -> None:
    """Publish a model on the Hub: weights, ONNX file, configuration and model card, as one commit.

    A model of several networks goes into a repository for each, OWNER/NAME-n3 and so on. The token is HF_TOKEN's,
    or that of `hf auth login`. What is printed at the end goes into the model's card, models/NAME.json, so that
    this very commit is fetched.
    """
    from imgorder.inference.cards import find_card
    from imgorder.inference.hub import publish

    repo_id = publish.check_repo_id(repo)
    uploads = []
    for card in _networks(name):  # all are looked at before the first one goes up
        target = publish.check_repo_id(f"{repo_id}-n{card.sizes[0]}") if find_card(name).members else repo_id
        uploads.append((card, target, publish.collect_files(card)))
    for card, target, inside in uploads:
        if not yes:
            made = "private" if private else "public"
            print(f"{card.name} would go to {target} (if that is not there: made, {made}):")
            for title, each in inside.items():
                print(f"  {title}: {len(each) if isinstance(each, bytes) else each.stat().st_size} bytes")
            continue
        place = publish.push(card, inside, target, private)
        print(f"{card.name}: uploaded to {target}, commit {place.revision}")
        print(f'For models/{card.name}.json:\n "hub": {json.dumps(asdict(place), indent=1)}'.replace("\n", "\n "))
    if not yes:
        print("Nothing was uploaded; --yes does it.")


def _networks(name: str) -> list[Card]:
    """The cards behind a name that have files: one, or those of a group's members."""
    from imgorder.inference.cards import find_card, networks
    from imgorder.inference.model_files import refuse_pickles

    refuse_pickles(name)
    return networks(find_card(name))


def _print_places(card: Card, paths: dict[str, Path]) -> None:
    from imgorder.inference.hub.cache import cached_file

    for backend in card.files:
        absent = "not fetched" if cached_file(card, backend) else "not installed"
        print(f"{card.name} {backend}: {f'right, {show(paths[backend])}' if backend in paths else absent}")
    if not card.files:
        print(f"{card.name}: needs no files")


def _files(card: Card) -> str:
    """The files of a model, and how large they are."""
    return ", ".join(f"{kind} {entry.bytes / 1e6:.1f} MB" for kind, entry in card.files.items()) or "no files"


add_model_tools(models)

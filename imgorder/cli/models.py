"""``imgorder models``: which models there are, and what they score; fetch, check and publish their files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli._terminal import one_line_errors
from imgorder.cli.model_tools import add_model_tools
from imgorder.errors import ModelError, ProblemsError, UsageError
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.inference.cards import Card

models = typer.Typer(
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
) -> None:
    """List the models that are there, with their figures; or fetch, check or publish the files of one."""
    if context.invoked_subcommand is not None:
        if as_json:
            raise UsageError(f"--json is for the list of models, not for {context.invoked_subcommand}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from imgorder.inference import cards as registry

    cards = registry.cards()
    within = {name for card in cards for name in card.members.values()}
    if as_json:
        print(json.dumps({"version": 1, "models": [asdict(card) for card in cards]}, indent=2))
        return
    console = Console(highlight=False)
    for card in cards:
        if card.name in within:
            continue  # shown with its group
        mark = " (default)" if card.name == registry.DEFAULT_MODEL else ""
        console.print(Text.assemble((card.name, "bold"), f"{mark}: {card.about}"))
        files = "a network for each number of photos" if card.members else _files(card)
        console.print(Text(f"  family {card.family}, {card.photos}, {files}"))
        for each in registry.networks(card) if card.members else ():
            console.print(Text(f"  {each.name}: {each.photos}, {_files(each)}"))
        if card.figures:
            table = Table("data", "n", "spacing", "sets", "exact match", "path baseline")
            for row in card.figures:
                table.add_row(
                    Text(row["dataset"]),
                    str(row["seq_len"]),
                    str(row["spacing"]),
                    str(row["sets"]),
                    f"{row['accuracy']:.1f} %",
                    f"{row['baseline']:.1f} %",
                )
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

    Ends with code 1 if one differs, or if one is missing that belongs to the package, or if a model that is named
    has no file here.
    """
    from imgorder.inference import cards as registry
    from imgorder.inference.model_files import damage, fault, find_file, missing, only_in_package

    problems: list[str] = []
    places: list[tuple[Card, dict[str, Path]]] = []
    every = [card for card in registry.cards() if not card.members]
    for card in every if name is None else _networks(name):
        paths: dict[str, Path] = {}
        here = lost = False
        for backend, entry in card.files.items():
            found = find_file(card, backend)
            if found is None:
                if only_in_package(card, backend):
                    lost = True
                    problems.append(missing(card, backend))
                continue
            here = True
            if wrong := fault(found.path, entry):
                problems.append(damage(card, found, wrong))
            else:
                paths[backend] = found.path
        if name and card.files and not (here or lost):
            problems.append(f"{card.name}: none of its files is here; run: imgorder models pull {card.name}")
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
    from imgorder.inference.hub import publish

    repo_id = publish.check_repo_id(repo)
    several = bool(_card(name).members)
    uploads = []
    for card in _networks(name):  # all are looked at before the first one goes up
        target = publish.check_repo_id(f"{repo_id}-n{card.sizes[0]}") if several else repo_id
        uploads.append((card, target, publish.contents(card)))
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
    from imgorder.inference import cards as registry

    return registry.networks(_card(name))


def _card(name: str) -> Card:
    from imgorder.inference import cards as registry
    from imgorder.inference import model_files

    model_files.refuse_pickles(name)
    card = registry.known_card(name)
    if card is None and model_files.backend_of(name):
        raise ModelError(f"{show(name)}: a file, not a model's name; `imgorder models` lists the names")
    return card or registry.find_card(name)


def _print_places(card: Card, paths: dict[str, Path]) -> None:
    for backend in card.files:
        where = f"right, {show(paths[backend])}" if backend in paths else "not fetched"
        print(f"{card.name} {backend}: {where}")
    if not card.files:
        print(f"{card.name}: needs no files")


def _files(card: Card) -> str:
    """The files of a model, and how large they are."""
    return ", ".join(f"{kind} {entry['bytes'] / 1e6:.1f} MB" for kind, entry in card.files.items()) or "no files"


add_model_tools(models)

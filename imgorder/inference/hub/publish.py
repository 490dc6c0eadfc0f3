"""Put a model's files, configuration and card into a repository on the Hub, as one commit."""

from __future__ import annotations

import re
from pathlib import Path

from imgorder import __version__
from imgorder.errors import ModelError, UsageError
from imgorder.inference.cards import Card, HubPlace
from imgorder.inference.hub import LIBRARY, cache, importing
from imgorder.inference.model_files import describe_missing, present_file
from imgorder.names import show

# Somewhat stricter than the Hub. huggingface_hub has the rules as well, but a dry run does not import it.
_REPO_ID = re.compile(r"[A-Za-z0-9]([\w.-]*\w)?/[A-Za-z0-9]([\w.-]*\w)?", re.ASCII)


def check_repo_id(text: str) -> str:
    """The name of a repository.

    Raises:
        UsageError: if it is not ``OWNER/NAME``, or the Hub does not take the name.
    """
    if not _REPO_ID.fullmatch(text) or "--" in text or ".." in text or text.endswith(".git") or len(text) > 96:
        raise UsageError(f"--repo is OWNER/NAME, letters, digits, '-', '_' and '.'; not {text!r}")
    return text


def collect_files(card: Card) -> dict[str, Path | bytes]:
    """What goes into the repository: name there -> a file, whose hash has been checked, or its text.

    Raises:
        ModelError: if a file is missing or damaged, or the model has none.
    """
    from imgorder.inference.hub.model_card import make_config, make_readme

    if not card.files:
        raise ModelError(f"{card.name}: needs no weights; there is nothing to upload")
    inside: dict[str, Path | bytes] = {}
    for backend, entry in card.files.items():
        found = present_file(card, backend)
        if found is None:
            raise ModelError(describe_missing(card, backend))
        inside[entry.file] = found
    inside["config.json"] = make_config(card).encode()
    inside["README.md"] = make_readme(card).encode(errors="backslashreplace")
    return inside


def push(card: Card, inside: dict[str, Path | bytes], repo_id: str, private: bool) -> HubPlace:
    """Upload; the repository is made if it is not there.

    Args:
        inside: as from `collect_files`.
        private: for a repository that is made; one that is there stays as it is.

    Returns:
        The place to pin in the model's card. Without a change since the last push, that push's.

    Raises:
        ModelError: without a token, or if the Hub refuses or cannot be reached.
    """
    if variable := cache.offline_by_environment():
        raise ModelError(f"{card.name}: cannot be uploaded while {variable} is set; unset it")
    with importing():
        from huggingface_hub import CommitOperationAdd, HfApi, get_token

        from imgorder.inference.hub.client import endpoint, explain, quiet

    try:
        token = get_token()
    except Exception as error:  # as below
        raise ModelError(f"{card.name}: not uploaded: {explain(error, repo_id)}") from error
    if token is None:
        raise ModelError(f"{repo_id}: uploading needs a token that may write; set HF_TOKEN or run `hf auth login`")
    api = HfApi(endpoint=endpoint(), token=token, library_name=LIBRARY, library_version=__version__)
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=each) for name, each in inside.items()]
    try:
        with quiet():
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.create_commit(repo_id, operations, commit_message=f"{card.name} ({LIBRARY} {__version__})")
    except Exception as error:  # as in download.py: there is no class above all of them
        raise ModelError(f"{card.name}: not uploaded: {explain(error, repo_id)}") from error
    revision = str(commit.oid)
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ModelError(
            f"{card.name}: uploaded, but {show(revision)[:60]!r}, as {repo_id} calls the commit, is no commit hash; "
            "look for it on the repository's page"
        )
    return HubPlace(repo_id, revision, {backend: entry.file for backend, entry in card.files.items()})

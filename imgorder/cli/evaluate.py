"""``imgorder evaluate``: judge models on sets whose order is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli._options import named_path, number_or_all, parse_any_sizes, parse_spacings
from imgorder.cli._terminal import one_line_errors
from imgorder.errors import UsageError


@one_line_errors
def evaluate(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA", parser=named_path, help="Manifests, or the root of DAVIS.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME|PATH", help="A model to judge (default: default); may be repeated."),
    ] = None,
    seq_len: Annotated[
        list[str] | None,
        typer.Option("--seq-len", metavar="N|N-M|all", help="Set sizes on DAVIS; all: whole sequences (default: 4)."),
    ] = None,
    spacing: Annotated[
        list[str] | None,
        typer.Option("--spacing", metavar="N|N-M", help="Frames between neighbours on DAVIS (default: 1-8)."),
    ] = None,
    stride: Annotated[
        int, typer.Option("--stride", metavar="K", min=1, help="On DAVIS, begin a set at every K-th frame.")
    ] = 1,
    permutations: Annotated[
        str, typer.Option("--permutations", metavar="K|all", help="In how many listings each set is shown.")
    ] = "1",
    split: Annotated[str, typer.Option("--split", help="The manifests' split to judge on.")] = "test",
    backend: Annotated[
        str, typer.Option("--backend", metavar="auto|onnx|torch", help="What runs the models.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads (default: all cores).")] = None,
    votes: Annotated[
        int | None,
        typer.Option("--votes", metavar="K", min=1, help="Show the networks each set in K listings; judge the mean."),
    ] = None,
    together: Annotated[
        bool, typer.Option("--pooled", help="Also list each model's figures over all spacings together.")
    ] = False,
    per_video: Annotated[bool, typer.Option("--per-video", help="Also list each video's exact match.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Measure models against chance and the shortest-path baseline, as a Markdown table.

    Exact match in percent with its 95 % interval by bootstrap over videos, Kendall's tau, the share of
    true neighbours found, and the expected calibration error, of whole orders and of the places in them; all up to
    reversal. Every model is shown the same
    sets in the same listings, preprocessed as it wants them.
    """
    from imgorder.cli._terminal import track
    from imgorder.evaluation.evaluate import evaluate_models
    from imgorder.evaluation.pooling import pool_rows
    from imgorder.evaluation.tables import pooled_markdown, results_csv, results_json, results_markdown, videos_markdown

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other; give one of them")
    if as_csv and (together or per_video):
        option = "--pooled" if together else "--per-video"
        raise UsageError(f"--csv has one row for each spacing; leave out {option}, or take --json, which has all")
    results = evaluate_models(
        data,
        models=model or ["default"],
        seq_lens=parse_any_sizes(seq_len or ["4"]),
        spacings=parse_spacings(spacing or ["1-8"]),
        stride=stride,
        permutations=number_or_all(permutations, "--permutations"),
        split=split,
        backend=backend,
        threads=threads,
        votes=votes,
        track=track,
    )
    if as_json:
        print(results_json(results))
    elif as_csv:
        print(results_csv(each.row for each in results), end="")
    else:
        print(results_markdown(each.row for each in results))
        if together:
            print(f"\n{pooled_markdown(pool_rows(results))}")
        if per_video:
            print(f"\n{videos_markdown(results)}")

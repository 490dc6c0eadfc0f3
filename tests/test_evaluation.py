from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgorder.errors import PhotoError
from imgorder.evaluation.__main__ import main
from imgorder.evaluation.measure import expected_calibration_error, measure
from imgorder.evaluation.report import accuracy_table, fill, read_results
from imgorder.evaluation.windows import all_windows, davis_sequences, windows
from imgorder.permutations import permutation_classes
from imgorder.predictor import load_model


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences in DAVIS's layout: a square that slides, and noise that has no order."""
    root = tmp_path_factory.mktemp("davis")
    rng = np.random.default_rng(0)
    for name, frames in (("slide", 12), ("noise", 9)):
        folder = root / "JPEGImages" / "480p" / name
        folder.mkdir(parents=True)
        for index in range(frames):
            pixels = np.full((136, 240, 3), 90, np.uint8)
            if name == "slide":
                pixels[40:90, 70 + 6 * index : 110 + 6 * index] = (200, 180, 20)
            else:
                pixels = rng.integers(0, 256, pixels.shape, np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:05d}.jpg", quality=95)
    return root


def test_windows_are_all_starts(davis: Path) -> None:
    frames = davis_sequences(davis)["slide"]
    assert frames.shape == (12, 3, 112, 112)
    sets = list(windows(frames, 4, 3))
    assert len(sets) == 12 - 3 * 3
    assert np.array_equal(sets[1], frames[[1, 4, 7, 10]])
    assert list(windows(frames, 6, 3)) == []


def test_exact_match_is_what_five_plain_lines_count(davis: Path) -> None:
    sequences = davis_sequences(davis)
    row = measure(load_model("path"), "made", all_windows(sequences, 4, 2), 4, 2)
    hits = []
    for frames in sequences.values():
        for start in range(len(frames) - 6):
            small = (frames[start : start + 7 : 2] * np.array([[[0.229]], [[0.224]], [[0.225]]])).reshape(
                4, 3, 14, 8, 14, 8
            )
            d = np.linalg.norm((m := small.mean((3, 5)).reshape(4, -1))[:, None] - m, axis=-1)
            hits.append(
                min(permutation_classes(4), key=lambda o: d[o[0], o[1]] + d[o[1], o[2]] + d[o[2], o[3]]) == (0, 1, 2, 3)
            )
    assert row.sets == len(hits) == 6 + 3
    assert row.accuracy == pytest.approx(100 * np.mean(hits), abs=0.01)
    assert 0 < row.accuracy < 100  # the slide is easy, the noise is not
    assert row.chance == pytest.approx(100 / 12, abs=0.01)


def test_calibration_error() -> None:
    assert expected_calibration_error([0.8] * 10, [True] * 8 + [False] * 2) == pytest.approx(0)
    assert expected_calibration_error([1.0, 1.0, 0.2, 0.2], [True, False, False, False]) == pytest.approx(0.35)


def test_the_command_writes_results_from_which_documents_are_filled(davis: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    common = ["--results", str(results), "--seq-len", "4", "--spacing", "1", "2"]
    main(["--davis", str(davis), "--models", "path", "default", "--dataset", "made", *common])
    rows = json.loads(results.read_text())["rows"]
    assert {(row["model"], row["spacing"]) for row in rows} == {(m, s) for m in ("path", "tridab-s") for s in (1, 2)}

    document = tmp_path / "page.md"
    document.write_text("before\n<!-- accuracy:begin -->\nold\n<!-- accuracy:end -->\nafter\n")
    fill(document, "accuracy", accuracy_table(read_results(results)))
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    cells = " | ".join(f"{row['accuracy']:.1f}" for row in rows if row["model"] == "path")
    assert f"| 4 | path | {cells} |" in text
    assert "paper, Table V" in text
    assert "| 4 | chance | 8.3 | 8.3 |" in text


def test_a_document_without_a_marked_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing here")
    with pytest.raises(ValueError, match="no place marked"):
        fill(tmp_path / "page.md", "accuracy", "x")


def test_another_folder_is_no_davis_root(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="give the root of DAVIS"):
        davis_sequences(tmp_path)

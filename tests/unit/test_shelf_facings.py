"""Pictures of a shelf, drawn here: full, empty, badly lit, shifted, and with somebody in front."""

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from cli.main import main
from contracts.errors import ConfigurationError
from edge.shelf.facings import Facing, ShelfCamera, Slot, shares

Image = NDArray[np.uint8]
A, B, C = "06901234567892", "06912345000017", "06912345000024"
SLOTS = [
    Slot(gtin, x=20 + 75 * column, y=20 + 170 * row, width=65, height=140)
    for row in range(3)
    for column, gtin in enumerate((A, A, A, B, B, C, C, C))
]
SHAPE = (540, 640)


def background(random: np.random.Generator) -> Image:
    """A back wall with a pegboard, and the boards that goods stand on."""
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    wall = 150 + 12 * ((rows // 9 + columns // 9) % 2) + 10 * np.sin(columns / 40)
    for row in range(3):
        wall[20 + 170 * row + 140 : 20 + 170 * row + 150] = 90
    seen: Image = np.clip(wall + random.normal(0, 2, SHAPE), 0, 255).astype(np.uint8)
    return seen


def product(gtin: str) -> Image:
    """A package with a label of its own: a band, a mark and lines of print."""
    random = np.random.default_rng(int(gtin[-6:]))
    face = np.full((140, 65), int(random.integers(60, 220)), dtype=np.uint8)
    top = int(random.integers(20, 60))
    face[top : top + 40, 5:60] = int(random.integers(0, 255))
    for line in range(top + 45, 130, int(random.integers(7, 12))):
        face[line : line + 3, 8 : int(random.integers(30, 58))] = int(random.integers(0, 255))
    face[:, :2] = face[:, -2:] = 20
    return face


def shot(
    random: np.random.Generator, filled: list[bool], *, light: float = 1.0, shift: tuple[int, int] = (0, 0)
) -> Image:
    picture = background(random)
    for slot, is_there in zip(SLOTS, filled, strict=True):
        if is_there:
            picture[slot.y : slot.y + slot.height, slot.x : slot.x + slot.width] = product(slot.gtin)
    lit = picture.astype(np.float32) * light * np.linspace(0.8, 1.1, SHAPE[1])
    noisy = np.clip(lit + random.normal(0, 4, SHAPE), 0, 255).astype(np.uint8)
    moved: Image = np.roll(noisy, shift, (0, 1))
    return moved


@pytest.fixture(scope="module")
def camera() -> ShelfCamera:
    random = np.random.default_rng(1)
    return ShelfCamera(SLOTS, shot(random, [True] * len(SLOTS)), shot(random, [False] * len(SLOTS)))


def test_empty_facings_are_found_in_any_light_and_after_a_knock(camera: ShelfCamera) -> None:
    random = np.random.default_rng(2)
    right = wrong = missed = naive_right = naive_wrong = naive_missed = 0
    empty_reference = shot(np.random.default_rng(1), [False] * len(SLOTS))
    for number in range(20):
        filled = [bool(random.random() < 0.6) for _ in SLOTS]
        light = float(random.uniform(0.5, 1.25))
        knock = (int(random.integers(-5, 6)), int(random.integers(-5, 6))) if number % 2 else (0, 0)
        picture = shot(random, filled, light=light, shift=knock)
        difference = np.abs(picture.astype(float) - empty_reference)
        for seen, is_there in zip(camera.look(picture), filled, strict=True):
            told = seen.facing is Facing.EMPTY
            right, wrong, missed = (
                right + (told and not is_there),
                wrong + (told and is_there),
                missed + (not told and not is_there),
            )
            slot = seen.slot
            naive = difference[slot.y : slot.y + slot.height, slot.x : slot.x + slot.width].mean() < 25
            naive_right += naive and not is_there
            naive_wrong += naive and is_there
            naive_missed += not naive and not is_there
    score = 2 * right / (2 * right + wrong + missed)
    naive_score = 2 * naive_right / (2 * naive_right + naive_wrong + naive_missed)
    assert score >= 0.97
    assert naive_score < score


def test_what_somebody_stands_in_front_of_is_unknown_and_never_a_guess(camera: ShelfCamera) -> None:
    random = np.random.default_rng(3)
    picture = shot(random, [True] * len(SLOTS))
    picture[:, 150:330] = np.clip(random.normal(90, 6, (SHAPE[0], 180)), 0, 255).astype(np.uint8)
    covered = [each for each in camera.look(picture) if each.slot.x >= 150 and each.slot.x + 65 <= 330]
    assert len(covered) == 6
    assert {each.facing for each in covered} == {Facing.UNKNOWN}
    dark = camera.look(np.zeros(SHAPE, dtype=np.uint8))
    assert {each.facing for each in dark} == {Facing.UNKNOWN}


def test_the_share_of_the_shelf_is_by_what_is_seen(camera: ShelfCamera) -> None:
    filled = [slot.gtin != B for slot in SLOTS]
    found = {each.gtin: each for each in shares(camera.look(shot(np.random.default_rng(4), filled)))}
    assert found[A].filled == 9
    assert found[A].share == pytest.approx(0.5)
    assert (found[B].empty, found[B].share) == (6, 0.0)


def test_the_command_reads_pictures_from_files(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    pictures = {"full": [True] * len(SLOTS), "empty": [False] * len(SLOTS), "now": [slot.gtin != C for slot in SLOTS]}
    for name, filled in pictures.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), shot(random, filled))
    (tmp_path / "slots.json").write_bytes(msgspec.json.encode(SLOTS))
    options = [f"--{name}={tmp_path / name}.png" for name in ("full", "empty")]
    command = ["shelf", "look", *options, f"--slots={tmp_path / 'slots.json'}", "--json"]
    answer = json.loads(CliRunner().invoke(main, [*command, str(tmp_path / "now.png")]).output)
    assert {slot["facing"] for slot in answer["slots"] if slot["gtin"] == C} == {"empty"}
    assert {share["gtin"]: share["empty"] for share in answer["shares"]} == {A: 0, B: 0, C: 9}
    refused = CliRunner().invoke(main, [*command, str(tmp_path / "slots.json")])
    assert refused.exit_code == 2
    assert "no picture" in refused.output


def test_a_planogram_or_picture_that_does_not_fit_is_refused(camera: ShelfCamera) -> None:
    full = np.zeros(SHAPE, dtype=np.uint8)
    with pytest.raises(ConfigurationError, match="outside"):
        ShelfCamera([Slot(A, 600, 0, 100, 100)], full, full)
    with pytest.raises(ConfigurationError, match="differ"):
        ShelfCamera(SLOTS, full, full[:100])
    with pytest.raises(ConfigurationError, match="another size"):
        camera.look(full[:100])

"""The file of patches is there whole or not at all, for its owner alone."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from posture.patches import patch

from gateway.config.patch import read_patches
from gateway.posture.patch_file import write_patches


def test_patches_are_written_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "patches.json"
    before = os.umask(0)
    try:
        write_patches(file, (patch(),))
    finally:
        os.umask(before)

    assert read_patches(file) == (patch(),)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["patches.json"]


def test_file_that_cannot_be_replaced_stays_and_nothing_is_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "patches.json"
    file.mkdir()

    with pytest.raises(OSError, match="directory"):
        write_patches(file, (patch(),))

    assert os.listdir(tmp_path) == ["patches.json"]


def test_reader_sees_one_of_the_files_that_were_written_and_never_half_of_one(tmp_path: Path) -> None:
    file = tmp_path / "patches.json"
    many = tuple(patch(name=f"n{number}") for number in range(150))
    write_patches(file, many)
    done = threading.Event()

    def write() -> None:
        for _ in range(20):
            write_patches(file, (patch(),))
            write_patches(file, many)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(len(read_patches(file)))
    writer.join()

    assert seen <= {1, 150}

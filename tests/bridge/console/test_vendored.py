"""The files of others are those of their packages, and all are named."""

import hashlib
from pathlib import Path
from tomllib import loads

import pytest

from bridge.console.report_process import FONTS
from bridge.console.static_files import FOLDER

FOLDERS = pytest.mark.parametrize("folder", [FOLDER / "vendor", FONTS])
ROOT = Path(__file__).parents[3]


def packages(folder):
    return loads((folder / "vendored.toml").read_text())["package"]


@FOLDERS
def test_each_file_is_the_one_of_its_package(folder):
    for package in packages(folder):
        for file in package["files"]:
            data = (folder / file["name"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"], file["name"]


@FOLDERS
def test_every_vendored_file_is_in_the_table(folder):
    named = {file["name"] for package in packages(folder) for file in package["files"]}

    assert {path.name for path in folder.iterdir()} - {"vendored.toml"} == named


@FOLDERS
def test_each_package_has_its_licence_and_stands_in_the_notice(folder):
    notice = (ROOT / "NOTICE").read_text()
    for package in packages(folder):
        assert (folder / package["licence_file"]).exists()
        line = f"{package['name']} {package['version']}"
        assert line in notice, line

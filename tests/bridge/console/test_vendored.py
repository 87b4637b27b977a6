"""The scripts and styles of others are those of their packages, and all are named."""

import hashlib
from pathlib import Path
from tomllib import loads

from bridge.console.static_files import FOLDER

VENDORED = FOLDER / "vendor"
PACKAGES = loads((VENDORED / "vendored.toml").read_text())["package"]
ROOT = Path(__file__).parents[3]


def test_each_file_is_the_one_of_its_package():
    for package in PACKAGES:
        for file in package["files"]:
            data = (VENDORED / file["name"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"], file["name"]


def test_every_vendored_file_is_in_the_table():
    named = {file["name"] for package in PACKAGES for file in package["files"]}

    assert {path.name for path in VENDORED.iterdir()} - {"vendored.toml"} == named


def test_each_package_has_its_licence_and_stands_in_the_notice():
    notice = (ROOT / "NOTICE").read_text()
    for package in PACKAGES:
        assert (VENDORED / package["licence_file"]).exists()
        line = f"{package['name']} {package['version']}"
        assert line in notice, line

"""deploy/systemd: the unit is whole, drains on stop, and outlives nothing it needs."""

import re
import shutil
import subprocess

import pytest

from bridge.settings.environment import read_dotenv
from bridge.settings.process import load

from .pages import ROOT

SYSTEMD = ROOT / "deploy" / "systemd"
UNIT = SYSTEMD / "kolbridge@.service"
INSTALLED = "/opt/kolbridge/%i/.venv/bin/kolbridge"


def values_of(name):
    """Return the values of a key of the unit, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def said_by_systemd(text, folder):
    """Return what systemd says of the unit, with a program that exists."""
    file = folder / "kolbridge@0.2.0.service"
    file.write_text(text.replace(INSTALLED, "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True)
    lines = (checked.stdout + checked.stderr).splitlines()
    return [line for line in lines if "kolbridge@" in line]


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)
def test_systemd_has_nothing_to_say_of_the_unit(tmp_path):
    text = UNIT.read_text()

    assert said_by_systemd(text, tmp_path) == []
    wrong = text.replace("RestartSec=", "RestartSecs=")
    assert "RestartSecs" in "".join(said_by_systemd(wrong, tmp_path))


def test_a_stop_drains_the_process_and_not_the_name():
    """`kolbridge drain NODE` would drain the version that has taken over, too."""
    assert values_of("ExecStop") == []
    assert values_of("KillSignal") == []  # SIGTERM
    assert values_of("KillMode") == ["mixed"]


def test_the_note_of_leaving_lasts_over_a_restart_and_no_longer():
    assert values_of("RuntimeDirectory") == ["kolbridge/%i"]  # each version's own
    assert values_of("RuntimeDirectoryPreserve") == ["restart"]


def test_what_the_calls_need_is_stopped_after_them():
    """Units are stopped in the reverse of the order in which they start."""
    after = " ".join(values_of("After")).split()

    assert {"network-online.target", "nss-lookup.target", "postgresql.service"} < {
        *after
    }
    proxies = {file.stem.lower() for file in (ROOT / "deploy" / "proxy").iterdir()}
    assert {name.replace("caddyfile", "caddy") for name in proxies} == {
        name.removesuffix(".service") for name in after[3:]
    }


def test_what_differs_between_machines_is_in_a_file_of_its_own():
    (file,) = values_of("EnvironmentFile")
    node = read_dotenv(SYSTEMD / "node.env")
    settings = load(node | {"PUBLIC_URL": "https://voice.example.com"})

    assert file == "-/etc/kolbridge/node.env"  # with one machine there is none
    assert node.keys() == {"NODE_NAME", "NODE_URL"}
    balancer = (ROOT / "deploy" / "balancer" / "haproxy.cfg").read_text()
    assert f"path_beg /n/{settings.node_name}/" in balancer
    assert settings.node_url == f"{settings.public_url}/n/{settings.node_name}"


def test_the_environment_of_the_unit_sets_nothing_that_the_files_set():
    (given,) = values_of("Environment")

    assert {word.split("=")[0] for word in given.split()} == {
        "PYTHONMALLOC",
        "GLIBC_TUNABLES",
    }

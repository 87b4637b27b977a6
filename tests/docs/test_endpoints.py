"""The page of endpoints has every route of the code, and no other."""

import re

import pytest

from bridge.ports.authentication import ANY_OTHER
from bridge.service.admin import admin_application
from bridge.service.server import Server
from bridge.service.webhooks import Webhooks
from bridge.settings.process import Settings

from .pages import ROOT

PAGE = (ROOT / "docs" / "endpoints.md").read_text()


def public(server):
    webhooks = Webhooks(
        Settings(),
        "http://x",
        server.switchboard,
        server.readiness,
        find_recorded=None,
        fallback_for=None,
        messages=None,
        has_left_port=lambda: False,
    )
    return webhooks.application()


def admin(server):
    return admin_application(Settings(), bytes, server.readiness, None)


def routes(application):
    return {
        (route.method, route.resource.canonical)
        for route in application.router.routes()
        if route.method != "HEAD" and ANY_OTHER not in route.resource.canonical
    }


@pytest.mark.parametrize(
    ("application", "heading"), [(public, "Public port"), (admin, "Admin port")]
)
def test_a_port_s_endpoints_are_those_of_the_code(application, heading, tmp_path):
    server = Server(Settings(kolbridge_home=str(tmp_path)), database=None)
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    told = set(re.findall(r"^\| `(GET|POST) (/[\w/-]+)` \|", section, re.MULTILINE))

    assert told == routes(application(server))

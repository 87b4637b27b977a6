"""Console: what the pages are given, and the facts of a request that they read."""

from typing import Any, NamedTuple
from uuid import UUID

from aiohttp import web
from multidict import MultiDict

from bridge.console.health_port import HealthPort
from bridge.console.live_port import LivePort
from bridge.console.softphone_port import SoftphonePort
from bridge.recorder.far import FarRecordings
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm.businesses import Business
from crm.database import Database

ROOT = "/console"
OPERATOR, OWNER, STAFF = ROLES = ("operator", "owner", "staff")


class Console(NamedTuple):
    """What the pages of one process share.

    `database` is the console's own share of the connections: a slow page takes none
    that a call waits for.
    """

    settings: Settings
    database: Database
    metrics: Metrics
    public_url: str
    # The running calls; None where no call can be watched.
    live: LivePort | None = None
    # Places test calls; None where no call can be placed.
    softphone: SoftphonePort | None = None
    # The checks; None where none run.
    health: HealthPort | None = None
    # The recordings of other machines; None where there are none.
    recordings: FarRecordings | None = None

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the console over TLS alone."""
        return self.public_url.startswith("https:")


class Viewer(NamedTuple):
    """Who is logged in; an operator belongs to no business."""

    user_id: UUID
    login: str
    name: str
    role: str
    business_id: UUID | None
    language: str | None

    @property
    def is_operator(self) -> bool:
        """Whether every business may be seen."""
        return self.role == OPERATOR

    def may_see(self, business_id: UUID) -> bool:
        """Tell whether a business's pages are this viewer's."""
        return self.is_operator or self.business_id == business_id


class MenuItem(NamedTuple):
    """A line of the navigation; `title` is marked with `N_`, and translated when shown.

    A path with `{business}` stands in the menu of a business, any other in the
    operator's.
    """

    title: str
    path: str
    roles: tuple[str, ...] = ROLES


CONSOLE = web.AppKey("console", Console)
# Facts of a request. VIEWER and CSRF are there on every page but the login's, BUSINESS
# where the path has `{business}`, FORM where the method changes something.
VIEWER = web.RequestKey("viewer", Viewer)
TOKEN = web.RequestKey("token", str)
CSRF = web.RequestKey("csrf", str)
BUSINESS = web.RequestKey("business", Business)
FORM = web.RequestKey("form", MultiDict[str])


def business_path(business_id: UUID | str, *parts: Any) -> str:
    """Return the path of a business's page."""
    return "/".join((f"{ROOT}/b/{business_id}", *map(str, parts)))


def require(request: web.Request, *roles: str) -> Viewer:
    """Return the viewer; raise HTTPForbidden unless the viewer has one of the roles."""
    viewer = request[VIEWER]
    if viewer.role not in roles:
        raise web.HTTPForbidden
    return viewer

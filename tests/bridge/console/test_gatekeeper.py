"""Who gets in, and what of whom is seen; headers of every answer."""

import asyncio
import re
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession

from bridge.console.faults import HEADERS
from bridge.service.server import Server
from crm import accounts, businesses
from tests.bridge.console.conftest import PASSWORD, add_user
from tests.test_workers import two_servers


def run(story):
    return asyncio.run(story())


def test_without_a_session_every_page_leads_to_the_login(desk):
    async def story():
        async with desk() as at:
            for path in ("/console/", "/console/account", at.path(""), "/console/no"):
                status, _ = await at.nobody.get(path)
                assert status == 303
                assert at.nobody.headers["Location"].startswith("/console/login")
            status, _ = await at.nobody.get("/console")
            assert status == 303
            assert (await at.owner.get("/console"))[0] == 303
            assert at.owner.headers["Location"] == at.path("")

    run(story)


def test_an_owner_sees_own_pages_and_nothing_of_another_business(desk):
    async def story():
        async with desk() as at:
            status, text = await at.owner.get(at.path(""))
            assert status == 200
            assert "Salon" in text
            for business in (at.theirs, "00000000-0000-0000-0000-000000000000", "x"):
                for page in ("", "audit"):
                    status, _ = await at.owner.get(at.path(page, business=business))
                    assert status == 404
            status, _ = await at.other.get(at.path(""))
            assert status == 404
            assert (
                at.server.metrics.value("console_refused", reason="other_business") == 5
            )

    run(story)


def test_an_operator_sees_all_businesses_and_others_have_no_such_list(desk):
    async def story():
        async with desk() as at:
            status, _ = await at.operator.get("/console/businesses")
            assert status == 200
            for business in (at.ours, at.theirs):
                assert (await at.operator.get(at.path("", business=business)))[0] == 200
            assert (await at.owner.get("/console/businesses"))[0] == 404
            assert (await at.owner.get("/console/"))[0] == 303
            assert at.owner.headers["Location"] == at.path("")

    run(story)


def test_staff_does_not_read_the_audit_log(desk):
    async def story():
        async with desk() as at:
            assert (await at.staff.get(at.path("audit")))[0] == 403
            assert (await at.owner.get(at.path("audit")))[0] == 200

    run(story)


@pytest.mark.parametrize(
    ("csrf", "headers"),
    [
        ("", {}),
        ("0" * 64, {}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
        (None, {"Sec-Fetch-Site": "same-site"}),
        (None, {"Origin": "https://evil.example"}),
        (None, {"Origin": "null"}),
    ],
)
def test_a_form_of_another_page_changes_nothing(desk, csrf, headers):
    async def story():
        async with desk() as at:
            status, _ = await at.owner.post("/console/logout", csrf, headers)
            assert status == 403
            assert (await at.owner.get(at.path("")))[0] == 200

    run(story)


def test_a_login_form_of_another_site_logs_nobody_in(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "staff", at.ours)
            status, _ = await at.nobody.post(
                "/console/login",
                headers={"Sec-Fetch-Site": "cross-site"},
                login=login,
                password=PASSWORD,
            )
            assert status == 403

    run(story)


def test_a_body_beyond_its_limit_or_of_another_kind_is_refused(desk):
    async def story():
        async with desk() as at:
            status, _ = await at.nobody.post("/console/login", login="x" * 9_000)
            assert status == 413
            status, _ = await at.owner.post(
                "/console/language", headers={"Content-Type": "application/json"}
            )
            assert status == 415
            status, _ = await at.owner.post("/console/language", language="a\0b")
            assert status == 400

    run(story)


def test_bytes_that_are_no_text_are_refused(desk):
    """A header may have any bytes; what they cost is one query, and no traceback."""

    async def story():
        async with desk() as at:
            cookies = {one.key: one.value for one in at.owner.http.cookie_jar}
            session = cookies["kolbridge_session"]
            known = f"Cookie: kolbridge_session={session}".encode()
            login = await add_user(at.database, "owner", at.ours)
            form = urlencode({"login": login, "password": PASSWORD})
            for start, header, body, status in (
                ("GET /console/account", b"Cookie: kolbridge_session=\xff", "", 303),
                ("POST /console/logout", known + b"\r\nX-CSRF-Token: \xff", "", 403),
                ("POST /console/login", b"Origin: http://[", form, 403),
                ("POST /console/login", b"User-Agent: \xff", form, 303),
                (f"GET {at.path('users')}?after=%00", known, "", 400),
            ):
                head = f"{start} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                data = head.encode() + header + b"\r\n\r\n" + body.encode()
                assert (await at.service.request(data))[0] == status, (start, header)

    run(story)


def test_every_answer_forbids_what_no_page_needs(desk):
    async def story():
        async with desk() as at:
            for path in ("/console/login", "/console/no", "/console/account"):
                await at.owner.get(path)
                for name, value in HEADERS.items():
                    assert at.owner.headers[name] == value, path
            policy = HEADERS["Content-Security-Policy"]
            assert "unsafe" not in policy
            assert "http" not in policy
            assert "Strict-Transport-Security" not in at.owner.headers

    run(story)


def test_behind_https_cookies_are_secure(desk):
    async def story():
        async with desk(public_url="https://voice.example") as at:
            await at.nobody.get("/console/login")
            assert "Strict-Transport-Security" in at.nobody.headers
            login = await add_user(at.database, "staff", at.ours)
            await at.nobody.post("/console/login", login=login, password=PASSWORD)
            cookie = at.nobody.headers["Set-Cookie"]
            for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/console"):
                assert word in cookie

    run(story)


def test_the_session_of_a_disabled_user_ends_at_once(desk):
    async def story():
        async with desk() as at:
            browser = at.new_browser()
            login = await add_user(at.database, "owner", at.ours)
            await browser.log_in(login)
            user = await accounts.find(at.database, login)
            await accounts.disable(at.database, user.id)
            assert (await browser.get(at.path("")))[0] == 303

    run(story)


def test_strange_cookies_cost_a_bounded_number_of_queries(desk):
    async def story():
        async with desk() as at:
            at.nobody.http.cookie_jar.update_cookies({"kolbridge_session": "strange"})
            for _ in range(40):
                assert (await at.nobody.get("/console/account"))[0] == 303
            # Whoever was known from this address is known still; no other is.
            assert (await at.owner.get("/console/account"))[0] == 200
            browser = at.new_browser()
            await browser.log_in(await add_user(at.database, "owner", at.ours))
            assert (await browser.get("/console/account"))[0] == 303

    run(story)


def test_twilio_s_webhooks_need_their_signature_and_the_console_none(desk):
    async def story():
        async with desk() as at:
            status, _ = await at.nobody.post("/twilio/voice", CallSid="CA1")
            assert status == 403
            status, _ = await at.nobody.post("/console/login", login="x", password="y")
            assert status == 401
            status, _ = await at.service.post("/twilio/voice", CallSid="CA1", To="+1")
            assert status == 200

    run(story)


def test_one_connection_carries_both_kinds_of_requests(desk):
    async def story():
        async with desk() as at:
            for _ in range(3):
                assert (await at.nobody.post("/twilio/voice", CallSid="CA1"))[0] == 403
                assert (await at.nobody.get("/console/login"))[0] == 200

    run(story)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RuntimeError("a bug"), 500, "Something went wrong"),
        (ConnectionResetError(), 503, "The database does not answer"),
    ],
    ids=["bug", "database"],
)
def test_a_page_that_fails_says_so_and_is_counted(
    desk, monkeypatch, error, status, words
):
    async def fail(*args):
        raise error

    monkeypatch.setattr("crm.overview.waiting", fail)

    async def story():
        async with desk() as at:
            found, text = await at.owner.get(at.path(""))
            assert (found, words in text) == (status, True)
            assert "a bug" not in text
            assert at.server.metrics.value("console_faults", status=str(status)) == 1

    run(story)


def test_any_worker_serves_any_page(embedded_url, tmp_path):
    async def story():
        async with two_servers(embedded_url, tmp_path) as (database, servers):
            business_id = await businesses.create(database, "Salon")
            login = await add_user(database, "owner", business_id)
            one, other = (f"http://127.0.0.1:{server.port}" for server in servers)
            async with ClientSession() as http:
                form = {"login": login, "password": PASSWORD}
                async with http.post(
                    f"{one}/console/login", data=form, allow_redirects=False
                ) as answer:
                    cookie = answer.headers["Set-Cookie"].split(";")[0]
                pages = []
                for base in (one, other):
                    async with http.get(
                        f"{base}/console/account", headers={"Cookie": cookie}
                    ) as answer:
                        assert answer.status == 200
                        text = await answer.text()
                        pages.append(re.findall(r"/console/static/\w+", text))
                assert pages[0] == pages[1] != []
                user = await accounts.find(database, login)
                await accounts.disable(database, user.id)
                for base in (one, other):
                    async with http.get(
                        f"{base}/console/account",
                        headers={"Cookie": cookie},
                        allow_redirects=False,
                    ) as answer:
                        assert answer.status == 401

    run(story)


def test_the_console_can_be_left_away(desk, embedded_url, tmp_path):
    from tests.bridge.running_service import served

    async def story():
        async with served(embedded_url, tmp_path, console=False) as service:
            assert (await service.get("/console/login"))[0] == 404
            assert isinstance(service.server, Server)

    run(story)

"""The API: tokens, scopes, rates, problems that name the field, one answer a key."""

import asyncio
import re
from base64 import urlsafe_b64encode
from uuid import UUID, uuid4

import orjson
import pytest
from openapi_spec_validator import validate

from bridge.api.application import (
    BODY_BYTES_MAX,
    ROUTES,
    STRANGER_RATE,
    TOKEN_RATE,
)
from bridge.api.problems import CONTENT_TYPE
from crm import access_tokens, audit, calls, conversations, leads
from crm.access_tokens import SCOPES
from crm.conversations import Arrived
from tests.bridge.api.conftest import soon
from tests.bridge.ws_peer import Peer
from tests.crm.test_crm import PHONE, call

BOOKING = {"service": "cut", "phone": PHONE, "name": "Ben"}
BEFORE_ALL_TIME = urlsafe_b64encode(b"0001-01-01T00:00:00+14:00 CA1").decode()


def booking(hours=24, **more):
    return {**BOOKING, "starts_at": soon(hours).isoformat(), **more}


def test_document_is_valid_and_has_every_route(api):
    async def story(world):
        status, document = await world.ours.ask(
            "GET", "/openapi.json", Authorization=""
        )
        assert status == 200
        validate(document)
        there = {
            (method.upper(), path)
            for path, methods in document["paths"].items()
            for method in methods
        }
        assert there == {(route.method, route.path) for route in ROUTES}
        ids = re.findall(rb'"operationId":"([^"]+)"', orjson.dumps(document))
        assert len(ids) == len(set(ids)) == len(ROUTES)
        for document_of in document["components"]["schemas"].values():
            assert "$defs" not in document_of

    api(story)


def test_nothing_is_answered_without_a_token(api):
    async def story(world):
        for given in ("", "Bearer ", "Bearer kolbridge_x", "Basic abc"):
            status, problem = await world.ours.ask("GET", "/calls", Authorization=given)
            assert (status, problem["title"]) == (401, "Unauthorized")
            assert world.ours.headers["WWW-Authenticate"] == "Bearer"
            assert world.ours.headers["Content-Type"] == "application/problem+json"
        made = await access_tokens.make(world.db, world.ours.id, "feed", "Feed")
        given = f"Bearer {made.secret}"
        assert (await world.ours.ask("GET", "/calls", Authorization=given))[0] == 401

    api(story)


def test_revoked_token_opens_nothing_and_use_is_noted(api):
    async def story(world):
        (token,) = await access_tokens.listed(world.db, world.ours.id)
        assert token.last_used_at is None
        await world.ours.get("/calls")
        (token,) = await access_tokens.listed(world.db, world.ours.id)
        assert token.last_used_at is not None
        assert not await access_tokens.revoke(world.db, world.theirs.id, token.id)
        assert await access_tokens.revoke(world.db, world.ours.id, token.id)
        assert (await world.ours.ask("GET", "/calls"))[0] == 401

    api(story)


def test_token_that_may_read_changes_nothing(api):
    async def story(world):
        made = await access_tokens.make(
            world.db, world.ours.id, "api", "Reader", ("read",)
        )
        given = f"Bearer {made.secret}"
        for route in ROUTES:
            if route.method != "GET":
                path = re.sub(r"\{\w+\}", str(uuid4()), route.path)
                status, problem = await world.ours.ask(
                    route.method, path, {}, Authorization=given
                )
                assert status == 403, route
                assert "'write'" in problem["detail"]

    api(story)


def test_token_may_come_only_so_often(api):
    async def story(world):
        asked = [world.ours.ask("GET", "/hours") for _ in range(TOKEN_RATE.burst + 20)]
        statuses = [status for status, _ in await asyncio.gather(*asked)]
        assert statuses.count(429) >= 5
        assert statuses.count(200) >= TOKEN_RATE.burst
        assert (await world.theirs.ask("GET", "/hours"))[0] == 200

    api(story)


def test_strangers_keep_out_nobody_else(api):
    async def story(world):
        stranger = {"Authorization": "Bearer kolbridge_x"}

        async def tried(**headers):
            asked = [
                world.ours.ask("GET", "/hours", **stranger, **headers)
                for _ in range(STRANGER_RATE.burst + 5)
            ]
            return {status for status, _ in await asyncio.gather(*asked)}

        assert await tried(X_Forwarded_For="forged, 192.0.2.66") == {401, 429}
        # The same client, whatever it forges in front.
        assert 429 in await tried(X_Forwarded_For="192.0.2.8, 192.0.2.66")
        named = {"X_Forwarded_For": "192.0.2.7"}
        assert (await world.ours.ask("GET", "/hours", **named))[0] == 200
        # Behind a proxy that names nobody, whoever is known stays in.
        assert 429 in await tried()
        assert (await world.ours.ask("GET", "/hours"))[0] == 200

    api(story)


def test_ids_of_another_business_are_not_found(api):
    async def story(world):
        db, ours, theirs = world.db, world.ours, world.theirs
        sid = f"CA{uuid4().hex}"
        await calls.save(db, theirs.id, call(sid))
        lead = await leads.touch(db, theirs.id, PHONE)
        _, booked = await theirs.ask("POST", "/appointments", booking())
        _, made = await theirs.ask(
            "POST", "/notices/endpoints", {"kind": "email", "target": "a@b.com"}
        )
        arrived = Arrived(f"SM{uuid4().hex}", "hello", "+15550009999", "AC1", PHONE)
        received = await conversations.receive(db, theirs.id, arrived)
        ids = {
            "/calls": [sid],
            "/conversations": [received.conversation_id],
            "/leads": [lead.id],
            "/appointments": [booked["id"]],
            "/notices/endpoints": [made["id"]],
            "/notices/log": [uuid4()],
        }
        tried = 0
        for route in ROUTES:
            base, brace, rest = route.path.partition("/{")
            if brace:
                tail = rest.partition("}")[2]
                for one in (*ids[base], uuid4(), "x", "%00"):
                    is_move = route.path.startswith("/appointments")
                    body = {"starts_at": soon(30).isoformat()} if is_move else {}
                    body = {"body": "Hello"} if tail == "/messages" else body
                    path = f"{base}/{one}{tail}"
                    status, problem = await ours.ask(route.method, path, body)
                    assert status == 404, (route, one, problem)
                    tried += 1
        assert tried >= 8 * 4
        # The first token's requests of this second are used up.
        ours.token = (await access_tokens.make(db, ours.id, "api", "2", SCOPES)).secret
        empty = ("/calls", "/conversations", "/leads", "/appointments", "/notices/log")
        for path in empty:
            assert (await ours.get(path))["items"] == []
        assert await ours.get("/notices/endpoints") == []
        assert (await theirs.get(f"/appointments/{booked['id']}"))["status"] == "booked"

    api(story)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/calls?limit=0", None, "limit"),
        ("GET", "/calls?limit=1000", None, "limit"),
        ("GET", "/calls?offset=1", None, "offset"),
        ("GET", "/calls?cursor=zzz", None, "cursor"),
        ("GET", "/leads?cursor=AAAA", None, "cursor"),
        ("GET", f"/calls?cursor={BEFORE_ALL_TIME}", None, "cursor"),
        ("GET", "/appointments?person=99999999999", None, "person"),
        ("GET", f"/conversations/{UUID(int=1)}?before={2**63}", None, "before"),
        ("POST", "/appointments", booking(person=2**31), "person"),
        ("POST", "/appointments", booking(name="x" * 201), "name"),
        ("GET", "/appointments?from=2026-01-01T00:00:00", None, "from"),
        ("GET", "/free-slots?service=Cut&first_day=2026-01-01", None, "last_day"),
        (
            "GET",
            "/free-slots?service=X&first_day=2030-01-01&last_day=2030-01-01",
            None,
            "service",
        ),
        (
            "GET",
            "/free-slots?service=Cut&first_day=2030-01-02&last_day=2030-01-01",
            None,
            "last_day",
        ),
        (
            "GET",
            "/free-slots?service=Cut&first_day=9999-12-31&last_day=9999-12-31",
            None,
            "first_day",
        ),
        ("POST", "/appointments", {}, "service"),
        ("POST", "/appointments", booking(phone="12"), "phone"),
        ("POST", "/appointments", booking(service="X"), "service"),
        ("POST", "/appointments", booking(extra=1), "extra"),
        ("POST", "/appointments", booking(starts_at="2026-01-01"), "starts_at"),
        (
            "POST",
            "/appointments",
            {**BOOKING, "starts_at": "2026-12-01T10:00:00"},
            "starts_at",
        ),
        ("PUT", "/services", [{"name": "Cut", "minutes": 1}], "services"),
        ("PUT", "/services", {"name": "Cut"}, "body"),
        ("PUT", "/staff", [{"name": "Dana", "services": ["Perm"]}], "staff"),
        ("PUT", "/hours", {"someday": ["09:00-17:00"]}, "hours"),
        (
            "PUT",
            "/closures",
            [{"day": "2030-01-02", "until": "2030-01-01"}],
            "closures",
        ),
        ("POST", "/appointments", booking(name="a\0b"), "body"),
        ("GET", "/leads?phone=%00", None, "phone"),
        ("PATCH", "/assistant", {"language": "xx"}, "language"),
        ("PATCH", "/assistant", {"settings": {"no_such": 1}}, "settings"),
        ("PATCH", "/assistant", {"numbers": ["+15550000001"]}, "numbers"),
        ("POST", "/notices/endpoints", {"kind": "fax", "target": "x"}, "kind"),
        (
            "POST",
            "/notices/endpoints",
            {"kind": "webhook", "target": "http://a.b"},
            "target",
        ),
        (
            "POST",
            "/notices/endpoints",
            {"kind": "webhook", "target": "https://a.b", "types": []},
            "types",
        ),
    ],
)
def test_problem_names_the_field(api, method, path, body, field):
    async def story(world):
        status, problem = await world.ours.ask(method, path, body)
        assert (status, problem["status"]) == (422, 422), problem
        assert [one["field"] for one in problem["errors"]] == [field], problem

    api(story)


def test_bodies_that_are_not_read(api):
    async def story(world):
        url = f"{world.base}/api/v1/appointments"
        headers = {"Authorization": f"Bearer {world.ours.token}"}
        for data, more, status in (
            (b"{", {}, 400),
            (b"\xff", {}, 400),
            (b"x" * (BODY_BYTES_MAX + 1), {}, 413),
            (b"{}", {"Content-Encoding": "gzip"}, 415),
            (b"{}", {"Expect": "100-continue"}, 417),
        ):
            async with world.session.post(
                url, data=data, headers={**headers, **more}
            ) as response:
                assert response.status == status, (data[:9], await response.text())
        assert (await world.ours.ask("PUT", "/calls"))[0] == 405
        assert world.ours.headers["Allow"] == "GET"
        assert (await world.ours.ask("GET", "/nothing"))[0] == 404

    api(story)


def test_settings_nested_deep_are_no_json(api):
    async def story(world):
        deep = b'{"settings":{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}}"
        async with world.session.patch(
            f"{world.base}/api/v1/assistant",
            data=deep,
            headers={"Authorization": f"bearer {world.ours.token}"},
        ) as response:
            assert (response.status, response.content_type) == (400, CONTENT_TYPE)

    api(story)


def test_token_that_is_no_text_opens_nothing(api):
    async def story(world):
        peer = await Peer.connect(int(world.base.rpartition(":")[2]))
        peer.send(b"GET /api/v1/calls HTTP/1.1\r\nHost: x\r\n")
        peer.send(b"Authorization: Bearer kolbridge_\xff\r\n\r\n")
        assert (await peer.head()).split()[1] == "401"
        await peer.close()

    api(story)


def test_post_with_a_key_is_carried_out_once(api):
    async def story(world):
        ours = world.ours
        body = booking()
        first = await ours.ask("POST", "/appointments", body, Idempotency_Key="one")
        again = await ours.ask("POST", "/appointments", body, Idempotency_Key="one")
        assert first == again
        assert first[0] == 201
        other = booking(30)
        status, problem = await ours.ask(
            "POST", "/appointments", other, Idempotency_Key="one"
        )
        assert (status, "another request" in problem["detail"]) == (422, True)
        racing = [
            ours.ask("POST", "/notices/endpoints", body, Idempotency_Key="two")
            for body in [{"kind": "webhook", "target": "https://example.com/"}] * 5
        ]
        statuses = sorted(status for status, _ in await asyncio.gather(*racing))
        assert statuses[0] == 201
        assert set(statuses) <= {201, 409}
        assert len(await ours.get("/notices/endpoints")) == 1
        # Another business's key is another key.
        mine = await world.theirs.ask(
            "POST", "/appointments", body, Idempotency_Key="one"
        )
        assert mine[0] == 201
        assert mine[1]["id"] != first[1]["id"]

    api(story)


def test_what_is_done_but_not_answered_is_not_done_again(api, monkeypatch, caplog):
    async def story(world):
        body = {"kind": "webhook", "target": "https://example.com/"}
        asked = "POST", "/notices/endpoints", body
        with monkeypatch.context() as patch:
            patch.setattr(audit, "write", lost)
            status, _ = await world.ours.ask(*asked, Idempotency_Key="k")
            assert status == 503
        status, problem = await world.ours.ask(*asked, Idempotency_Key="k")
        assert (status, "without an answer" in problem["detail"]) == (409, True)
        assert len(await world.ours.get("/notices/endpoints")) == 1
        assert (
            f"not in the audit log of {world.ours.id}, though done by "
            "'API: Program': POST /api/v1/notices/endpoints"
        ) in caplog.text

    async def lost(*_):
        raise ConnectionError("the database is away")

    api(story)


def test_key_of_a_failed_request_may_try_again(api):
    async def story(world):
        bad = await world.ours.ask(
            "POST", "/appointments", booking(phone="x"), Idempotency_Key="k"
        )
        good = await world.ours.ask(
            "POST", "/appointments", booking(), Idempotency_Key="k"
        )
        assert (bad[0], good[0]) == (422, 201)
        assert (await world.ours.ask("POST", "/appointments", {}, Idempotency_Key=""))[
            0
        ] == 400

    api(story)

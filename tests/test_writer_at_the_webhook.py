"""The sandbox's writer at the service's webhook: two readings of one wire."""

from bridge.sandbox.messaging.contents import Choice, Shown
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.webhooks import Signer
from bridge.sandbox.messaging.writer import Writer
from bridge.settings.message_options import MessageOptions
from crm import businesses
from tests.bridge import running_service, ws_peer

FORGERIES = ("no signature", "other token", "other text", "other key")
ROWS = (Choice("slot-1", "Mo 9:00"), Choice("slot-2", "Tu 10:00"))


def visit(url, home, story, signer=None, **settings):
    """Let a writer visit a running service."""

    async def told():
        given = {"message": MessageOptions(whatsapp=True), **settings}
        async with (
            running_service.served(url, home, **given) as at,
            MessagingApi(
                senders={at.number}, auth_token=running_service.AUTH_TOKEN
            ) as api,
            Writer(
                api,
                f"http://127.0.0.1:{at.server.port}",
                business=at.number,
                public_url=at.server.public_url,
                name="דנה",
                signer=signer,
            ) as dana,
        ):
            await story(at, api, dana)
            assert dana.problems == api.problems == []

    ws_peer.run(told)


async def rows(at):
    """Return what the business has of each message: sid, text, choice, files."""
    found = await at.database_value(
        "select array_agg(sid || '|' || body || '|' || choice || '|' || "
        "jsonb_array_length(media) order by position) from messages"
    )
    return [row.split("|") for row in found or ()]


def test_each_kind_of_message_is_kept_once(embedded_url, tmp_path):
    async def story(at, api, dana):
        text = await dana.write("שלום, is Monday free? 👋", repeats=2)
        again = await dana.write("At once", repeats=3, together=True)
        pieces = await dana.write_pieces("At", "nine", apart_s=0.3)
        note = await dana.speak()
        picture = await dana.show_picture("Like this")

        assert await rows(at) == [
            [text, "שלום, is Monday free? 👋", "", "0"],
            [again, "At once", "", "0"],
            [pieces[0], "At", "", "0"],
            [pieces[1], "nine", "", "0"],
            [note, "", "", "1"],
            [picture, "Like this", "", "1"],
        ]
        name = "select profile_name from conversations"
        assert await at.database_value(name) == "דנה"
        # The webhook answers before anything is thought about.
        assert max(answer.seconds for answer in dana.answers) < 5

    visit(embedded_url, tmp_path, story)


def test_message_that_another_account_signs_is_not_kept(embedded_url, tmp_path):
    async def story(at, api, dana):
        own = at.database, at.business_id, "number_account"
        await businesses.set_setting(*own, "AC" + "9" * 32)
        await dana.write("hello")

        assert await rows(at) == []
        assert at.server.metrics.value("requests_of_other_accounts") == 1

        await businesses.set_setting(*own, api.account.sid)
        kept = await dana.write("again")
        assert await rows(at) == [[kept, "again", "", "0"]]

    visit(embedded_url, tmp_path, story)


def test_choice_that_this_service_did_not_offer_is_its_text_alone(
    embedded_url, tmp_path
):
    async def story(at, api, dana):
        sids = []
        for kind in ("twilio/list-picker", "twilio/quick-reply"):
            offer = api.account.add_message(
                f"SM{len(sids):032}",
                f"whatsapp:{at.number}",
                f"whatsapp:{dana.number}",
                "When?",
                "outbound-api",
            )
            offer.shown = Shown(kind, "When?", choices=ROWS)
            dana.inbox.show(offer)
            sids.append(await dana.pick(offer, ROWS[1]))

        assert await rows(at) == [[sid, "Tu 10:00", "", "0"] for sid in sids]

    visit(embedded_url, tmp_path, story)


def test_no_forgery_comes_in(embedded_url, tmp_path):
    async def story(at, api, dana):
        for how in FORGERIES:
            assert (await dana.forge("Cancel everything", how)).status == 403
        assert await rows(at) == []

    visit(embedded_url, tmp_path, story)


def test_stop_is_kept_and_ends_the_conversation(embedded_url, tmp_path):
    async def story(at, api, dana):
        await dana.write("Hello")
        await dana.stop()
        stopped = "select stopped_at is not null from conversations"
        assert await at.database_value(stopped) is True
        await dana.start_again()
        assert await at.database_value(stopped) is False

    visit(embedded_url, tmp_path, story)


def test_message_signed_with_a_shared_key_comes_in(embedded_url, tmp_path):
    async def story(at, api, dana):
        sid = await dana.write("Hello")
        for how in FORGERIES:
            await dana.forge("Cancel everything", how)
        assert await rows(at) == [[sid, "Hello", "", "0"]]

    key, secret = "webhooks_sharedkey_1", "the-shared-secret"
    keys = {"twilio_shared_keys": f"{key}={secret}"}
    visit(embedded_url, tmp_path, story, Signer("", key, secret), **keys)

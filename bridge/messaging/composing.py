"""How one message goes out: as text, with choices or as a template, and its fields.

`Composer.decide` asks the rules of `bridge.messaging.window`; `Composer.fields` makes
the fields of the request. Choices that Twilio does not take, or not in time, are sent
as numbered lines.
"""

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from bridge.messaging.contents import (
    Content,
    ContentError,
    Contents,
    Template,
    as_text,
    read_content,
)
from bridge.messaging.twilio_messages import Refused, TwilioError
from bridge.messaging.window import (
    Addressee,
    Decision,
    Way,
    decide,
    quiet_until,
    read_quiet_hours,
)
from bridge.settings.message_options import MessageOptions, message_options
from bridge.telemetry.log import CallLogger
from crm import messages
from crm.businesses import Business
from crm.message_sending import Outgoing
from crm.message_work import Held
from crm.messages import Draft, Message

# How long choices wait for a resource that cannot be made; then they go as text.
CONTENT_WAIT = timedelta(seconds=15)


class SendContext(NamedTuple):
    """One conversation of one business, as it stands. `account_sid` is the carrier's
    account that sends."""

    held: Held
    business: Business
    state: Outgoing
    account_sid: str

    @property
    def log(self) -> CallLogger:
        """The logger of the business."""
        return CallLogger("", str(self.held.business_id))


class Composer:
    """Decides how messages go out, by the settings of their businesses."""

    def __init__(
        self, contents: Contents, options: MessageOptions, public_url: str
    ) -> None:
        self._contents = contents
        self._options = options
        self._public_url = public_url.rstrip("/")

    def decide(self, context: SendContext, message: Message) -> Decision:
        """Return how a message goes out now."""
        state, options = context.state, self._options_of(context)
        quiet = read_quiet_hours(options.quiet_hours)
        zone = ZoneInfo(context.business.time_zone)
        return decide(
            message.purpose,
            Addressee(
                state.conversation.last_inbound_at,
                state.conversation.stopped_at,
                state.is_not_contacted,
            ),
            state.now,
            has_text=bool(message.body.strip()),
            has_template=self._template_of(context, message) is not None,
            quiet_until=quiet and quiet_until(quiet, zone, state.now),
            is_refused_as_text=state.is_closed or messages.is_instead(message),
            is_taken_over=state.is_taken_over,
            is_outdated=state.is_outdated,
        )

    async def fields(
        self, context: SendContext, message: Message, way: Way
    ) -> dict[str, str]:
        """Return the fields of the request that sends a message; raises TwilioError
        where its choices cannot be made a resource now; not for longer than
        CONTENT_WAIT."""
        fields = await self._content_fields(context, message, way)
        if self._public_url:
            query = urlencode({"m": message.id, "b": context.held.business_id})
            callback = f"{self._public_url}/twilio/message-status?{query}"
            fields["StatusCallback"] = callback
        return fields

    async def _content_fields(
        self, context: SendContext, message: Message, way: Way
    ) -> dict[str, str]:
        own = (context.held.business_id, context.account_sid, message.body)
        if way is Way.TEMPLATE:
            template = self._template_of(context, message)
            assert template is not None, "a template was decided for"
            return await self._contents.fields(*own, template)
        content, body = _content_of(context, message), message.body
        if content is not None and not isinstance(content, Template):
            try:
                return await self._contents.fields(*own, content)
            except (ContentError, TwilioError) as error:
                is_passing = not isinstance(error, ContentError | Refused)
                if is_passing and context.state.now < message.due_at + CONTENT_WAIT:
                    raise
                context.log.error("[MESSAGE] choices are sent as text: %s", error)
                body = as_text(body, content)
        return {"Body": body}

    async def forget(self, context: SendContext, sid: str) -> None:
        """Forget a resource of choices that Twilio does not know any more."""
        await self._contents.forget(context.held.business_id, context.account_sid, sid)

    def replacement(self, context: SendContext, message: Message) -> Draft | None:
        """Return the template that takes the place of a refused message, if there is
        one for its purpose."""
        template = self._template_of(context, message)
        if template is None:
            return None
        content = {
            "kind": "template",
            "sid": template.sid,
            "variables": template.variables,
        }
        return Draft(
            message.body,
            content=content,
            author=message.author,
            made_by=message.made_by,
            purpose=message.purpose,
        )

    def _template_of(self, context: SendContext, message: Message) -> Template | None:
        content = _content_of(context, message)
        if isinstance(content, Template):
            return content
        language = context.business.language.partition("-")[0]
        sid = self._options_of(context).template_of(message.purpose, language)
        return None if sid is None else Template(sid)

    def _options_of(self, context: SendContext) -> MessageOptions:
        return message_options(self._options, context.business.settings)[0]


def _content_of(context: SendContext, message: Message) -> Content | None:
    """Return what goes with a message; None for what cannot be read, which is said."""
    try:
        return read_content(message.content)
    except ContentError as error:
        context.log.error("[MESSAGE] without its choices: %s", error)
        return None

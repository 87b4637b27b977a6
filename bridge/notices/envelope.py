"""The body of a notice, and the headers that sign it, by Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/
standard-webhooks.md
"""

from datetime import datetime
from uuid import UUID

import orjson
from standardwebhooks import Webhook

from crm.notice_deliveries import Parcel


def webhook_id(notice_id: UUID) -> str:
    """Return the id of a notice, the same in every try and to every endpoint."""
    return f"msg_{notice_id.hex}"


def body_of(parcel: Parcel) -> bytes:
    """Return the body, the same bytes in every try."""
    return orjson.dumps(
        {
            "type": parcel.type,
            "timestamp": parcel.created_at,
            "data": parcel.data,
        },
        option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS,
    )


def headers_of(
    secret: str, notice_id: UUID, body: bytes, now: datetime
) -> dict[str, str]:
    """Return the headers of a try at the time `now`, which is in UTC."""
    name = webhook_id(notice_id)
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, now, body.decode()),
    }

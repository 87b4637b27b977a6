"""The HTTP endpoints that every peer with FastAPI has beside its stream."""

import os

from common import twiml
from fastapi import FastAPI, Response

PORT, MODEL_URL = int(os.environ["PORT"]), os.environ["OPENAI_REALTIME_URL"]
app = FastAPI()


@app.get("/healthz")
async def healthz() -> dict[str, bool]:
    """Say that the peer is up."""
    return {"ok": True}


@app.post("/twilio/voice")
async def voice() -> Response:
    """Answer a call."""
    return Response(twiml(PORT), media_type="text/xml")

"""pipecat with its own parts for telephony: Twilio serializer, OpenAI Realtime service.

The pipeline is that of its telephone bots: transport, context, service, transport,
context, with 8 kHz at both ends. The service recodes to the 24 kHz PCM that it always
uses.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python pipecat_bot.py
"""

import uvicorn
from fastapi import WebSocket
from fastapi_app import MODEL_URL, PORT, app
from loguru import logger
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
)
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.openai.realtime.events import SessionProperties
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner


@app.websocket("/stream")
async def stream(twilio: WebSocket) -> None:
    """Run one call's pipeline until the caller hangs up."""
    await twilio.accept()
    _, call = await parse_telephony_websocket(twilio)
    unasked = TwilioFrameSerializer.InputParams(auto_hang_up=False)
    transport = FastAPIWebsocketTransport(
        websocket=twilio,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=TwilioFrameSerializer(call["stream_id"], params=unasked),
        ),
    )
    service = OpenAIRealtimeLLMService(
        api_key="none",
        base_url=MODEL_URL,
        settings=OpenAIRealtimeLLMService.Settings(
            model="gpt-realtime",
            system_instruction="Be brief.",
            session_properties=SessionProperties(),
        ),
    )
    context = LLMContext([{"role": "user", "content": "Say hello."}])
    both = LLMContextAggregatorPair(context)
    parts = [transport.input(), both.user(), service, transport.output()]
    worker = PipelineWorker(
        Pipeline([*parts, both.assistant()]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )

    @transport.event_handler("on_client_connected")
    async def greet(transport: FastAPIWebsocketTransport, client: WebSocket) -> None:
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def stop(transport: FastAPIWebsocketTransport, client: WebSocket) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")

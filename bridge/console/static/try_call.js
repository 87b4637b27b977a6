// One test call: the browser is the telephone network of Twilio Media Streams. It sends
// connected, start, media, dtmf, mark and stop, and takes media, mark and clear; what it
// cannot take, it tells as Twilio's debugger does.

const FRAME_MS = 20;
// A microphone that is this far ahead of the socket is cut: late audio is worse.
const WAITING_BYTES_MAX = 20_000;

export class TestCall {
  constructor(placed, context, tell) {
    this.placed = placed;
    this.tell = tell;
    this.sequence = this.chunk = 0;
    this.isOver = false;
    this.playout = new AudioWorkletNode(context, "kolbridge-playout", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.playout.connect(context.destination);
    this.playout.port.onmessage = ({ data }) => this.send("mark", { mark: { name: data.mark } });
  }

  open() {
    // A path of this host, or the address of the node that has the call.
    const url = new URL(this.placed.url, location.origin.replace("http", "ws"));
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => this.begin();
    socket.onmessage = ({ data }) => this.take(data);
    socket.onclose = ({ code }) => this.end(code === 1000 ? "over" : "lost");
  }

  begin() {
    const { callSid, accountSid, streamSid, parameters } = this.placed;
    this.put({ event: "connected", protocol: "Call", version: "1.0.0" });
    this.send("start", {
      start: {
        streamSid,
        accountSid,
        callSid,
        tracks: ["inbound"],
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
        customParameters: parameters,
      },
    });
    this.isStarted = true;
    this.tell("talking");
  }

  put(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  send(event, body) {
    this.sequence += 1;
    const { streamSid } = this.placed;
    this.put({ event, sequenceNumber: String(this.sequence), streamSid, ...body });
  }

  /** Send a frame of what the caller says. */
  speak(frame) {
    if (!this.isStarted || this.isOver) return;
    this.chunk += 1;
    if (this.socket.bufferedAmount > WAITING_BYTES_MAX) return;
    this.send("media", {
      media: {
        track: "inbound",
        chunk: String(this.chunk),
        timestamp: String((this.chunk - 1) * FRAME_MS),
        payload: btoa(String.fromCharCode(...new Uint8Array(frame))),
      },
    });
  }

  press(digit) {
    this.send("dtmf", { dtmf: { track: "inbound_track", digit } });
  }

  take(text) {
    const fault = this.fault(text);
    if (fault) this.tell("warning", fault);
  }

  /** Obey a message; return why it cannot be obeyed, or nothing. */
  fault(text) {
    if (typeof text !== "string") return "31950: a binary message";
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return "31951: not JSON";
    }
    if (message.streamSid !== this.placed.streamSid) return "31951: wrong streamSid";
    if (message.event === "media") return this.play(message.media?.payload);
    if (message.event === "clear") this.playout.port.postMessage({ clear: true });
    else if (message.event !== "mark") return `31951: unknown event ${message.event}`;
    else if (!message.mark?.name) return "31951: a mark without a name";
    else this.playout.port.postMessage({ mark: String(message.mark.name) });
    return undefined;
  }

  play(payload) {
    let bytes;
    try {
      bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
    } catch {
      return "31951: the payload is not base64";
    }
    if (!bytes.length) return "31951: the payload is empty";
    this.playout.port.postMessage({ audio: bytes.buffer }, [bytes.buffer]);
    this.tell("heard");
    return undefined;
  }

  hangUp() {
    const { accountSid, callSid } = this.placed;
    this.send("stop", { stop: { accountSid, callSid } });
    this.socket?.close(1000);
    this.end("hungUp");
  }

  end(how) {
    if (this.isOver) return;
    this.isOver = true;
    this.playout.disconnect();
    this.tell(how);
  }
}

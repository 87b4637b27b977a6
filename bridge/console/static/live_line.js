// One operator's line to one call: both sides' audio in, the microphone's audio out.
// The state is `isOpen` and `isSpeaking`; whoever made the line is told of changes.

const TRIES_MAX = 5;
const TRY_EVERY_MS = 800;
// By then the page has seen that an order to take the call over was obeyed.
const OBEYED_WITHIN_MS = 5_000;

/** Ask for telephone quality: browsers resample better than the worklets do. */
async function newContext(worklets) {
  let context;
  try {
    context = new AudioContext({ sampleRate: 8000, latencyHint: "interactive" });
  } catch {
    context = new AudioContext({ latencyHint: "interactive" });
  }
  try {
    await context.audioWorklet.addModule(worklets);
  } catch (error) {
    context.close();
    throw error;
  }
  return context;
}

export class Line {
  constructor(url, worklets, tell) {
    // Two operators may have one name.
    this.id = crypto.getRandomValues(new Uint32Array(4)).join("-");
    const base = url.replace(/^\//, `${location.origin.replace("http", "ws")}/`);
    this.url = `${base}?page=${this.id}`;
    this.worklets = worklets;
    this.tell = tell;
    this.isOpen = this.isSpeaking = this.isTaking = this.isTaken = false;
    this.lagMs = 0;
    this.tries = 0;
  }

  /** Hear both sides. */
  open() {
    if (this.isOpen) return this.opening;
    this.isOpen = true;
    this.tell("connecting");
    this.opening = this.begin().catch(() => this.fail());
    return this.opening;
  }

  async begin() {
    const context = await newContext(this.worklets);
    // Closed meanwhile, and perhaps opened again.
    if (!this.isOpen || this.context) return void context.close();
    this.context = context;
    this.player = new AudioWorkletNode(this.context, "kolbridge-player", {
      numberOfInputs: 0,
      outputChannelCount: [2],
    });
    this.player.port.onmessage = ({ data }) => this.note(data.bufferedMs);
    this.player.connect(this.context.destination);
    await context.resume();
    if (this.context === context) await this.connect();
  }

  connect() {
    return new Promise((resolve) => {
      const socket = new WebSocket(this.url);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.tries = 0;
        this.tell("state");
        resolve();
      };
      socket.onmessage = ({ data }) => this.player?.port.postMessage(data, [data]);
      socket.onclose = (event) => {
        resolve();
        if (this.socket === socket) this.lose(event);
      };
      this.socket = socket;
    });
  }

  lose(event) {
    // The last order could not be written down, or perhaps was lost on its way.
    if (event.code === 1013 || this.isSpeaking !== this.isTaken) return this.fail();
    const isOver = event.code === 1000 || event.code === 1008;
    if (!this.isOpen || isOver || this.tries >= TRIES_MAX) return this.close();
    this.tries += 1;
    this.tell("lost");
    this.retrying = setTimeout(() => this.connect(), TRY_EVERY_MS);
  }

  /** Close the line, and say that what was wanted of it did not work. */
  fail() {
    if (!this.isOpen) return;
    this.close();
    this.tell("failed");
  }

  note(bufferedMs) {
    if (!this.context) return;
    const out = (this.context.baseLatency || 0) + (this.context.outputLatency || 0);
    this.lagMs = Math.round(bufferedMs + out * 1000);
    this.tell("lag");
  }

  /**
   * Speak with the caller in place of the assistant. Allowing the microphone takes a
   * person a while: `mayTake` says whether the call can be taken over still.
   */
  async takeOver(mayTake) {
    if (this.isTaking) return;
    this.isTaking = true;
    try {
      await this.speak(mayTake);
    } finally {
      this.isTaking = false;
    }
  }

  async speak(mayTake) {
    try {
      this.microphone = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
      });
    } catch {
      this.tell("noMicrophone");
      return;
    }
    if (mayTake()) {
      await this.open();
      await this.record().catch(() => this.fail());
    }
    if (!mayTake() || !this.isOpen || !this.order({ type: "take_over" })) {
      this.stopSpeaking();
      // Why a line is closed is told by what closed it.
      if (this.isOpen) this.tell(mayTake() ? "failed" : "state");
      return;
    }
    this.isSpeaking = true;
    this.doubting = setTimeout(() => this.fail(), OBEYED_WITHIN_MS);
    // What the caller hears is this voice from here on.
    this.player.port.postMessage({ isCallerOnly: true });
    this.tell("state");
  }

  /** Send what the microphone hears. Some browsers record only at their own rate. */
  async record() {
    let { context } = this;
    if (!context) return;
    let source;
    try {
      source = context.createMediaStreamSource(this.microphone);
    } catch {
      this.own = context = new AudioContext();
      await context.audioWorklet.addModule(this.worklets);
      if (!this.isOpen) return;
      source = context.createMediaStreamSource(this.microphone);
    }
    this.recorder = new AudioWorkletNode(context, "kolbridge-microphone", {
      numberOfOutputs: 0,
      channelCount: 1,
    });
    this.recorder.port.onmessage = ({ data }) => {
      const { socket } = this;
      // Late audio is worse than lost audio: two frames may wait, no more.
      const isFree = socket?.readyState === WebSocket.OPEN && socket.bufferedAmount < 400;
      if (this.isSpeaking && isFree) socket.send(data.frame);
    };
    source.connect(this.recorder);
    this.source = source;
  }

  /** Return whether the line could take it: if not, nobody has read the note. */
  handBack(note) {
    const isTaken = this.order({ type: "hand_back", note });
    if (isTaken) this.noteBack();
    else this.tell("lost");
    return isTaken;
  }

  /** The order to take the call over was obeyed. */
  noteTaken() {
    this.isTaken = true;
    clearTimeout(this.doubting);
  }

  /** The assistant leads the call again, whoever decided it. */
  noteBack() {
    this.stopSpeaking();
    this.player?.port.postMessage({ isCallerOnly: false });
    this.tell("back");
  }

  stopSpeaking() {
    this.isSpeaking = this.isTaken = false;
    clearTimeout(this.doubting);
    this.source?.disconnect();
    this.recorder?.port.postMessage("end");
    this.recorder?.port.close();
    this.own?.close();
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    this.source = this.recorder = this.own = this.microphone = undefined;
  }

  /** Send an order; return whether the line could take it. */
  order(order) {
    const isFree = this.socket?.readyState === WebSocket.OPEN;
    if (isFree) this.socket.send(JSON.stringify(order));
    return isFree;
  }

  close() {
    if (!this.isOpen) return;
    if (this.isSpeaking) this.order({ type: "hand_back", note: "" });
    this.stopSpeaking();
    this.isOpen = false;
    clearTimeout(this.retrying);
    this.lagMs = this.tries = 0;
    const { socket } = this;
    this.socket = undefined;
    socket?.close();
    this.player?.disconnect();
    this.player = undefined;
    this.context?.close();
    this.context = undefined;
    this.tell("state");
  }
}

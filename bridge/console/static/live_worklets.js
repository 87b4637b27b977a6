// The audio threads of the live page: a player of both sides' frames, and a recorder of
// the microphone. A frame is 20 ms of mu-law at 8 kHz: 160 bytes (ITU-T G.711).

const FRAME = 160;
const RATE = 8000;
// Playing begins with this much, and never lies further behind than that.
const START_MS = 40;
const BEHIND_MS = 140;
const TELL_EVERY_S = 0.5;

const LINEAR = new Float32Array(256);
for (let code = 0; code < 256; code += 1) {
  const bits = ~code & 0xff;
  const magnitude = (((bits & 0x0f) << 3) + 0x84) << ((bits & 0x70) >> 4);
  LINEAR[code] = (bits & 0x80 ? 0x84 - magnitude : magnitude - 0x84) / 32768;
}

function muLawOf(sample) {
  const clipped = Math.max(-32635, Math.min(32635, Math.round(sample * 32768)));
  const magnitude = Math.abs(clipped) + 0x84;
  const exponent = 31 - Math.clz32(magnitude) - 7;
  const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return ~((clipped < 0 ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff;
}

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pairs = [];
    this.at = 0; // in samples of the first pair
    this.isPlaying = false;
    this.isCallerOnly = false;
    this.toldAt = 0;
    this.port.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.take(new Uint8Array(data));
      else this.isCallerOnly = data.isCallerOnly;
    };
  }

  get bufferedMs() {
    return this.pairs.length * 20 - (this.at * 1000) / RATE;
  }

  take(bytes) {
    for (let at = 0; at + 2 * FRAME <= bytes.length; at += 2 * FRAME) {
      this.pairs.push(bytes.subarray(at, at + 2 * FRAME));
    }
    if (this.bufferedMs > BEHIND_MS) {
      this.pairs.splice(0, this.pairs.length - START_MS / 20);
      this.at = 0;
    }
  }

  process(_, [[left, right]]) {
    if (!this.isPlaying && this.bufferedMs >= START_MS) this.isPlaying = true;
    const step = RATE / sampleRate;
    for (let n = 0; this.isPlaying && n < left.length; n += 1) {
      const [pair] = this.pairs;
      const index = Math.floor(this.at);
      left[n] = LINEAR[pair[index]];
      right[n] = LINEAR[pair[FRAME + index]];
      if (this.isCallerOnly) right[n] = left[n];
      this.at += step;
      if (this.at >= FRAME) {
        this.at -= FRAME;
        this.pairs.shift();
        if (!this.pairs.length) {
          this.isPlaying = false;
          this.at = 0;
        }
      }
    }
    if (currentTime - this.toldAt > TELL_EVERY_S) {
      this.toldAt = currentTime;
      this.port.postMessage({ bufferedMs: this.bufferedMs });
    }
    return true;
  }
}

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Uint8Array(FRAME);
    this.filled = 0;
    this.sum = 0;
    this.count = 0;
    this.at = 0;
  }

  process([[samples]]) {
    const step = RATE / sampleRate;
    for (const sample of samples ?? []) {
      // The mean of the samples that fall into one of 8 kHz.
      this.sum += sample;
      this.count += 1;
      this.at += step;
      if (this.at >= 1 - 1e-9) {
        this.at -= 1;
        this.put(this.sum / this.count);
        this.sum = this.count = 0;
      }
    }
    return true;
  }

  put(sample) {
    this.frame[this.filled] = muLawOf(sample);
    this.filled += 1;
    if (this.filled === FRAME) {
      this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
      this.frame = new Uint8Array(FRAME);
      this.filled = 0;
    }
  }
}

registerProcessor("kolbridge-player", Player);
registerProcessor("kolbridge-recorder", Recorder);

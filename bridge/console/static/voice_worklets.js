// What every audio thread of the console shares: mu-law, another rate, and the microphone,
// which becomes frames of a telephone.
// A frame is 20 ms of mu-law at 8 kHz: 160 bytes (ITU-T G.711).

export const FRAME = 160;
export const RATE = 8000;
// The low-pass reaches from 0 to 0.425 of the lower rate: 3.4 kHz, a telephone's band.
const CUTOFF = 0.425;
// Zero crossings of the sinc on each side, under a Hann window.
const CROSSINGS = 16;

export const LINEAR = new Float32Array(256);
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

/** Converts a stream of samples from one rate to another through a windowed sinc. */
export class Resampler {
  constructor(from, to) {
    this.step = from / to;
    // In cycles per sample of the input.
    this.cutoff = (CUTOFF * Math.min(from, to)) / from;
    this.half = Math.ceil(CROSSINGS / (2 * this.cutoff));
    this.size = 2 * this.half;
    this.past = new Float32Array(this.size);
    this.at = 0; // position of the next output between the two middle samples
    this.end = 0; // where the next input goes in the ring
  }

  put(sample) {
    this.past[this.end] = sample;
    this.end = (this.end + 1) % this.size;
    this.at -= 1;
  }

  /** Whether the next output needs another sample first. */
  get isHungry() {
    return this.at >= 1;
  }

  take() {
    let sum = 0;
    let weights = 0;
    for (let n = 0; n < this.size; n += 1) {
      const x = n - this.half + 1 - this.at;
      const angle = 2 * Math.PI * this.cutoff * x;
      const sinc = Math.abs(x) < 1e-9 ? 1 : Math.sin(angle) / angle;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (this.half + 1));
      sum += this.past[(this.end + n) % this.size] * sinc * window;
      weights += sinc * window;
    }
    this.at += this.step;
    return sum / weights;
  }
}

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.frame = new Uint8Array(FRAME);
    this.filled = 0;
    this.peak = 0;
    this.isOver = false;
    this.port.onmessage = () => {
      this.isOver = true;
    };
  }

  process([[samples]]) {
    const { resampler } = this;
    // Without a microphone the stream goes on, as a telephone's does: until it is told to
    // end, a node is not over because nothing is connected to it.
    for (const sample of samples ?? new Float32Array(128)) {
      resampler.put(sample);
      while (!resampler.isHungry) this.put(resampler.take());
    }
    return !this.isOver;
  }

  put(sample) {
    this.peak = Math.max(this.peak, Math.abs(sample));
    this.frame[this.filled] = muLawOf(sample);
    this.filled += 1;
    if (this.filled === FRAME) {
      const { frame, peak } = this;
      this.port.postMessage({ frame: frame.buffer, peak }, [frame.buffer]);
      this.frame = new Uint8Array(FRAME);
      this.filled = this.peak = 0;
    }
  }
}

registerProcessor("kolbridge-microphone", Microphone);

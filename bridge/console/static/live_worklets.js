// The audio threads of the live page: a player of both sides' frames, and the microphone.

import { FRAME, LINEAR, RATE } from "./voice_worklets.js";

// Playing begins with this much, and never lies further behind than that.
const START_MS = 40;
const BEHIND_MS = 140;
const TELL_EVERY_S = 0.5;

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

registerProcessor("kolbridge-player", Player);

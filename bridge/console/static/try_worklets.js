// The audio threads of the softphone: what the microphone hears becomes frames of a
// telephone, and what the bridge sends is played as Twilio plays it, with marks and clear.

import { LINEAR, RATE, Resampler } from "./voice_worklets.js";

class Playout extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE, sampleRate);
    this.queue = [];
    this.at = 0; // in the first piece of audio
    this.port.onmessage = ({ data }) => {
      if (data.clear) this.clear();
      else this.queue.push(data.mark === undefined ? new Uint8Array(data.audio) : data.mark);
      this.echo();
    };
  }

  /** Forget what was not played; every mark that waits comes back. */
  clear() {
    this.queue = this.queue.filter((entry) => typeof entry === "string");
    this.at = 0;
  }

  /** Send back the marks before which nothing waits to be played. */
  echo() {
    while (typeof this.queue[0] === "string") {
      this.port.postMessage({ mark: this.queue.shift() });
    }
  }

  next() {
    const [audio] = this.queue;
    if (!audio) return 0;
    const sample = LINEAR[audio[this.at]];
    this.at += 1;
    if (this.at >= audio.length) {
      this.queue.shift();
      this.at = 0;
      this.echo();
    }
    return sample;
  }

  process(_, [[output]]) {
    const { resampler } = this;
    for (let n = 0; n < output.length; n += 1) {
      while (resampler.isHungry) resampler.put(this.next());
      output[n] = resampler.take();
    }
    return true;
  }
}

registerProcessor("kolbridge-playout", Playout);

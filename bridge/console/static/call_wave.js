// The picture of a call: both sides' waveform, and what was decided, on one time axis.
// The axis runs from left to right in every language.

const SECONDS_SHOWN_MIN = 1;
const ROW = { caller: [0, 0.42], bands: [0.42, 0.58], ai: [0.58, 1] };

export class Wave {
  constructor(canvas, timeline, seek) {
    this.canvas = canvas;
    this.timeline = timeline;
    this.seek = seek;
    this.from = 0;
    this.shown = timeline.seconds || 1;
    this.at = 0;
    this.colours = getComputedStyle(canvas);
    canvas.setAttribute("aria-valuemin", "0");
    canvas.setAttribute("aria-valuemax", timeline.seconds.toFixed(1));
    canvas.addEventListener("pointerdown", (event) => this.seek(this.secondsAt(event)));
    canvas.addEventListener("keydown", (event) => this.press(event));
    canvas.addEventListener("wheel", (event) => this.turn(event), { passive: false });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  colour(name) {
    return this.colours.getPropertyValue(name).trim() || "gray";
  }

  secondsAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.from + ((event.clientX - box.left) / box.width) * this.shown;
  }

  press(event) {
    // With these a key is the browser's: back, forward, larger, smaller.
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = event.shiftKey ? 5 : 1;
    const acts = {
      ArrowLeft: () => this.seek(this.at - step),
      ArrowRight: () => this.seek(this.at + step),
      Home: () => this.seek(0),
      End: () => this.seek(this.timeline.seconds),
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      " ": () => this.seek(this.at, true),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  turn(event) {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    this.zoom(event.deltaY + event.deltaX > 0 ? 1.25 : 0.8, this.secondsAt(event));
  }

  /** Show more or less time around a moment. */
  zoom(factor, around = this.at) {
    const { seconds } = this.timeline;
    const shown = Math.min(Math.max(this.shown * factor, SECONDS_SHOWN_MIN), seconds || 1);
    this.from = around - ((around - this.from) * shown) / this.shown;
    this.shown = shown;
    this.draw();
  }

  /** Move the line of what is played now. */
  move(at) {
    this.at = at;
    this.canvas.setAttribute("aria-valuenow", at.toFixed(1));
    if (at < this.from || at > this.from + this.shown) this.from = at - this.shown * 0.1;
    this.draw();
  }

  draw() {
    const { canvas, timeline } = this;
    const ratio = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (!width) return;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    this.from = Math.max(0, Math.min(this.from, timeline.seconds - this.shown));
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    this.drawBand(pen, timeline.gate, 0.42, 0.5, "--kb-gate");
    this.drawBand(pen, timeline.given, 0.5, 0.58, "--kb-given");
    this.drawSide(pen, timeline.caller_peaks, ROW.caller, "--kb-caller");
    this.drawSide(pen, timeline.ai_peaks, ROW.ai, "--kb-ai");
    for (const moment of timeline.moments) this.drawMoment(pen, moment);
    pen.fillStyle = this.colour("--pico-color");
    pen.fillRect(this.x(this.at), 0, 2 * ratio, height);
  }

  x(seconds) {
    return ((seconds - this.from) / this.shown) * this.canvas.width;
  }

  drawBand(pen, spans, top, bottom, colour) {
    const { height } = this.canvas;
    pen.fillStyle = this.colour(colour);
    for (const [begin, end] of spans) {
      if (end < this.from || begin > this.from + this.shown) continue;
      const left = this.x(begin);
      pen.fillRect(left, top * height, Math.max(1, this.x(end) - left), (bottom - top) * height);
    }
  }

  drawSide(pen, peaks, [top, bottom], colour) {
    const { width, height } = this.canvas;
    const middle = ((top + bottom) / 2) * height;
    const half = ((bottom - top) / 2) * height * 0.95;
    const perPixel = this.shown / width / (this.timeline.peak_ms / 1000);
    pen.fillStyle = this.colour(colour);
    for (let pixel = 0; pixel < width; pixel += 1) {
      const first = Math.floor((this.from * 1000) / this.timeline.peak_ms + pixel * perPixel);
      let loudest = 0;
      for (let n = first; n < first + Math.max(1, perPixel); n += 1) {
        if (peaks[n] > loudest) loudest = peaks[n];
      }
      // The root shows quiet speech, too.
      const size = Math.max(0.5, half * Math.sqrt(loudest / 255));
      pen.fillRect(pixel, middle - size, 1, 2 * size);
    }
  }

  drawMoment(pen, { at_s: at, kind }) {
    const { height } = this.canvas;
    const colours = { interrupted: "--kb-fault", underrun: "--kb-fault", mark: "--kb-mark" };
    if (at < this.from || at > this.from + this.shown) return;
    const isTool = kind.startsWith("tool") || kind === "keypad";
    const colour = isTool ? "--kb-tool" : colours[kind];
    if (!colour) return;
    pen.fillStyle = this.colour(colour);
    const isSmall = kind === "mark";
    pen.fillRect(this.x(at), isSmall ? height * 0.96 : 0, 2, isSmall ? height * 0.04 : height);
  }
}

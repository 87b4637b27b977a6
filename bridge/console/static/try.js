// The page "Try it": buttons, timer and microphone of one telephone.

import { post } from "./console.js";
import { TestCall } from "./try_call.js";

const phone = document.getElementById("phone");
const at = (id) => document.getElementById(id);
let call;
let context;
let microphone;
let beganAt = 0;
// Grows when a call begins, and when it ends: what an older one waits for is void.
let attempt = 0;
let ticking;

function say(name) {
  at("status").textContent = phone.dataset[name];
  phone.dataset.state = name;
}

function show(isCalling) {
  at("call").disabled = isCalling;
  at("hang-up").disabled = !isCalling;
  for (const key of phone.querySelectorAll("[data-key]")) key.disabled = !isCalling;
}

function tick() {
  const seconds = Math.floor((performance.now() - beganAt) / 1000);
  at("timer").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function stop() {
  attempt += 1;
  clearInterval(ticking);
  for (const track of microphone?.getTracks() ?? []) track.stop();
  context?.close();
  context = microphone = call = undefined;
  at("level").value = 0;
  show(false);
}

function on(news, text) {
  if (news === "warning") {
    at("warnings").hidden = false;
    at("warning").textContent = text;
  } else if (news === "heard") {
    phone.dataset.heard = String(Number(phone.dataset.heard ?? 0) + 1);
  } else if (news === "talking") {
    beganAt = performance.now();
    ticking = setInterval(tick, 250);
    say(news);
    // The button that was pressed is disabled now.
    if (document.activeElement === document.body) at("hang-up").focus();
  } else {
    const isHere = phone.contains(document.activeElement);
    say(news);
    stop();
    at("record").hidden = false;
    // Who writes in the chat beside it goes on writing: a space would ring again.
    if (isHere) at("call").focus();
  }
}

/** Open the microphone; what it hears is heard by whichever call there is. */
async function listen(isVoid) {
  const given = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: false },
  });
  if (isVoid()) return given.getTracks().forEach((track) => track.stop());
  const audio = new AudioContext({ latencyHint: "interactive" });
  microphone = given;
  context = audio;
  await audio.audioWorklet.addModule(phone.dataset.worklets);
  await audio.resume();
  const frames = new AudioWorkletNode(audio, "kolbridge-microphone", {
    numberOfOutputs: 0,
    channelCount: 1,
    channelCountMode: "explicit",
  });
  frames.port.onmessage = ({ data }) => {
    if (isVoid()) return;
    at("level").value = data.peak;
    call?.speak(data.frame);
  };
  audio.createMediaStreamSource(given).connect(frames);
  return undefined;
}

async function begin() {
  attempt += 1;
  const own = attempt;
  const isVoid = () => own !== attempt;
  show(true);
  at("warnings").hidden = at("record").hidden = true;
  at("timer").textContent = "0:00";
  say("asking");
  try {
    await listen(isVoid);
  } catch {
    if (isVoid()) return undefined;
    say("noMicrophone");
    return stop();
  }
  if (isVoid()) return undefined;
  say("ringing");
  let placed = {};
  try {
    const answer = await post(phone.dataset.place);
    placed = await answer.json();
  } catch {
    // Said below: there is no address.
  }
  if (isVoid()) return undefined;
  if (!placed.url) {
    say("failed");
    if (placed.text) at("status").textContent = placed.text;
    return stop();
  }
  at("record").href = `${placed.record}?fresh=1`;
  call = new TestCall(placed, context, on);
  call.open();
  return undefined;
}

function hangUp() {
  if (call) return call.hangUp();
  say("hungUp");
  return stop();
}

function pressKey(event) {
  // A held key is one digit, and Ctrl+2 is the browser's.
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (/INPUT|TEXTAREA/.test(event.target.tagName)) return;
  if (/^[0-9*#]$/.test(event.key)) call?.press(event.key);
}

if (phone) {
  at("call").addEventListener("click", begin);
  at("hang-up").addEventListener("click", hangUp);
  phone.addEventListener("click", ({ target }) => {
    if (target.dataset.key) call?.press(target.dataset.key);
  });
  document.addEventListener("keydown", pressKey);
  // The page may come back as it was: a call that it was about to place is void.
  window.addEventListener("pagehide", () => {
    if (!at("hang-up").disabled) hangUp();
  });
}

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
  } else {
    say(news);
    stop();
    at("record").hidden = false;
    at("call").focus();
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

if (phone) {
  at("call").addEventListener("click", begin);
  at("hang-up").addEventListener("click", () => {
    if (call) return call.hangUp();
    say("hungUp");
    return stop();
  });
  phone.addEventListener("click", ({ target }) => {
    if (target.dataset.key) call?.press(target.dataset.key);
  });
  document.addEventListener("keydown", ({ key, target }) => {
    if (call && /^[0-9*#]$/.test(key) && !/INPUT|TEXTAREA/.test(target.tagName)) call.press(key);
  });
  window.addEventListener("pagehide", () => call?.hangUp());
}

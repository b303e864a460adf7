"use strict";
const at = (id) => document.getElementById(id);
const told = (text) => { at("told").textContent = text; };

function headers(more = {}) {
  const key = at("key").value;
  return key ? { ...more, authorization: `Bearer ${key}` } : more;
}

function fill(id, names) {
  at(id).replaceChildren(...names.map((name) => new Option(name, name)));
}

async function load() {
  const answer = await fetch("/v1/audio/voices", { headers: headers() });
  if (answer.status === 401) {
    at("keyed").hidden = false;
    told("This server asks for its API key.");
    return;
  }
  const known = await answer.json();
  fill("voice", known.voices.map((voice) => voice.id));
  fill("style", known.styles);
  fill("rate", known.rates);
  if (known.styles.includes("default")) at("style").value = "default";
  if (known.rates.includes("moderate speed")) at("rate").value = "moderate speed";
  told("");
}

function asked() {
  const body = { input: at("input").value, response_format: "wav", stream: false };
  for (const id of ["voice", "style", "rate"]) if (at(id).value) body[id] = at(id).value;
  if (at("seed").value !== "") body.seed = Number(at("seed").value);
  return body;
}

async function speak(event) {
  event.preventDefault();
  at("speak").disabled = true;
  told("Speaking…");
  try {
    const sent = { method: "POST", headers: headers({ "content-type": "application/json" }), body: JSON.stringify(asked()) };
    const answer = await fetch("/v1/audio/speech", sent);
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    play(await answer.blob());
    told(answer.headers.get("x-parler-remarks") ?? "");
  } catch (error) {
    told(error.message);
  } finally {
    at("speak").disabled = false;
  }
}

function play(sound) {
  URL.revokeObjectURL(at("audio").src);
  const url = URL.createObjectURL(sound);
  at("audio").src = url;
  at("download").href = url;
  at("download").download = "speech.wav";
  at("audio").hidden = at("download").hidden = false;
  at("audio").play().catch(() => {});
}

at("form").addEventListener("submit", speak);
at("key").addEventListener("change", load);
load();

"use strict";

const MOST_REASONS = 8; // words, or pieces of evidence, that are shown of each label

const at = (id) => document.getElementById(id);
let asked = null; // the text and the model that the labels on the page belong to
let newest = 0; // the number of the last question: an answer to an earlier one comes too late

/** The answer to a request as JSON; an error has the service's own line. */
async function call(path, body) {
  const how = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, how);
  } catch {
    throw new Error("The service can't be reached.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `The service answered ${response.status}.`);
  return answer;
}

/** Say something to all who use the page, those who listen included. */
function say(line, isError = false) {
  at("status").textContent = line;
  at("status").classList.toggle("error", isError);
}

async function listModels() {
  const { models } = await call("models");
  const usable = models.filter((model) => model.takes === "text");
  for (const model of usable) at("model").add(new Option(model.name, model.name));
  at("choice").hidden = usable.length < 2;
  if (!usable.length) {
    say("The models here take rows of features, not texts: ask them by POST /predict.", true);
    at("ask").hidden = true;
  }
}

async function ask() {
  const number = ++newest;
  const question = { text: at("text").value, model: at("model").value };
  say("Asking …");
  try {
    const { labels } = await call("predict", { ...question, k: Number(at("k").value) });
    if (number !== newest) return;
    asked = question;
    at("labels").replaceChildren(...labels.map(shown));
    at("found").hidden = false;
    at("send").disabled = true;
    say(`${labels.length} ${labels.length === 1 ? "label" : "labels"}.`);
    at("found-title").focus();
  } catch (error) {
    if (number === newest) say(error.message, true);
  }
}

/** A label as an item of the list. */
function shown(label) {
  const item = at("label").content.cloneNode(true).firstElementChild;
  const part = (name) => item.querySelector(`.${name}`);
  item.dataset.id = label.id;
  part("name").textContent = label.name;
  part("id").textContent = label.name === label.id ? "" : label.id;
  part("score").textContent = label.score.toFixed(3);
  const bar = item.querySelector("meter");
  bar.value = label.score;
  bar.setAttribute("aria-label", `score of ${label.name}`);
  part("reason").setAttribute("aria-label", `why ${label.name}`);
  for (const [name, what] of [["why", "Why"], ["right", "Right"], ["wrong", "Wrong"]]) {
    part(name).setAttribute("aria-label", `${what}: ${label.name}`);
  }
  part("why").addEventListener("click", () => toggleReason(item, label.id));
  part("right").addEventListener("click", () => judge(item, "right", "wrong"));
  part("wrong").addEventListener("click", () => judge(item, "wrong", "right"));
  return item;
}

function judge(item, verdict, other) {
  const button = item.querySelector(`.${verdict}`);
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  item.querySelector(`.${other}`).setAttribute("aria-pressed", "false");
  at("send").disabled = !judged("right").length && !judged("wrong").length;
}

/** The ids of the labels that are marked so. */
function judged(verdict) {
  const marked = document.querySelectorAll(`.${verdict}[aria-pressed="true"]`);
  return Array.from(marked, (button) => button.closest("li").dataset.id);
}

async function send() {
  const feedback = { ...asked, accepted: judged("right"), rejected: judged("wrong") };
  at("send").disabled = true;
  try {
    await call("feedback", feedback);
    say("Your feedback is kept. Thank you.");
  } catch (error) {
    at("send").disabled = false;
    say(error.message, true);
  }
}

async function toggleReason(item, id) {
  const button = item.querySelector(".why");
  const reason = item.querySelector(".reason");
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  reason.hidden = !open;
  if (!open || reason.childElementCount) return;
  reason.textContent = "Asking why …";
  try {
    const { explanations } = await call("explain", { ...asked, label: id });
    reason.replaceChildren(...parts(explanations[0]));
    say("The reasons are shown below the label.");
  } catch (error) {
    reason.textContent = error.message;
  }
}

/** What an explanation says, as elements. */
function parts(explanation) {
  const pulls = new Map(); // a word may stand in several places
  for (const { word, weight } of explanation.words) {
    pulls.set(word, (pulls.get(word) || 0) + weight);
  }
  const words = [...pulls];
  const evidence = explanation.evidence.map((one) => [one.source, one.share]);
  const found = [];
  if (words.length) found.push(...table("Words that speak for it or against it", words));
  if (evidence.length) found.push(...table("What the last stage weighed, as log-odds", evidence));
  if (!found.length) {
    const none = document.createElement("p");
    none.textContent = "No word of the text speaks for it or against it.";
    found.push(none);
  }
  return found;
}

/** A heading and a table of the largest numbers, with their signs. */
function table(title, pairs) {
  const heading = document.createElement("h3");
  heading.textContent = title;
  const rows = document.createElement("table");
  const largest = [...pairs].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  for (const [what, number] of largest.slice(0, MOST_REASONS)) {
    const row = rows.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = what;
    row.append(head);
    const cell = row.insertCell();
    cell.textContent = `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;
    cell.className = number < 0 ? "down" : "up";
  }
  return [heading, rows];
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
});
at("send").addEventListener("click", send);
listModels().catch((error) => say(error.message, true));

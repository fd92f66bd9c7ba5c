// The SDKs of OpenAI and Anthropic for Node, while the model server pauses and the gateway keeps the connection alive.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { GATEWAY, ADMIN, NODE_PACKAGES } = process.env;
const require = createRequire(`${NODE_PACKAGES}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { default: OpenAI } = await load("openai");
const { default: Anthropic } = await load("@anthropic-ai/sdk");

const openai = new OpenAI({ apiKey: "any", baseURL: `${GATEWAY}/v1`, maxRetries: 0, timeout: 20_000 });
const claude = new Anthropic({ apiKey: "any", baseURL: GATEWAY, maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];
// 2.2 s before the first event, and as long again between bursts of 20 words.
const pauses = { headers: { "x-mock-delay-ms": "2200", "x-mock-gap-ms": "110", "x-mock-batch": "20" } };
const models = ["plain", "kept", "told", "kept-and-told"];

async function heartbeats() {
  const page = await (await fetch(`${ADMIN}/metrics`)).text();
  const rows = page.split("\n").filter((row) => row.startsWith("ringway_heartbeats_total"));
  return rows.reduce((sum, row) => sum + Number(row.split(" ").at(-1)), 0);
}

const kinds = {
  async chat(model) {
    const whole = await openai.chat.completions.create({ model, messages });
    const asked = { model, messages, stream: true, stream_options: { include_usage: true } };
    const chunks = [];
    for await (const chunk of await openai.chat.completions.create(asked, pauses)) chunks.push(chunk);
    const said = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    assert.equal(said, whole.choices[0].message.content);
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
  },

  async "helped chat"(model) {
    const whole = await openai.chat.completions.create({ model, messages });
    const stream = openai.chat.completions.stream({ model, messages }, pauses);
    assert.equal(await stream.finalContent(), whole.choices[0].message.content);
  },

  async response(model) {
    const whole = await openai.responses.create({ model, input: "hello" });
    const events = [];
    for await (const event of await openai.responses.create({ model, input: "hello", stream: true }, pauses)) events.push(event);
    const said = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
    assert.equal(said.join(""), whole.output_text);
    assert.equal(events.at(-1).type, "response.completed");
  },

  async messages(model) {
    const asked = { model: `claude-${model}`, max_tokens: 100, messages };
    const whole = (await claude.messages.create(asked)).content[0].text;
    assert.equal(await claude.messages.stream(asked, pauses).finalText(), whole);
  },
};

const before = await heartbeats();
const asked = Object.entries(kinds).flatMap(([name, kind]) => models.map((model) => [`${name} of ${model}`, kind(model)]));
const ended = await Promise.allSettled(asked.map(([, promise]) => promise));
let failed = 0;
for (const [at, { reason }] of ended.entries())
  if (reason) {
    failed += 1;
    console.error(`--- ${asked[at][0]}\n`, reason);
  }
// One before the first event, one between the bursts.
const seen = (await heartbeats()) - before;
if (seen < 2 * asked.length) {
  failed += 1;
  console.error(`${seen} heartbeats in ${asked.length} streams`);
}
console.log(`${asked.length} checks, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

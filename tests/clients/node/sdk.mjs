// The OpenAI and Anthropic SDKs for Node, EventSource, and plain fetch, against the gateway.
// The packages are found from the folder that install.sh made (NODE_PACKAGES).

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import http from "node:http";
import { pathToFileURL } from "node:url";

const { GATEWAY, MOCK, NODE_PACKAGES } = process.env;
const require = createRequire(`${NODE_PACKAGES}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { default: OpenAI, NotFoundError, BadRequestError, APIError, InternalServerError } = await load("openai");
const { default: Anthropic } = await load("@anthropic-ai/sdk");
const { EventSource } = await load("eventsource");

const client = new OpenAI({ apiKey: "any", baseURL: `${GATEWAY}/v1`, maxRetries: 0, timeout: 20_000 });
const messages = [{ role: "user", content: "hello wörld 🌍" }];
const ask = { model: "demo", messages };
const mock = (behaviour) => ({
  headers: Object.fromEntries(Object.entries(behaviour).map(([k, v]) => [`x-mock-${k}`, String(v)])),
});
const stats = async () => (await fetch(`${MOCK}/mock/stats`)).json();

async function until(what, condition) {
  const end = Date.now() + 5000;
  while (!(await condition())) {
    assert(Date.now() < end, `${what}: not within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function text(stream) {
  let got = "";
  for await (const chunk of stream) got += chunk.choices[0]?.delta?.content ?? "";
  return got;
}

const checks = {
  async "lists models"() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert(ids.includes("demo"), ids);
  },

  async "streams what it answers whole"() {
    const whole = (await client.chat.completions.create(ask)).choices[0].message.content;
    assert(whole.includes(messages[0].content), whole);
    for (const how of [{ "gap-ms": 1 }, { "gap-ms": 0, split: 1 }, { "gap-ms": 0, batch: 100 }]) {
      const stream = await client.chat.completions.create({ ...ask, stream: true }, mock(how));
      assert.equal(await text(stream), whole);
    }
  },

  async "twenty streams at once are never mixed up"() {
    await Promise.all(
      Array.from({ length: 20 }, async (_, number) => {
        const said = `I am number ${number}`;
        const body = { model: "demo", stream: true, messages: [{ role: "user", content: said }] };
        const got = await text(await client.chat.completions.create(body, mock({ "gap-ms": 3, split: number + 1 })));
        assert(got.includes(`“${said}”`), got);
      }),
    );
  },

  async "errors have their classes"() {
    const unknown = client.chat.completions.create({ ...ask, model: "gpt-9" });
    await assert.rejects(unknown, (e) => e instanceof NotFoundError && e.code === "model_not_found");
    const bad = client.chat.completions.create({ ...ask, model: 7 });
    await assert.rejects(bad, (e) => e instanceof BadRequestError && e.param === "model");
    const dead = client.chat.completions.create({ ...ask, model: "dead" });
    await assert.rejects(dead, (e) => e instanceof InternalServerError && e.code === "upstream_error");
  },

  async "a stream that breaks is an error"() {
    for (const how of [{ "cut-after": 3 }, { "reset-after": 3 }, { "cut-after": 3, "cut-inside": 1 }]) {
      const stream = await client.chat.completions.create({ ...ask, stream: true }, mock({ ...how, "gap-ms": 2 }));
      await assert.rejects(text(stream), (e) => e instanceof APIError && e.code === "upstream_error");
    }
  },

  async "an abort cancels upstream"() {
    const before = (await stats()).cancelled;
    const stream = await client.chat.completions.create({ ...ask, stream: true }, mock({ events: 100000, "gap-ms": 5 }));
    for await (const _ of stream) break;
    await until("it is cancelled", async () => (await stats()).cancelled === before + 1);
  },

  async "embeds and responds"() {
    const embedded = await client.embeddings.create({ model: "demo", input: "a", encoding_format: "float" });
    assert.deepEqual(embedded.data[0].embedding, [0.25, -0.5, 0.125, 1]);
    let said = "";
    const events = await client.responses.create({ model: "demo", input: "hi", stream: true }, mock({ "gap-ms": 0 }));
    for await (const event of events) if (event.type === "response.output_text.delta") said += event.delta;
    assert(said.startsWith("Hello!"), said);
  },

  async "Anthropic's SDK streams and fails as it should"() {
    const client = new Anthropic({ apiKey: "any", baseURL: GATEWAY, maxRetries: 0 });
    const ask = { model: "claude", max_tokens: 9, messages };
    const whole = (await client.messages.create(ask)).content[0].text;
    const stream = client.messages.stream(ask, mock({ "gap-ms": 1 }));
    assert.equal(await stream.finalText(), whole);
    await assert.rejects(client.messages.create({ ...ask, model: "x" }), (e) => e.status === 404);
    const broken = client.messages.stream(ask, mock({ "gap-ms": 1, "cut-after": 3 }));
    await assert.rejects(broken.finalText());
  },

  async "fetch streams, is aborted, and cancels upstream"() {
    const before = (await stats()).cancelled;
    const abort = new AbortController();
    const answer = await fetch(`${GATEWAY}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...mock({ events: 100000, "gap-ms": 5 }).headers },
      body: JSON.stringify({ ...ask, stream: true }),
      signal: abort.signal,
    });
    assert.match(answer.headers.get("content-type"), /^text\/event-stream/);
    const { value } = await answer.body.getReader().read();
    assert(Buffer.from(value).toString().startsWith("data: {"));
    abort.abort();
    await until("it is cancelled", async () => (await stats()).cancelled === before + 1);
  },

  async "EventSource reads every event"() {
    const source = new EventSource(`${GATEWAY}/v1/chat/completions`, {
      fetch: (url, init) =>
        fetch(url, {
          ...init,
          method: "POST",
          headers: { ...init.headers, "content-type": "application/json", ...mock({ "gap-ms": 1, split: 13 }).headers },
          body: JSON.stringify({ ...ask, stream: true }),
        }),
    });
    const got = await new Promise((resolve, reject) => {
      let said = "";
      source.onmessage = ({ data }) => {
        if (data === "[DONE]") return resolve(said);
        said += JSON.parse(data).choices[0]?.delta?.content ?? "";
      };
      source.onerror = (error) => reject(new Error(`${error.code} ${error.message}`));
    }).finally(() => source.close());
    assert(got.includes(messages[0].content), got);
  },

  async "an agent with one socket keeps it"() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set();
    const post = (body) =>
      new Promise((resolve, reject) => {
        const options = { method: "POST", agent, headers: { "content-type": "application/json" } };
        const request = http.request(`${GATEWAY}/v1/chat/completions`, options, (answer) => {
          ports.add(answer.socket.localPort);
          answer.resume().on("end", () => resolve(answer.statusCode)).on("error", reject);
        });
        request.on("error", reject).end(JSON.stringify(body));
      });
    const statuses = [];
    for (const body of [ask, { ...ask, model: "x" }, { model: 1 }, { ...ask, model: "dead" }, ask])
      statuses.push(await post(body));
    agent.destroy();
    assert.deepEqual(statuses, [200, 404, 400, 502, 200]);
    assert.equal(ports.size, 1);
  },
};

let failed = 0;
setTimeout(() => { console.error("not done within 100 s"); process.exit(1); }, 100_000).unref();
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (error) {
    failed += 1;
    console.error(`--- ${name}\n`, error);
  }
}
console.log(`${Object.keys(checks).length} checks, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

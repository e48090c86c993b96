// Each check is a chat over the API: node chat.js CHECK URL CHAT. It ends with 0 if the check holds.
import assert from "node:assert/strict";
import { convertToModelMessages, isToolUIPart, type UIMessage, validateUIMessages } from "ai";
import { MockLanguageModelV3, simulateReadableStream } from "ai/test";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";
import { Memory } from "./memory.js";
import { GET, POST } from "./route.js";

const [check, url, chat] = process.argv.slice(2);
const memory = new Memory(url, "guide");
const api = createClient<paths>({ baseUrl: url });
// Another client, whose answers are not lost.
const lossless = createClient<paths>({ baseUrl: process.env.LOSSLESS ?? url });
const path = { session_id: chat };

const text = (id: string, role: "user" | "assistant", said: string): UIMessage => ({ id, role, parts: [{ type: "text", text: said }] });
const question = text("u1", "user", "Is it cold in Oslo? 日本語 🙂");
const answer: UIMessage = {
  id: "a1",
  role: "assistant",
  metadata: { model: "m", tokens: 12 },
  parts: [
    { type: "step-start" },
    { type: "reasoning", text: "I ask the tool.", state: "done" },
    { type: "tool-temperature", toolCallId: "c1", state: "output-available", input: { city: "Oslo" }, output: { degrees: -3, log: "x".repeat(100_000) } },
    { type: "file", mediaType: "image/png", url: `data:image/png;base64,${"A".repeat(60_000)}` },
    { type: "step-start" },
    { type: "text", text: "It is -3 degrees.", state: "done" },
  ],
};
const later = [text("u2", "user", "And now?"), text("a2", "assistant", "Still -3.")];

async function turns() {
  const { data } = await api.GET("/sessions/{session_id}", { params: { path } });
  assert(data);
  return data.messages;
}

const checks: Record<string, () => Promise<void>> = {
  async round_trip() {
    assert.deepEqual(await memory.load(chat), []);
    await memory.save(chat, [question]);
    await memory.save(chat, [question, answer]);
    await memory.save(chat, [question, answer, ...later]);
    const found = await memory.load(chat);
    assert.deepEqual(found, [question, answer, ...later]);
    assert.deepEqual(await validateUIMessages({ messages: found }), found);
    assert.deepEqual((await convertToModelMessages(found)).map(({ role }) => role), ["user", "assistant", "tool", "assistant", "user", "assistant"]);
    const [first, second, ...none] = await turns();
    assert.deepEqual([first.user_message, first.robot_response], [(question.parts[0] as { text: string }).text, "It is -3 degrees."]);
    assert.deepEqual([second.user_message, second.robot_response, none.length], ["And now?", "Still -3.", 0]);
    assert(!JSON.stringify(first.items).includes("It is -3 degrees."));
  },

  async saved_again_changes_nothing() {
    await memory.save(chat, [question, answer, ...later]);
    const before = await turns();
    await memory.save(chat, [question, answer, ...later]);
    assert.deepEqual(await turns(), before);
  },

  async regenerated_and_edited() {
    await memory.save(chat, [question, answer, ...later]);
    const regenerated = [question, answer, later[0], text("a3", "assistant", "Now 4 degrees.")];
    await memory.save(chat, regenerated);
    assert.deepEqual(await memory.load(chat), regenerated);
    const edited = [text("u1", "user", "Is it cold in Rome?")];
    await memory.save(chat, edited);
    assert.deepEqual(await memory.load(chat), edited);
    assert.equal((await turns()).length, 1);
  },

  async two_pages_keep_the_messages_of_each_other() {
    const [other, mine, answered] = [text("u2", "user", "other"), text("u3", "user", "mine"), text("a3", "assistant", "yes")];
    await memory.save(chat, [question, answer]);
    await memory.save(chat, [question, answer, other]);
    await memory.save(chat, [question, answer, mine]);
    await memory.save(chat, [question, answer, mine, answered]);
    assert.deepEqual(await memory.load(chat), [question, answer, other, mine, answered]);
    await memory.save(chat, []);
    assert.equal((await memory.load(chat)).length, 5);
  },

  async an_edited_text_is_what_the_chat_shows() {
    await memory.save(chat, [question, answer]);
    const [{ seq, robot_response, metadata, items }] = await turns();
    const body = { user_message: "[removed]", robot_response, metadata, items };
    await lossless.PUT("/sessions/{session_id}/messages/{seq}", { params: { path: { ...path, seq } }, body });
    const [shown] = await memory.load(chat);
    assert.deepEqual(shown.parts, [{ type: "text", text: "[removed]" }]);
  },

  async turns_of_another_client_are_messages_and_stay() {
    const body = { robot_personality: "guide", user_message: "hello", robot_response: "Hello.", metadata: { a: 1 }, items: [{ theirs: true }] };
    await lossless.POST("/sessions/{session_id}/messages", { params: { path }, body });
    const before = await memory.load(chat);
    assert.deepEqual(before.map(({ role, parts }) => [role, parts]), [
      ["user", [{ type: "text", text: "hello" }]],
      ["assistant", [{ type: "text", text: "Hello." }]],
    ]);
    await memory.save(chat, [...before, ...later]);
    const [theirs] = await turns();
    assert.deepEqual([theirs.metadata, theirs.items], [{ a: 1 }, [{ theirs: true }]]);
    assert.deepEqual(await memory.load(chat), [...before, ...later]);
  },

  async long() {
    const messages = [...Array(450).keys()].map((number) => text(`m${number}`, number % 2 ? "assistant" : "user", `${number}`));
    await memory.save(chat, messages);
    assert.deepEqual(await memory.load(chat), messages);
  },

  // More than a request may have and more than a page can have.
  async large() {
    const messages = [...Array(80).keys()].map((number) =>
      text(`m${number}`, number % 2 ? "assistant" : "user", `${number} ${"x".repeat(120_000)}`),
    );
    await memory.save(chat, messages);
    assert.deepEqual(await memory.load(chat), messages);
  },

  async too_large_is_an_error_that_says_why() {
    const picture: UIMessage = { id: "u", role: "user", parts: [{ type: "file", mediaType: "image/png", url: "x".repeat(300_000) }] };
    await assert.rejects(memory.save(chat, [picture]), { status: 422 });
  },

  async a_hundred_exchanges() {
    const messages: UIMessage[] = [];
    for (let number = 0; number < 100; number++) {
      messages.push(text(`u${number}`, "user", `q${number}`));
      await memory.save(chat, messages);
      messages.push(text(`a${number}`, "assistant", `a${number}`));
      await memory.save(chat, messages);
    }
    assert.deepEqual(await memory.load(chat), messages);
    const { data } = await api.GET("/sessions/{session_id}", { params: { path, query: { limit: 200 } } });
    assert.deepEqual(data?.messages.map((turn) => turn.user_message), [...Array(100).keys()].map((number) => `q${number}`));
  },

  async the_route() {
    const chunks = [
      { type: "stream-start" as const, warnings: [] },
      { type: "text-start" as const, id: "t" },
      { type: "text-delta" as const, id: "t", delta: "It is " },
      { type: "text-delta" as const, id: "t", delta: "cold." },
      { type: "text-end" as const, id: "t" },
      { type: "finish" as const, finishReason: { unified: "stop" as const, raw: "stop" }, usage: { inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 1, text: 1, reasoning: 0 } } },
    ];
    const model = new MockLanguageModelV3({ doStream: async () => ({ stream: simulateReadableStream({ chunks }) }) });
    for (const asked of ["u1", "u2"]) {
      const messages = [...(await memory.load(chat)), text(asked, "user", `Is it cold (${asked})?`)];
      const request = new Request("http://localhost/chat", { method: "POST", body: JSON.stringify({ id: chat, messages }) });
      const streamed = await (await POST(request, model)).text();
      assert(streamed.includes("cold."));
    }
    assert.deepEqual((await turns()).map((turn) => [turn.user_message, turn.robot_response]), [
      ["Is it cold (u1)?", "It is cold."],
      ["Is it cold (u2)?", "It is cold."],
    ]);
    const shown: UIMessage[] = await (await GET(new Request(`http://localhost/chat?id=${chat}`))).json();
    assert.equal(shown.length, 4);
    assert(!shown.some(({ parts }) => parts.some(isToolUIPart)));
  },
};

await checks[check]();

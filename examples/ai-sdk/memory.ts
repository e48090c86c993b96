// The memory of a chat of the AI SDK. The route calls `load`, then `save` at the question and again in onFinish.
import { isDeepStrictEqual } from "node:util";
import type { UIMessage } from "ai";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";
import { contentOf, exchanges, messagesOf } from "./turns.js";

type Turn = components["schemas"]["StoredTurn"];
// The functions say `detail`, the gateway says `message`.
type Answered<T> = { data?: T; error?: { detail?: string; message?: string }; response: Response };
const PASSING = [409, 412, 429, 500, 502, 503, 504];
const [PATIENCE_MS, PAGE, MOST_NEW, MOST_BYTES] = [60_000, 200, 100, 2 * 1024 * 1024];

export class Memory {
  private readonly api;

  // `send` can sign the requests or add a token.
  constructor(
    baseUrl: string,
    private readonly personality = "assistant",
    send: (request: Request) => Promise<Response> = fetch,
  ) {
    const timed = (request: Request) => send(new Request(request, { signal: AbortSignal.timeout(30_000) }));
    this.api = createClient<paths>({ baseUrl, fetch: timed });
  }

  async load<M extends UIMessage = UIMessage>(chat: string): Promise<M[]> {
    const { turns } = await repeated(() => this.read(chat));
    return turns.flatMap(messagesOf) as M[];
  }

  // Store what is new or changed in these messages. Each attempt reads what is stored, so nothing is stored twice.
  async save(chat: string, messages: UIMessage[]): Promise<void> {
    const plain: UIMessage[] = JSON.parse(JSON.stringify(messages));
    await repeated(() => this.write(chat, plain));
  }

  private async write(chat: string, messages: UIMessage[]): Promise<void> {
    const { turns, etag: read } = await this.read(chat);
    const path = { session_id: chat };
    let header = { "If-Match": read };
    const ids = new Set(messages.map(({ id }) => id));
    // What another page wrote meanwhile is not among these messages. It stays.
    const known = turns.filter((turn) => messagesOf(turn).some(({ id }) => ids.has(id)));
    const [kept, place] = unchanged(known, messages);
    const wanted = exchanges(messages.slice(place)).map(contentOf);
    const replaced = known.slice(kept, kept + wanted.length);
    // After an edited question or another answer the chat ends there.
    const edited = replaced.length > 0 && !begins(messagesOf(replaced[0]), messages.slice(place));
    const last = replaced.at(-1)?.seq ?? 0;
    const surplus = edited && turns.some(({ seq }) => seq > last);
    for (const { seq } of replaced) {
      const [body] = wanted.splice(0, 1);
      const call = this.api.PUT("/sessions/{session_id}/messages/{seq}", { params: { path: { ...path, seq }, header }, body });
      header = { "If-Match": (await done(call)).etag };
    }
    if (surplus) {
      const params = { path, query: { after: last }, header };
      header = { "If-Match": (await done(this.api.DELETE("/sessions/{session_id}/messages", { params }))).etag };
    }
    while (wanted.length) {
      const part = wanted.splice(0, fitting(wanted)).map((turn) => ({ robot_personality: this.personality, ...turn }));
      const call = this.api.POST("/sessions/{session_id}/messages", { params: { path, header }, body: { messages: part } });
      header = { "If-Match": (await done(call)).etag };
    }
  }

  private async read(chat: string): Promise<{ turns: Turn[]; etag: string }> {
    const turns: Turn[] = [];
    let [first, after] = ["", 0];
    for (;;) {
      const params = { path: { session_id: chat }, query: { after, limit: PAGE } };
      const answer = await this.api.GET("/sessions/{session_id}", { params });
      if (answer.response.status === 404) return { turns: [], etag: '"0"' };
      const { data, etag } = await done(answer);
      turns.push(...data.messages);
      first ||= etag;
      // A page may be shorter than its limit, so that the answer does not get too large.
      if (!data.messages.length || data.page.after === data.session.last_seq) return { turns, etag: first };
      after = data.page.after ?? 0;
    }
  }
}

// Count the first turns that need no change, and their messages. An answer belongs to the turn of its question.
function unchanged(turns: Turn[], messages: UIMessage[]): [number, number] {
  let [kept, place, last] = [0, 0, 0];
  for (const turn of turns) {
    const stored = messagesOf(turn);
    if (!begins(stored, messages.slice(place))) break;
    [kept, place, last] = [kept + 1, place + stored.length, stored.length];
  }
  const grows = kept > 0 && place < messages.length && messages[place].role !== "user";
  return grows ? [kept - 1, place - last] : [kept, place];
}

function begins(stored: UIMessage[], messages: UIMessage[]): boolean {
  return stored.every((message, index) => isDeepStrictEqual(message, messages[index]));
}

// How many of these turns one request can have.
function fitting(turns: object[]): number {
  let count = 0;
  for (let bytes = 0; count < Math.min(turns.length, MOST_NEW); count++) {
    bytes += Buffer.byteLength(JSON.stringify(turns[count]));
    if (count && bytes > MOST_BYTES) break;
  }
  return count;
}

async function done<T>(call: Answered<T> | Promise<Answered<T>>): Promise<{ data: T; etag: string }> {
  const { data, error, response } = await call;
  if (data !== undefined && response.ok) return { data, etag: response.headers.get("etag") ?? "" };
  throw Object.assign(new Error(error?.detail ?? error?.message ?? `HTTP ${response.status}`), { status: response.status });
}

async function repeated<T>(work: () => Promise<T>): Promise<T> {
  const ends = Date.now() + PATIENCE_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const { status } = error as { status?: number };
      if (Date.now() > ends || (status !== undefined && !PASSING.includes(status))) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 100 * 2 ** Math.min(attempt, 5)));
    }
  }
}

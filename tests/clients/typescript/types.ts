// Right requests and wrong ones: tsc has to refuse what stands below each @ts-expect-error. Then node runs it.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const [url, session_id] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl: url });
const path = { session_id };
const body: components["schemas"]["Turn"] = { robot_personality: "guide", user_message: "Hello!", robot_response: "Hello.", metadata: {} };

const written = await api.POST("/sessions/{session_id}/messages", { params: { path, header: { "Idempotency-Key": session_id } }, body });
assert(written.data);
const last: number = written.data.last_seq;
// @ts-expect-error: it is a number.
const wrong: string = written.data.last_seq;

const read = await api.GET("/sessions/{session_id}", { params: { path, query: { limit: 10 } } });
assert(read.data);
assert.equal(read.data.messages[0].seq, last);
const metadata: { [key: string]: unknown } = read.data.messages[0].metadata;
// @ts-expect-error: a turn has no such member.
assert.equal(read.data.messages[0].robot_answer, undefined);

const missing = await api.GET("/sessions/{session_id}", { params: { path: { session_id: `${session_id}-missing` } } });
assert(missing.error && "title" in missing.error);
assert.equal(missing.error.title, "Session not found");

// @ts-expect-error: a limit is a number.
await api.GET("/sessions/{session_id}", { params: { path, query: { limit: "ten" } } });
// @ts-expect-error: there is no such route.
await api.GET("/session/{session_id}", { params: { path } });
// @ts-expect-error: a turn needs a personality.
const refused = await api.POST("/sessions/{session_id}/messages", { params: { path }, body: { user_message: "", robot_response: "", metadata: {} } });
assert.equal(refused.response.status, 422);
assert(refused.error && "errors" in refused.error);
assert.equal(refused.error.errors[0].type, "missing");
void [wrong, metadata];

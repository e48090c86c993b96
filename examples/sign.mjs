// Write a turn and read it back: node sign.mjs SESSION_ID. The credentials are those of the environment.
import { AwsClient } from "aws4fetch";

if (process.argv.length !== 3) throw new Error("Use it as: node sign.mjs SESSION_ID");
const { API, AWS_REGION: region, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
const sessionToken = process.env.AWS_SESSION_TOKEN;
const aws = new AwsClient({ service: "execute-api", region, accessKeyId, secretAccessKey, sessionToken, retries: 2 });
const session = `${API.replace(/\/$/, "")}/sessions/${encodeURIComponent(process.argv[2])}`;

async function signed(url, init) {
  const answer = await aws.fetch(url, { ...init, signal: AbortSignal.timeout(30_000) });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.text();
}

const body = JSON.stringify({ robot_personality: "guide", user_message: "Hello!", robot_response: "Hello. Where to?" });
// The client sends a request again after a 5xx or a 429. With the key the turn is written once all the same.
const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() };
console.log(await signed(`${session}/messages`, { method: "POST", headers, body }));
console.log(await signed(`${session}?limit=1`));

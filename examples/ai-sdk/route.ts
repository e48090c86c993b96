// The route of a chat: it stores the question, streams the answer, and stores the answer.
import { convertToModelMessages, generateId, type LanguageModel, streamText, type UIMessage } from "ai";
import { Memory } from "./memory.js";

const memory = new Memory(process.env.API ?? "http://127.0.0.1:3000", "guide");

export async function POST(request: Request, model: LanguageModel = process.env.MODEL ?? ""): Promise<Response> {
  const { id, messages }: { id: string; messages: UIMessage[] } = await request.json();
  await memory.save(id, messages);
  const result = streamText({ model, messages: await convertToModelMessages(messages) });
  return result.toUIMessageStreamResponse({
    originalMessages: messages,
    generateMessageId: generateId,
    onFinish: ({ messages }) => memory.save(id, messages),
  });
}

// The page shows these messages when the chat is opened again.
export async function GET(request: Request): Promise<Response> {
  return Response.json(await memory.load(new URL(request.url).searchParams.get("id") ?? ""));
}

// How messages become turns. The two texts of a turn are its user_message and robot_response, and the messages, which
// are the turn's items, refer to them. So an edited text is what the chat shows.
import type { UIMessage } from "ai";
import type { components } from "./api.js";

type Turn = components["schemas"]["StoredTurn"];
type Content = components["schemas"]["Replacement"];
const SIDES = [["user", "user_message"], ["assistant", "robot_response"]] as const;
const FORM = "ai-sdk";

// A turn begins at a message of the user and ends before the next one.
export function exchanges(messages: UIMessage[]): UIMessage[][] {
  const found: UIMessage[][] = [];
  for (const message of messages) {
    if (message.role === "user" || !found.length) found.push([]);
    found[found.length - 1].push(message);
  }
  return found;
}

export function contentOf(messages: UIMessage[]): Content {
  const texts = { user_message: "", robot_response: "" };
  const items = structuredClone(messages) as unknown as Item[];
  for (const [role, side] of SIDES) {
    const parts = items.filter((item) => item.role === role).flatMap((item) => item.parts);
    const part = parts.findLast((part) => part.type === "text" && part.text);
    if (!part) continue;
    texts[side] = part.text as string;
    part.text = { $: side };
  }
  return { ...texts, items, metadata: { robot_brain_client: { form: FORM } } };
}

// A turn of another client has a message for each of its texts.
export function messagesOf(turn: Turn): UIMessage[] {
  const ours = (turn.metadata.robot_brain_client as { form?: string } | undefined)?.form === FORM;
  const items = ours ? (turn.items as unknown as Item[]) ?? [] : [];
  const used = new Set<string>();
  const messages = items.map((item) => ({ ...item, parts: item.parts.map(restored) }));
  const others = SIDES.filter(([, side]) => turn[side] && !used.has(side)).map(([role, side]) => ({
    id: `${turn.id}-${role}`,
    role,
    parts: [{ type: "text", text: turn[side] }],
  }));
  return [...messages, ...others] as UIMessage[];

  function restored(part: Part): Part {
    if (part.type !== "text" || typeof part.text !== "object") return part;
    used.add(part.text.$);
    return { ...part, text: turn[part.text.$] };
  }
}

type Part = { type: string; text?: string | { $: (typeof SIDES)[number][1] } };
type Item = { role: string; parts: Part[]; [key: string]: unknown };

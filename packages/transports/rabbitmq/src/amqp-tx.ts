import type { Channel } from 'amqplib';

/** amqplib has the call that everything else goes through, but not in its types, and nothing for transactions. */
interface WithRpc {
  rpc(method: number, fields: Readonly<Record<string, unknown>>, answer: number): Promise<unknown>;
}

/** Class and method numbers. @source AMQP 0-9-1 specification, class `tx` (90): select 10, select-ok 11, commit 20, commit-ok 21 */
const TX = 90 << 16;
const SELECT = { method: TX + 10, answer: TX + 11 };
const COMMIT = { method: TX + 20, answer: TX + 21 };

/** From now on what is published on the channel waits for a commit, and what is not committed when the channel ends has never been. */
export async function txSelect(channel: Channel): Promise<void> {
  await ask(channel, SELECT);
}

/**
 * Resolves when all that was published since the last commit is where it belongs, on the disks it has to be on. The next transaction has begun then.
 * **Not promised:** all or nothing; when it rejects, or is never answered, any part of it may be there.
 */
export async function txCommit(channel: Channel): Promise<void> {
  await ask(channel, COMMIT);
}

async function ask(channel: Channel, { method, answer }: { readonly method: number; readonly answer: number }): Promise<void> {
  await (channel as Channel & WithRpc).rpc(method, {}, answer);
}

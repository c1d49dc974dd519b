import type { HandlerCall } from './handler-call.js';
import type { ReadableMessage } from './opened-message.js';

/** A message, and the call of its handler. */
export interface CallOf {
  readonly message: ReadableMessage;
  readonly call: HandlerCall;
}

/** Messages of one key one after another, different keys side by side; all have settled before the first failure is told. */
export function runHandlers(calls: readonly CallOf[]): Promise<void> {
  const [only] = calls;
  return calls.length === 1 && only !== undefined ? only.call.run() : runSideBySide(calls);
}

async function runSideBySide(calls: readonly CallOf[]): Promise<void> {
  const chains = new Map<string, CallOf[]>();
  for (const call of calls) {
    const key = call.message.envelope.key === undefined ? `place ${call.message.incoming.place}` : `key ${call.message.envelope.key}`;
    const chain = chains.get(key);
    if (chain === undefined) chains.set(key, [call]);
    else chain.push(call);
  }
  let failed: { error: unknown } | undefined;
  const abort = (error: unknown) => {
    failed ??= { error };
    for (const { call } of calls) call.abort(error);
  };
  await Promise.all(
    [...chains.values()].map(async (chain) => {
      try {
        for (const { call } of chain) if (failed === undefined) await call.run();
      } catch (error) {
        abort(error);
      }
    }),
  );
  if (failed !== undefined) throw (failed as { error: unknown }).error;
}

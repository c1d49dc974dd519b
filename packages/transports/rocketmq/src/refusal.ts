import { hfError, isHoldfastError } from '@holdfast/core';

/** Of RocketMQ's `Code`: what it says of a topic or a group that it does not know. */
const NOT_THERE = [40_400, 40_402, 40_403];
/** What it says of a message that it does not take as it is, however often it is sent, and of a service that may not send there. */
const REFUSED = [
  40_000, 40_002, 40_004, 40_005, 40_006, 40_007, 40_009, 40_012, 40_014, 40_016, 40_300, 41_300, 41_301, 41_302, 42_800, 43_100, 43_101,
  50_500,
];
/** Of these, what it says of bodies and requests that are too large. */
const TOO_LARGE = [41_300, 41_301];
/** What the client says of sizes and of kinds, at which it looks itself, without a code. */
const TOO_LARGE_FOR_CLIENT = /body size exceeds/i;
const REFUSED_BY_CLIENT = /message type not match|body size exceeds/i;
/** What client and proxy say of a topic that was deleted: for a while the proxy tells where it was, and that it takes messages of no kind. */
const DELETED = /message type not match.*acceptMessageTypes=\[0\]|expected type is UNSPECIFIED/i;
/** What it says of a service that it does not let in. */
const NOT_LET_IN = [40_001, 40_100, 40_300];
/** What it says of a handle whose time is over. */
const HANDLE_OVER = 40_013;
/** Of gRPC, whose codes are below all of RocketMQ's. */
const UNAUTHENTICATED = [7, 16];

/** What a send came to, when it did not succeed. */
export type SendFailure = 'refused' | 'no-topic' | 'unknown';

/** Tells a refusal from a failure after which nobody knows. */
export function sendFailureOf(error: unknown): SendFailure {
  const code = codeOf(error);
  if (NOT_THERE.includes(code) || DELETED.test(String(error))) return 'no-topic';
  const isRefusedHere = isHoldfastError(error, 'HF_BROKER_LIMIT') || isHoldfastError(error, 'HF_BROKER_TOPOLOGY');
  return isRefusedHere || REFUSED.includes(code) || REFUSED_BY_CLIENT.test(String(error)) ? 'refused' : 'unknown';
}

/** It is the size of its body that RocketMQ does not take. */
export function isTooLarge(error: unknown): boolean {
  return TOO_LARGE.includes(codeOf(error)) || TOO_LARGE_FOR_CLIENT.test(String(error));
}

/**
 * Whether a client that failed so is of no use any more: the connection is gone, or hangs, or the proxy has forgotten it; or it goes by what it once heard
 * of a topic, for good.
 */
export function isLostWith(error: unknown): boolean {
  const code = codeOf(error);
  return DELETED.test(String(error)) || (code > 0 && code < 20) || Math.floor(code / 10_000) === 5;
}

/** As the proxy says it. */
export function handleOver(): Error {
  return Object.assign(new Error('its time was over when it was to be kept'), { code: HANDLE_OVER });
}

/** Whether somebody else has the message, or may have it at any moment. */
export function isHandleOver(error: unknown): boolean {
  return codeOf(error) === HANDLE_OVER;
}

/** The error of Holdfast that an error of the client is. */
export function refusalIn(error: unknown, address: string): Error {
  if (isHoldfastError(error)) return error;
  const code = codeOf(error);
  const reason = error instanceof Error ? error.message : String(error);
  if (NOT_THERE.includes(code)) return hfError('HF_BROKER_TOPOLOGY', { problems: [reason] }, { cause: error });
  const isRefused = NOT_LET_IN.includes(code) || UNAUTHENTICATED.includes(code);
  return hfError(isRefused ? 'HF_BROKER_REFUSED' : 'HF_BROKER_UNREACHABLE', { address, reason }, { cause: error });
}

function codeOf(error: unknown): number {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'number' ? code : 0;
}

// biome-ignore lint/suspicious/noTsIgnore: an expectation would be an error where the package is installed
/** @ts-ignore: the package is optional, and where it is missing its types are `any` instead of an error in a user's build */
import type * as Microservices from '@nestjs/microservices';

type Package = typeof Microservices;

/** What Nest's clients hand to a transport. */
export type ClientMessage = Microservices.ReadPacket;

/** What a transport hands back to Nest's clients. */
export type ClientAnswer = Microservices.WritePacket;

/** What stands in for a class of a package that is not there: nothing of it is ever made. */
class Absent {}
const ABSENT: unknown = { Server: Absent, ClientProxy: Absent, BaseRpcContext: Absent, RpcException: Absent };

const loaded = load();

/** Whether the application has @nestjs/microservices, whose handlers and clients these classes are for. */
export const hasMicroservices = loaded !== undefined;

const { Server, ClientProxy, BaseRpcContext, RpcException } = loaded ?? (ABSENT as Package);
export { BaseRpcContext, ClientProxy, RpcException, Server };

function load(): Package | undefined {
  try {
    return require('@nestjs/microservices') as Package;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Only this package itself may be missing, not something it needs. */
function isMissing(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return /MODULE_NOT_FOUND$/.test(String(code)) && /'@nestjs\/microservices'/.test(String(message));
}

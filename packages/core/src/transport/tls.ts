import { createSecureContext } from 'node:tls';

/** PEM, as text or as the bytes of a file. */
type Pem = string | Buffer;

/** How broker and service prove to each other who they are, where addresses are `amqps:`. */
export interface BrokerTlsOptions {
  /** Certificates of the authorities that may have signed the broker's, as PEM; default: those that Node knows, and `NODE_EXTRA_CA_CERTS`. */
  ca?: Pem | Pem[];
  /** This service's own certificate, as PEM, for a broker that asks for one; `key` belongs to it. */
  cert?: Pem;
  /** The private key of `cert`, as PEM. */
  key?: Pem;
  /** What `key` is encrypted with. */
  passphrase?: string;
  /** The name that the broker's certificate must have; default: the host of its address. */
  servername?: string;
}

const NAMES: readonly string[] = ['ca', 'cert', 'key', 'passphrase', 'servername'] satisfies (keyof BrokerTlsOptions)[];

/**
 * What is wrong with these options, a sentence each. Never shows a value: one of them is a secret.
 *
 * @param option as a user writes it, such as `rabbitmq({ tls })`
 */
export function tlsProblems(option: string, tls: unknown): readonly string[] {
  if (typeof tls !== 'object' || tls === null || Array.isArray(tls) || ArrayBuffer.isView(tls))
    return [`${option} is no object with names; write { ca: readFileSync('ca.pem') }`];
  const problems: string[] = [];
  const strange = Object.keys(tls).filter((name) => !NAMES.includes(name));
  if (strange.length > 0) problems.push(`${option} has ${strange.join(', ')}; use ${NAMES.join(', ')}`);
  const { cert, key, servername } = tls as BrokerTlsOptions;
  if ((cert === undefined) !== (key === undefined)) problems.push(`${option} has one of cert and key; give both, or neither`);
  if (servername !== undefined && (typeof servername !== 'string' || servername === ''))
    problems.push(`${option} has a servername that is no name; use one such as 'broker.example'`);
  try {
    createSecureContext(tls);
  } catch (error) {
    problems.push(`${option} cannot be read: ${(error as Error).message}`);
  }
  return problems;
}

/**
 * Why TLS came to nothing, with what to do about it; undefined when it was something else.
 *
 * @param option as a user writes it, such as `rabbitmq({ tls })`
 */
export function tlsReason(option: string, error: unknown): string | undefined {
  // OpenSSL's own word stands in `reason`, and in the message between a lot else: number:error:code:library:function:word:file.
  const { message, code, reason } = (error ?? {}) as { readonly message?: string; readonly code?: unknown; readonly reason?: string };
  if (typeof code !== 'string' || !/CERT|_SSL_|_TLS_|ISSUER|SIGNATURE/.test(code)) return undefined;
  const word = /error:[\dA-F]{8}:[^:]*:[^:]*:([^:]+):/.exec(message ?? '')?.[1];
  return `${reason ?? word ?? message ?? code} (certificates and names are given with ${option})`;
}

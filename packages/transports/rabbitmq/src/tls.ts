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
 * What is wrong with these options for these addresses, a sentence each. Never shows a value: one of them is a secret.
 *
 * @param addresses as they may be shown
 */
export function tlsProblems(tls: BrokerTlsOptions | undefined, addresses: readonly string[]): readonly string[] {
  if (tls === undefined) return [];
  if (typeof tls !== 'object' || tls === null || Array.isArray(tls) || ArrayBuffer.isView(tls))
    return ["rabbitmq({ tls }) is no object with names; write { ca: readFileSync('ca.pem') }"];
  const problems: string[] = [];
  const strange = Object.keys(tls).filter((name) => !NAMES.includes(name));
  if (strange.length > 0) problems.push(`rabbitmq({ tls }) has ${strange.join(', ')}; use ${NAMES.join(', ')}`);
  if ((tls.cert === undefined) !== (tls.key === undefined))
    problems.push('rabbitmq({ tls }) has one of cert and key; give both, or neither');
  if (tls.servername !== undefined && (typeof tls.servername !== 'string' || tls.servername === ''))
    problems.push("rabbitmq({ tls }) has a servername that is no name; use one such as 'rabbit.example'");
  if (addresses.some((address) => address.startsWith('amqp:')))
    problems.push('rabbitmq({ tls }) is for addresses that begin with amqps:, and not all of url do');
  try {
    createSecureContext(tls);
  } catch (error) {
    problems.push(`rabbitmq({ tls }) cannot be read: ${(error as Error).message}`);
  }
  return problems;
}

/** Why TLS came to nothing, with what to do about it; undefined when it was something else. */
export function tlsReason(error: unknown): string | undefined {
  // OpenSSL's own word stands in `reason`, and in the message between a lot else.
  const { message, code, reason } = (error ?? {}) as { readonly message?: string; readonly code?: string; readonly reason?: string };
  if (code === undefined || !/CERT|_SSL_|_TLS_|ISSUER|SIGNATURE/.test(code)) return undefined;
  return `${reason ?? message ?? code} (certificates and names are given with rabbitmq({ tls }))`;
}

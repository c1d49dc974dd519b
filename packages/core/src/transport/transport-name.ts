/** The transport that carries what names no other. */
export const DEFAULT_TRANSPORT = 'default';

/** What a transport says it is that reads the log by itself, and sends nothing on. */
export const LOG_TRANSPORT = 'database';

/** Of a name in the options: with what is put around it, a name that databases and brokers take. */
const NAME = /^[a-z][a-z0-9_-]{0,39}$/i;

/** What is wrong with the name of a transport; undefined: nothing. */
export function problemOfTransportName(name: string): string | undefined {
  return NAME.test(name) ? undefined : 'it stands before the colon of a destination, and in the tables of the log';
}

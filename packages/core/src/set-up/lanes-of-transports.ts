import type { Subscription } from '../delivery/subscription.js';
import { hfError } from '../errors/catalogue.js';
import type { Store } from '../store/store.port.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';
import type { Assembly } from './assembly.js';
import type { Settings } from './settings.js';

/** Before anything is written: each further transport has lanes of its own. @throws HF_TRANSPORT_NEW where they are not ours to make */
export async function haveLanes({ schema }: Pick<Store, 'schema'>, { transports, migrate }: Settings): Promise<void> {
  const further = [...transports.keys()].filter((name) => name !== DEFAULT_TRANSPORT);
  const missing = further.length === 0 ? [] : await schema.transportsWithoutLanes(further);
  const [first] = missing;
  if (first === undefined) return;
  if (!migrate) throw hfError('HF_TRANSPORT_NEW', { name: first });
  await schema.addTransports(missing);
}

/** Of a subscription of another transport nobody reads the log any more: what is left there for it would be lost, and the log would be kept for it. @throws HF_TRANSPORT_MOVED */
export async function assertNotMoved({ carrier }: Pick<Store, 'carrier'>, subscriptions: readonly Subscription[]): Promise<void> {
  const further = subscriptions.filter(({ transport }) => transport !== DEFAULT_TRANSPORT);
  if (further.length === 0) return;
  const { reading } = await carrier.advance(further.map(({ spec }) => spec.id as number));
  const moved = further.filter(({ spec }) => reading.includes(spec.id as number));
  if (moved.length > 0) throw hfError('HF_TRANSPORT_MOVED', { names: moved.map(({ spec }) => spec.name).join(', ') });
}

/** What waits for a transport that was taken from the options is not lost, and nobody sends it. */
export async function tellStranded({ log }: Pick<Store, 'log'>, { settings, runtime }: Assembly): Promise<void> {
  for (const { transport, backlog, parked } of await log.stranded([...settings.transports.keys()]))
    runtime.logger.error(
      'messages wait for a transport that no process has; name it in transports again until they are sent, or give them up with holdfast transport discard',
      { transport, backlog, parked },
    );
}

import { hfError } from '../errors/catalogue.js';
import type { Transport } from '../transport/transport.port.js';
import type { Outlet } from './outlet-bus.js';
import type { Outgoing } from './outgoing.js';

/** Without a store: waits for the transport's confirm. Nothing is kept here, so a failure is the caller's to repeat with the same id. */
export class TransportOutlet implements Outlet {
  constructor(
    private readonly transport: Transport,
    private readonly name: string,
    private readonly confirmed: ((messages: readonly Outgoing[]) => void) | undefined,
  ) {}

  async accept(message: Outgoing): Promise<void> {
    const { envelope, due } = message;
    if (due !== undefined) throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'delay or at without a store', provider: this.name });
    const [outcome] = await this.transport.publish([envelope]);
    const isDone = outcome === 'confirmed' || (outcome === 'unroutable' && envelope.kind === 'event');
    if (!isDone) throw hfError('HF_PUBLISH_FAILED', { type: envelope.type, id: envelope.id, outcome: outcome ?? 'unknown' });
    this.confirmed?.([message]);
  }
}

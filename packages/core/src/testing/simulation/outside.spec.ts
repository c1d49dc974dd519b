import { Answering } from '../../delivery/answering.js';
import { ClaimedCall } from '../../delivery/claimed-call.js';
import type { Delivery } from '../../delivery/delivery.js';
import { HandlerCall } from '../../delivery/handler-call.js';
import type { ReadableMessage } from '../../delivery/opened-message.js';
import type { HandlingContext } from '../../delivery/handling-context.js';
import type { Subscription } from '../../delivery/subscription.js';
import { WorkInHand } from '../../delivery/work-in-hand.js';
import { NonRetryableError } from '../../errors/non-retryable-error.js';
import { limitsFrom } from '../../message/limits.js';
import { silentLogger } from '../../monitoring/logger.js';
import { answerWith } from '../../reply/answer.js';
import type { UnitEngine } from '../../unit-of-work/unit-engine.js';
import { type Effect, took } from './accounts.spec.js';
import type { Wire } from './broker.spec.js';
import type { Client, SimulatedDatabase } from './database.spec.js';
import type { MoveMoney } from './participant.spec.js';
import type { SimulatedProcess } from './process.spec.js';
import { type Answer, type RequestDesk, STEP, UNDOING } from './request-memory.spec.js';
import type { Troubles } from './troubles.spec.js';
import type { World } from './world.spec.js';

const CHARGES = 'charge';
const TIMEOUT_MS = 3000;

/** What another system knows by a key. */
interface ChargeRow {
  readonly isUndone: boolean;
}

/**
 * Another system that moves money, once for each key. It knows of a key what it was asked to do, and of one it never heard of nothing: it does not refuse what is
 * asked for after somebody wanted it undone. That is for the guard of the request.
 */
export class Provider {
  /** What a person still has to do. */
  byHand = 0;
  private readonly clerk: SimulatedProcess;

  constructor(
    private readonly world: World,
    private readonly db: SimulatedDatabase,
  ) {
    this.clerk = world.process(`clerk of ${db.parts.name}`);
  }

  /** Does something, or undoes it. Nothing of it happens once the signal is aborted: its connection is closed. */
  async make(
    client: Client,
    { key, effect, signal }: { readonly key: string; readonly effect: Effect; readonly signal?: AbortSignal },
  ): Promise<void> {
    const tx = await this.db.begin(client);
    const stop = () => tx.cut(new Error('it is not wanted any more'));
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
    try {
      const known = await tx.statement(async () => {
        await tx.lock(CHARGES, key);
        return tx.get<ChargeRow>(CHARGES, key);
      });
      const isMade = effect.what === 'do' ? known === undefined : known?.isUndone === false;
      if (isMade) {
        if (!(await took((statement) => tx.statement(() => statement(tx)), effect))) throw new NonRetryableError('the money is not there');
        await tx.statement(() => tx.put(CHARGES, key, { isUndone: effect.what === 'undo' } satisfies ChargeRow));
      }
      await tx.commit();
    } catch (error) {
      await tx.rollback();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** It was done when it had been undone already: a person sees that, and undoes it, however often she has to try. */
  undoByHand(key: string, effect: Effect): void {
    const moves = effect.moves.map(({ account, amount }) => ({ account, amount: -amount }));
    const undo: Effect = { ...effect, what: 'undo', moves, isLimited: false };
    this.byHand += 1;
    const attempt = () => {
      this.make(this.clerk, { key, effect: undo }).then(
        () => {
          this.byHand -= 1;
        },
        () => void this.world.time.after(200, attempt),
      );
    };
    this.clerk.run(attempt);
  }
}

/** What the handlers of a process work with. */
export interface OutsideParts {
  readonly process: SimulatedProcess;
  readonly units: UnitEngine<Wire>;
  readonly desk: RequestDesk;
  readonly provider: Provider;
  readonly troubles: Troubles;
}

/** The handlers of a process that call another system, outside any transaction, under the claims of production. */
export class OutsideHandlers {
  private readonly context: HandlingContext;

  constructor(private readonly parts: OutsideParts) {
    const { process, units, desk } = parts;
    const limits = limitsFrom();
    this.context = {
      clock: process,
      scheduler: process,
      logger: silentLogger,
      inHand: new WorkInHand(),
      failures: { succeeded: () => undefined },
      replies: { answerWith: (_type: string, value: unknown) => answerWith(value, limits) },
      store: { inbox: desk.requests, deliveries: { withdraw: async () => [] } },
      runUnit: (options: object, work: never) => units.runFramework(options, work),
      onStored: () => undefined,
    } as unknown as HandlingContext;
  }

  /** Handles a request, or what undoes one; how, and what is answered. */
  async call(wire: Wire, attempt: number): Promise<{ readonly how: string; readonly answer: Answer }> {
    const { context } = this;
    let isCalled = false;
    const subscription = {
      ...(wire.compensates === undefined ? STEP : UNDOING),
      timeoutMs: TIMEOUT_MS,
      limits: limitsFrom(),
      handler: (move: MoveMoney, delivery: Delivery) => {
        isCalled = true;
        return this.handle(move, delivery);
      },
    } as unknown as Subscription;
    const message = {
      envelope: this.parts.desk.envelopeOf(wire),
      incoming: { attempts: attempt - 1, isRedelivery: attempt > 1 },
      data: wire.body,
    } as ReadableMessage;
    const claimed = new ClaimedCall(context, subscription, new Answering(context, subscription));
    const { answer, isDropped } = await claimed.make({ message, call: new HandlerCall(context, subscription, message) });
    const undone = wire.compensates === undefined ? 'again' : 'needless';
    const how = isDropped ? 'dropped, it was undone' : isCalled ? 'done outside' : undone;
    if (answer !== undefined && 'refusal' in answer) return { how, answer };
    return { how, answer: { value: answer?.json === undefined ? undefined : JSON.parse(answer.json) } };
  }

  private async handle({ effect }: MoveMoney, { attempt, idempotencyKey, undoes, signal }: Delivery): Promise<string> {
    const { process, provider, troubles } = this.parts;
    const around = troubles.before(process, effect, attempt);
    await around.begin();
    await provider.make(process, { key: undoes?.idempotencyKey ?? idempotencyKey, effect, signal });
    await around.end();
    return 'done';
  }
}

import {
  type Command,
  describeMessage,
  type EventMessage,
  isHoldfastError,
  untypedMessage,
  hfError,
  MessageBus,
  type MessageRef,
  type PublishOptions,
  UnitOfWork,
} from '@holdfast/core';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { lastValueFrom, Observable, ReplaySubject } from 'rxjs';
import { HoldfastRecord } from './holdfast-record.js';
import { ClientProxy, type ClientAnswer, type ClientMessage } from './nest-microservices.js';
import { typeOfPattern } from './pattern.js';

const logger = new Logger('Holdfast');

/**
 * Nest's ClientProxy over the bus; inject it by this class. The pattern is the message's type. Data that is an instance of a `@Message` class is
 * sent as such, with its schema and version; any other data is JSON. A HoldfastRecord carries options. `send` is `bus.request`: it fails as that does,
 * also inside a unit of work.
 *
 * **Guarantee:** in a unit of work `emit` joins it, also when nobody awaits it: the message commits and rolls back with the unit's rows, and a message
 * that cannot be written fails the unit.
 */
@Injectable()
export class HoldfastClientProxy extends ClientProxy {
  constructor(
    @Inject(MessageBus) private readonly bus: MessageBus,
    @Inject(UnitOfWork) private readonly unitOfWork: UnitOfWork,
  ) {
    super();
  }

  /** Connected whenever the application has started. */
  override async connect(): Promise<void> {}

  /** Nothing is held: the bus belongs to the application. */
  override async close(): Promise<void> {}

  /** The bus. */
  override unwrap<T = MessageBus>(): T {
    return this.bus as T;
  }

  /**
   * Publishes an event, now, whether anybody subscribes to the observable or not.
   *
   * @param pattern a text, or an object as Nest writes it
   * @param data JSON, an instance of a `@Message` class, or either of them in a HoldfastRecord
   * @returns emits once, what `bus.publish` gives; fails as it does, and with HF_NEST_PATTERN
   */
  // biome-ignore lint/suspicious/noExplicitAny: the signature of Nest
  override emit<TResult = any, TInput = unknown>(pattern: unknown, data: TInput): Observable<TResult> {
    const sent =
      pattern == null || data == null ? this.refused<TResult>(pattern, data) : this.dispatchEvent<TResult>(this.messageOf(pattern, data));
    // Registered at once, so that a unit does not end before a message that nobody awaits is part of it.
    const isInUnit = this.unitOfWork.isActive;
    if (isInUnit) this.unitOfWork.beforeCommit(() => sent.then(() => undefined));
    const result = new ReplaySubject<TResult>(1);
    sent.then(
      (ref) => {
        result.next(ref);
        result.complete();
      },
      (error: unknown) => {
        if (!result.observed && !isInUnit)
          logger.error(`An event that was emitted, and that nobody waits for, was not published: ${String(error)}`);
        result.error(error);
      },
    );
    return result.asObservable();
  }

  /** Nest's own refusal, which is told only to who subscribes. */
  private refused<T>(pattern: unknown, data: unknown): Promise<T> {
    return lastValueFrom(super.emit<T>(pattern, data));
  }

  protected override async dispatchEvent<T>({ pattern, data, metadata }: Outbound): Promise<T> {
    const { content, type, options } = this.read({ pattern, data, metadata });
    const event = isMessage(content, type) ? (content as EventMessage) : untypedMessage(type, 'event', content);
    return (await this.bus.publish(event, options)) as T & MessageRef;
  }

  protected override publish(message: Outbound, respond: (answer: ClientAnswer) => void): () => void {
    const waiting = new AbortController();
    this.ask(message, waiting.signal).then(
      (response) => respond({ response, isDisposed: true }),
      (err: unknown) => respond({ err, isDisposed: true }),
    );
    // Whoever leaves the observable waits no more; the handler is not stopped by that.
    return () => waiting.abort();
  }

  private async ask(message: Outbound, signal: AbortSignal): Promise<unknown> {
    const { content, type, options } = this.read(message);
    const { delay, at, ...others } = options;
    if (delay !== undefined || at !== undefined) throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'delay or at', provider: 'send()' });
    const command = isMessage(content, type) ? (content as Command<unknown>) : untypedMessage(type, 'command', content);
    return this.bus.request(command, { ...others, signal });
  }

  private read({ pattern, data, metadata }: Outbound): {
    readonly content: unknown;
    readonly type: string;
    readonly options: PublishOptions;
  } {
    const { data: content, options } = recordOf(data);
    const type = typeOfPattern(pattern, this.normalizePattern(pattern), 'a message');
    return { content, type, options: { ...options, headers: { ...textsOf(metadata), ...options.headers } } };
  }

  /** What instrumentation may add to; older versions of Nest have no hook for it. */
  private messageOf(pattern: unknown, data: unknown): Outbound {
    const message: Outbound = { pattern: pattern as string, data };
    this.onDispatchHook?.(message);
    return message;
  }
}

/** With what newer versions of Nest let instrumentation attach. */
type Outbound = ClientMessage & { metadata?: Readonly<Record<string, unknown>> };

function recordOf(data: unknown): { readonly data: unknown; readonly options: PublishOptions } {
  return data instanceof HoldfastRecord ? data : { data, options: {} };
}

/** Headers are texts. */
function textsOf(metadata: Readonly<Record<string, unknown>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** True for an instance of a `@Message` class. @throws HF_NEST_PATTERN when it is the message of another type */
function isMessage(data: unknown, type: string): boolean {
  if (typeof data !== 'object' || data === null) return false;
  try {
    const declared = describeMessage(data);
    if (declared.type === type) return true;
    throw hfError('HF_NEST_PATTERN', {
      pattern: type,
      target: `the data, a ${declared.class.name}`,
      reason: `its class says ${declared.type}`,
    });
  } catch (error) {
    if (isHoldfastError(error, 'HF_MESSAGE_UNDECLARED')) return false;
    throw error;
  }
}

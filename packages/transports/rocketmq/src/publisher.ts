import {
  emit,
  type Envelope,
  hfError,
  Keeper,
  type KeeperContext,
  type Logger,
  type PublishOutcome,
  type StartTerms,
} from '@holdfast/core';
import type { OutgoingMessage, RocketmqClient, RocketmqProducer } from './client.port.js';
import type { Names } from './names.js';
import { sendFailureOf } from './refusal.js';
import { type Settings, TRANSPORT } from './settings.js';
import type { RocketmqTopology } from './topology.js';
import { problemOf, toMessage } from './wire.js';

/** Messages on their way at once: a request each, and more of them make nothing faster. */
const WINDOW = 96;

/** What a publisher works with. */
export interface PublisherParts {
  readonly context: KeeperContext;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly client: RocketmqClient;
  readonly names: Names;
  readonly topology: RocketmqTopology;
}

/** What is to be sent. */
interface Order {
  readonly message: OutgoingMessage;
  /** Whether the topic may be made when it is not there: one that nobody takes a command from stays away. */
  readonly makesTopic: boolean;
  readonly envelope: Envelope | undefined;
}

/** A message on its way, until its outcome is known. */
interface Sending extends Order {
  readonly call: Call;
  /** In the outcomes of its call. */
  readonly place: number;
}

/** Those who wait for the outcomes of their messages. */
interface Call {
  readonly outcomes: PublishOutcome[];
  readonly sendings: Set<Sending>;
  /** Told why one of them is not known to be there. */
  readonly failed: (error: unknown) => void;
  readonly ended: () => void;
}

/** Publishes with one producer: of one key one message after the other, of different ones as many as the window holds. */
export class Publisher {
  private readonly keeper: Keeper;
  private producer: RocketmqProducer | undefined;
  /** Of one key and one call each. */
  private lines: Sending[][] = [];
  private readonly underWay = new Set<Sending>();
  private idle: () => void = () => undefined;
  private isClosing = false;
  private generation = 0;
  /** Why there is no producer. */
  problem: string | undefined = 'it has not been opened yet';

  constructor(private readonly parts: PublisherParts) {
    this.keeper = new Keeper(parts.context, {
      what: 'a producer',
      open: () => this.open(),
      failed: (error, delayMs) => this.failed(error, delayMs),
    });
  }

  get isBusy(): boolean {
    return this.lines.length + this.underWay.size > 0;
  }

  /** Resolves when it can publish. @throws HF_BROKER_REFUSED at once, else the last error at the time-out */
  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  /**
   * One outcome per message, in order, within the confirm's time-out. Within a key the order is that of the batch; after one that is rejected, or not known
   * to have arrived, those behind it are not sent: they are `unknown`.
   */
  publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    return this.call(batch.map((envelope) => ({ message: this.messageOf(envelope), makesTopic: envelope.kind === 'event', envelope })));
  }

  /** Publishes something that is no message of the bus; with the reason why it is not known to be there. */
  async put(message: OutgoingMessage): Promise<{ readonly outcome: PublishOutcome; readonly error: unknown }> {
    let error: unknown;
    const [outcome] = await this.call([{ message, makesTopic: false, envelope: undefined }], (reason) => {
      error = reason;
    });
    return { outcome: outcome as PublishOutcome, error };
  }

  /** Sends nothing new from now on, and waits for what is sent to be answered. */
  async drain(): Promise<void> {
    this.isClosing = true;
    for (const line of this.lines.splice(0)) this.leaveAll(line);
    if (this.underWay.size === 0) return;
    await new Promise<void>((resolve) => {
      this.idle = resolve;
    });
  }

  /** Lets go of the producer: what is not answered has an unknown outcome. */
  async stop(): Promise<void> {
    this.isClosing = true;
    await this.keeper.stop();
    this.leaveAll([...this.underWay, ...this.lines.splice(0).flat()]);
  }

  private messageOf(envelope: Envelope): OutgoingMessage {
    const { kind, destination = '', type } = envelope;
    if (kind !== 'reply') return toMessage(envelope, this.parts.names.topicOf(type));
    const [topic = '', tag] = destination.split('/');
    return { ...toMessage(envelope, topic), tag };
  }

  private async open(): Promise<RocketmqProducer> {
    const { client, settings } = this.parts;
    const producer = await client.openProducer();
    this.producer = producer;
    this.problem = undefined;
    this.generation += 1;
    emit('broker:connected', () => ({ ...facts(settings), generation: this.generation }));
    void producer.lost.then(() => {
      if (this.producer === producer) this.producer = undefined;
    });
    this.pump();
    return producer;
  }

  private failed(error: unknown, delayMs: number): void {
    const { settings, logger } = this.parts;
    this.problem = error instanceof Error ? error.message : String(error);
    const told = { ...facts(settings), error, delayMs };
    emit('broker:disconnected', () => told);
    logger.warn('there is no producer; it is tried again', told);
  }

  private call(orders: readonly Order[], failed: Call['failed'] = () => undefined): Promise<readonly PublishOutcome[]> {
    const outcomes = orders.map((): PublishOutcome => 'unknown');
    if (this.isClosing || orders.length === 0) return Promise.resolve(outcomes);
    const { context, settings } = this.parts;
    return new Promise((resolve) => {
      const timer = context.scheduler.after(settings.confirmTimeoutMs, () => this.giveUp(call), { keepsProcessAlive: true });
      const ended = () => {
        timer.cancel();
        resolve(outcomes);
      };
      const call: Call = { outcomes, sendings: new Set(), failed, ended };
      for (const [place, order] of orders.entries()) call.sendings.add({ ...order, call, place });
      this.line(call);
    });
  }

  /** Puts in line what has somewhere to go: at once where that is known, and where it is asked first, it holds up nothing else. */
  private line(call: Call): void {
    const { topology } = this.parts;
    const lines = new Map<string, Sending[]>();
    for (const sending of call.sendings) {
      const { message, place, envelope } = sending;
      const name = envelope?.key === undefined ? String(place) : `${message.topic}/${message.group}`;
      lines.set(name, [...(lines.get(name) ?? []), sending]);
    }
    // A line is of one topic.
    const isKnown = ([first]: readonly Sending[]) => first !== undefined && topology.isKnown(first.message.topic);
    const unknown = [...lines.values()].filter((line) => !isKnown(line));
    this.lines.push(...[...lines.values()].filter(isKnown));
    this.pump();
    if (unknown.length > 0) void this.ask(unknown);
  }

  private async ask(lines: readonly Sending[][]): Promise<void> {
    const all = lines.flat();
    await this.look(all);
    if (this.isClosing) return this.leaveAll(all);
    this.lines.push(...lines.filter((line) => line.some(isWaitedFor)));
    this.pump();
  }

  /** Settles those whose topic is not there, or of which that is not known. */
  private async look(sendings: readonly Sending[]): Promise<void> {
    const { topology, logger } = this.parts;
    const wanted = new Map<string, boolean>();
    for (const { message, makesTopic } of sendings) wanted.set(message.topic, makesTopic || wanted.get(message.topic) === true);
    try {
      const missing = await topology.missing(wanted);
      for (const sending of sendings) if (missing.has(sending.message.topic)) this.settle(sending, 'unroutable');
    } catch (error) {
      const isRefused = sendFailureOf(error) === 'refused';
      if (isRefused && wanted.size > 1) {
        for (const topic of wanted.keys()) await this.look(sendings.filter(({ message }) => message.topic === topic));
        return;
      }
      const unsettled = sendings.filter(({ message }) => !topology.isKnown(message.topic));
      if (!isRefused) logger.warn('it is not known whether the topics of messages are there; they are published again', { error });
      for (const sending of unsettled) this.settle(sending, isRefused ? 'rejected' : 'unknown', error);
    }
  }

  private pump(): void {
    while (this.producer !== undefined && this.underWay.size < WINDOW) {
      const line = this.lines.shift();
      if (line === undefined) return;
      void this.sendFirst(this.producer, line);
    }
  }

  private async sendFirst(producer: RocketmqProducer, line: Sending[]): Promise<void> {
    const sending = line.shift();
    if (sending === undefined || !isWaitedFor(sending)) return;
    this.underWay.add(sending);
    const outcome = await this.send(producer, sending);
    this.underWay.delete(sending);
    const isBlocked = outcome !== 'confirmed' && outcome !== 'unroutable';
    if (isBlocked || this.isClosing) this.leaveAll(line);
    else if (line.length > 0) this.lines.push(line);
    if (this.underWay.size === 0) this.idle();
    this.pump();
  }

  private async send(producer: RocketmqProducer, sending: Sending): Promise<PublishOutcome> {
    const { message, envelope, makesTopic } = sending;
    try {
      const problem = problemOf(message);
      if (problem !== undefined) throw hfError('HF_BROKER_LIMIT', { id: envelope?.id, type: envelope?.type, problem });
      await producer.send(message);
      return this.settle(sending, 'confirmed');
    } catch (error) {
      const failure = sendFailureOf(error);
      if (failure === 'refused') return this.settle(sending, 'rejected', error);
      if (failure === 'unknown') return this.settle(sending, 'unknown', error);
      this.parts.topology.forget([message.topic]);
      // One that may be made is made when it is published again.
      return this.settle(sending, makesTopic && this.parts.settings.topology === 'assert' ? 'unknown' : 'unroutable', error);
    }
  }

  private settle(sending: Sending, outcome: PublishOutcome, error?: unknown): PublishOutcome {
    if (!isWaitedFor(sending)) return outcome;
    const { call, place, envelope, message } = sending;
    call.outcomes[place] = outcome;
    if (error !== undefined) call.failed(error);
    if (envelope !== undefined && outcome !== 'confirmed') {
      const { id, source, type, key } = envelope;
      emit('message:unconfirmed', () => ({ id, source, type, key, outcome, error }));
    }
    if (outcome === 'rejected')
      this.parts.logger.error('a message cannot be sent to RocketMQ', {
        topic: message.topic,
        type: envelope?.type,
        id: envelope?.id,
        error,
      });
    leave(sending);
    return outcome;
  }

  /** A call has waited long enough. */
  private giveUp(call: Call): void {
    const { confirmTimeoutMs: timeoutMs } = this.parts.settings;
    this.leaveAll([...call.sendings], hfError('HF_BROKER_UNANSWERED', { request: 'a publish', timeoutMs }));
    this.lines = this.lines.filter((line) => line.some(isWaitedFor));
  }

  /** Those that were not sent, or of which nobody knows. */
  private leaveAll(sendings: readonly Sending[], error?: unknown): void {
    for (const sending of sendings) {
      if (error === undefined) leave(sending);
      else this.settle(sending, 'unknown', error);
    }
  }
}

function facts({ endpoint }: Settings) {
  return { transport: TRANSPORT, connection: 'publish' as const, address: endpoint };
}

function isWaitedFor(sending: Sending): boolean {
  return sending.call.sendings.has(sending);
}

/** Nobody waits for it any more. */
function leave(sending: Sending): void {
  const { call } = sending;
  call.sendings.delete(sending);
  if (call.sendings.size === 0) call.ended();
}

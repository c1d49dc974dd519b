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
import type { KafkaClient, KafkaProducer, OutgoingRecord } from './client.port.js';
import type { Names } from './names.js';
import { produceFailureOf } from './refusal.js';
import { type Settings, TRANSPORT } from './settings.js';
import type { Topics } from './topics.js';
import { bytesOf, toRecord } from './wire.js';

/** Of one request, which may be one batch of one partition: the broker's limit for that is a little above, unless it was told otherwise. */
const REQUEST_BYTES = 900_000;
/** Of one request. */
const REQUEST_RECORDS = 2000;

/** What a publisher works with. */
export interface PublisherParts {
  readonly context: KeeperContext;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly client: KafkaClient;
  readonly names: Names;
  readonly topics: Topics;
}

/** Those who wait for the outcomes of their messages. */
interface Call {
  readonly outcomes: PublishOutcome[];
  readonly sendings: Set<Sending>;
  /** Told why one of them is not known to be there. */
  readonly failed: (error: unknown) => void;
  readonly ended: () => void;
}

/** A message on its way, until its outcome is known. */
interface Sending {
  readonly call: Call;
  /** In the outcomes of its call. */
  readonly place: number;
  readonly record: OutgoingRecord;
  readonly bytes: number;
  /** Whether the topic may be made when it is not there: one that nobody takes a command from stays away. */
  readonly makesTopic: boolean;
  readonly envelope: Envelope | undefined;
  /** What it was sent together with was refused: by itself it is known whether it was this one. */
  isAlone: boolean;
}

/**
 * Publishes with an idempotent producer, one request at a time, into which goes all that has come meanwhile. Whether topics are there that are not known yet is asked
 * beside it, so that they hold up only what goes there, and what is behind it in its key. After a request whose outcome is not known the
 * producer is given up: the next one would take up its numbers, and the broker would drop new records as repeats of those that did arrive.
 */
export class Publisher {
  private readonly keeper: Keeper;
  private producer: KafkaProducer | undefined;
  private unsent: Sending[] = [];
  private underWay: readonly Sending[] = [];
  private pumping: Promise<void> | undefined;
  /** To topics that are not known yet, and those behind them. */
  private unasked: Sending[] = [];
  private inQuestion: readonly Sending[] = [];
  private asking: Promise<void> | undefined;
  private generation = 0;
  private isClosing = false;
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
    return this.waiting.length + this.underWay.length > 0;
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
    return this.call(
      batch.map((envelope) => ({
        record: toRecord(envelope, this.parts.names.topicFor(envelope)),
        makesTopic: envelope.kind === 'event',
        envelope,
      })),
    );
  }

  /** Publishes something that is no message of the bus; with the reason why it is not known to be there. */
  async put(record: OutgoingRecord): Promise<{ readonly outcome: PublishOutcome; readonly error: unknown }> {
    let error: unknown;
    const [outcome] = await this.call([{ record, makesTopic: true, envelope: undefined }], (reason) => {
      error = reason;
    });
    return { outcome: outcome as PublishOutcome, error };
  }

  /** Sends nothing new from now on, and waits for what is sent to be answered. */
  async drain(): Promise<void> {
    this.isClosing = true;
    for (const sending of this.takeWaiting()) this.settle(sending, 'unknown');
    while (this.pumping !== undefined) await this.pumping;
  }

  /** Lets go of the producer: what is not answered has an unknown outcome. */
  async stop(): Promise<void> {
    this.isClosing = true;
    await this.keeper.stop();
    for (const sending of [...this.underWay, ...this.takeWaiting()]) this.settle(sending, 'unknown');
  }

  private get waiting(): readonly Sending[] {
    return [...this.unsent, ...this.unasked, ...this.inQuestion].filter(isWaitedFor);
  }

  /** From now on they are not sent. */
  private takeWaiting(): readonly Sending[] {
    const { waiting } = this;
    this.unsent = [];
    this.unasked = [];
    return waiting;
  }

  private async open(): Promise<KafkaProducer> {
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

  private call(
    messages: readonly Pick<Sending, 'record' | 'makesTopic' | 'envelope'>[],
    failed: Call['failed'] = () => undefined,
  ): Promise<readonly PublishOutcome[]> {
    const outcomes = messages.map((): PublishOutcome => 'unknown');
    if (this.isClosing || messages.length === 0) return Promise.resolve(outcomes);
    const { context, settings } = this.parts;
    return new Promise((resolve) => {
      const timer = context.scheduler.after(settings.confirmTimeoutMs, () => this.giveUp(call), { keepsProcessAlive: true });
      const ended = () => {
        timer.cancel();
        resolve(outcomes);
      };
      const call: Call = { outcomes, sendings: new Set(), failed, ended };
      for (const [place, message] of messages.entries())
        call.sendings.add({ ...message, call, place, bytes: bytesOf(message.record), isAlone: false });
      this.line(call);
      this.pump();
    });
  }

  private line({ sendings }: Call): void {
    const held = new Set<string>();
    for (const sending of sendings) {
      const { key, topic } = sending.record;
      const name = key?.toString('latin1');
      const isHeld = !this.parts.topics.isKnown(topic) || (name !== undefined && held.has(name));
      if (isHeld && name !== undefined) held.add(name);
      if (isHeld) this.unasked.push(sending);
      else this.unsent.push(sending);
    }
  }

  private pump(): void {
    this.ask();
    if (this.pumping !== undefined || this.producer === undefined || this.unsent.length === 0) return;
    this.pumping = this.sendNext(this.producer).finally(() => {
      this.pumping = undefined;
      this.underWay = [];
      this.pump();
    });
  }

  private ask(): void {
    if (this.asking !== undefined || this.producer === undefined || this.unasked.length === 0) return;
    const sendings = this.unasked.splice(0).filter(isWaitedFor);
    this.inQuestion = sendings;
    this.asking = this.look(sendings).finally(() => {
      this.asking = undefined;
      this.inQuestion = [];
      this.unsent.push(...sendings.filter(isWaitedFor));
      this.pump();
    });
  }

  /** Settles those whose topic is not there, or of which that is not known. */
  private async look(sendings: readonly Sending[]): Promise<void> {
    const wanted = new Map<string, boolean>();
    for (const { record, makesTopic } of sendings) wanted.set(record.topic, makesTopic || wanted.get(record.topic) === true);
    try {
      const missing = await this.parts.topics.missing(wanted);
      for (const sending of sendings) if (missing.has(sending.record.topic)) this.settle(sending, 'unroutable');
    } catch (error) {
      const isRefused = produceFailureOf(error) === 'refused';
      if (isRefused && wanted.size > 1) {
        for (const topic of wanted.keys()) await this.look(sendings.filter(({ record }) => record.topic === topic));
        return;
      }
      const outcome = isRefused ? 'rejected' : 'unknown';
      for (const sending of sendings) if (!this.parts.topics.isKnown(sending.record.topic)) this.settle(sending, outcome, error);
    }
  }

  private async sendNext(producer: KafkaProducer): Promise<void> {
    const sendings = this.nextRequest();
    this.underWay = sendings;
    try {
      await producer.send(sendings.map(({ record }) => record));
      for (const sending of sendings) this.settle(sending, 'confirmed');
    } catch (error) {
      this.unsettled(sendings, error);
    }
  }

  /** As many as fit into one request. */
  private nextRequest(): readonly Sending[] {
    let bytes = 0;
    let count = 0;
    for (const sending of this.unsent) {
      bytes += sending.bytes;
      if (count > 0 && (bytes > REQUEST_BYTES || count === REQUEST_RECORDS || sending.isAlone)) break;
      count += 1;
      if (sending.isAlone) break;
    }
    return this.unsent.splice(0, count);
  }

  private unsettled(sendings: readonly Sending[], error: unknown): void {
    const failure = produceFailureOf(error);
    if (failure === 'no-topic') this.parts.topics.forget(sendings.map(({ record }) => record.topic));
    if (failure === 'refused' && sendings.length > 1) {
      // One of them, or some; the others may be there already, and repeats are allowed.
      for (const sending of sendings) sending.isAlone = true;
      this.unsent.unshift(...sendings.filter(isWaitedFor));
      return;
    }
    for (const sending of sendings) this.settle(sending, failure === 'refused' ? 'rejected' : 'unknown', error);
  }

  private settle(sending: Sending, outcome: PublishOutcome, error?: unknown): void {
    if (!isWaitedFor(sending)) return;
    const { call, place, envelope, record } = sending;
    call.outcomes[place] = outcome;
    if (error !== undefined) call.failed(error);
    if (envelope !== undefined && outcome !== 'confirmed') {
      const { id, source, type, key } = envelope;
      emit('message:unconfirmed', () => ({ id, source, type, key, outcome, error }));
      if (outcome === 'rejected') this.parts.logger.error('a message cannot be sent to Kafka', { type, id, error });
    }
    leave(sending);
    if (record.key === null || outcome === 'confirmed' || outcome === 'unroutable') return;
    const { key } = record;
    const isBehind = (each: Sending) => each.call === call && each.place > place && each.record.key?.equals(key) === true;
    for (const behind of this.waiting.filter(isBehind)) leave(behind);
    this.unsent = this.unsent.filter(isWaitedFor);
  }

  /** A call has waited long enough. */
  private giveUp(call: Call): void {
    const { confirmTimeoutMs: timeoutMs } = this.parts.settings;
    const error = hfError('HF_BROKER_UNANSWERED', { request: 'a publish', timeoutMs });
    for (const sending of [...call.sendings]) this.settle(sending, 'unknown', error);
    this.unsent = this.unsent.filter(isWaitedFor);
  }
}

/** In their order, as many in each as fit into one request. */
export function requestsOf(records: readonly OutgoingRecord[]): readonly (readonly OutgoingRecord[])[] {
  const requests: OutgoingRecord[][] = [];
  let bytes = 0;
  for (const record of records) {
    const size = bytesOf(record);
    const last = requests.at(-1);
    const isFull = last === undefined || bytes + size > REQUEST_BYTES || last.length === REQUEST_RECORDS;
    bytes = isFull ? size : bytes + size;
    if (isFull) requests.push([record]);
    else last.push(record);
  }
  return requests;
}

function facts({ address }: Settings) {
  return { transport: TRANSPORT, connection: 'publish' as const, address };
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

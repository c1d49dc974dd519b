import { within } from '@holdfast/core';
import type { KafkaProducer, OutgoingRecord } from './client.port.js';
import { type ConfluentParts, connected, disconnected } from './confluent-connection.js';
import { named } from './confluent-errors.js';
import type { NativeError, NativeProducer } from './confluent-library.js';
import { produceFailureOf } from './refusal.js';

/** The record goes where its key says. */
const ANY_PARTITION = -1;
/** Made when it is appended, or produced. */
const NOW = 0;

/** Somebody who waits for a record. */
interface Waiting {
  readonly arrived: () => void;
  readonly failed: (error: unknown) => void;
}

/** A producer of librdkafka: idempotent, and in order also over several requests at once. */
export class ConfluentProducer implements KafkaProducer {
  readonly lost: Promise<unknown>;
  private lose: (reason: unknown) => void = () => undefined;
  private ending: Promise<void> | undefined;

  constructor(
    private readonly producer: NativeProducer,
    private readonly parts: ConfluentParts,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
  }

  async connect(): Promise<void> {
    await connected(this.producer, this.parts);
    listen(this.producer);
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    try {
      await produce(this.producer, records, this.parts);
    } catch (error) {
      this.lose(error);
      throw error;
    }
  }

  end(): Promise<void> {
    this.lose(new Error('the producer was ended'));
    this.ending ??= disconnected(this.producer, this.parts);
    return this.ending;
  }
}

/** Tells those who wait for their records, from a thread of its own. */
export function listen(producer: NativeProducer): void {
  producer.setPollInBackground(true);
  producer.on('delivery-report', ((error: NativeError | null, { opaque }: { readonly opaque: Waiting }) => {
    if (error) opaque.failed(named(error));
    else opaque.arrived();
  }) as (...told: never[]) => void);
}

/**
 * Resolves when all replicas in sync have all of them; rejects when each of them has ended, one way or the other, and with the refusal if there was one: those behind it only
 * say that they were not sent.
 */
export async function produce(
  producer: NativeProducer,
  records: readonly OutgoingRecord[],
  { scheduler, settings }: ConfluentParts,
): Promise<void> {
  const reports = records.map(
    ({ topic, key, value, headers }) =>
      new Promise<void>((arrived, failed) => {
        try {
          producer.produce(topic, ANY_PARTITION, value, key, NOW, { arrived, failed }, listOf(headers));
        } catch (error) {
          failed(named(error));
        }
      }),
  );
  const ended = Promise.allSettled(reports).then((outcomes) => {
    const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    if (reasons.length > 0) throw reasons.find((reason) => produceFailureOf(reason) === 'refused') ?? reasons[0];
  });
  // It ends its tries by itself after the time-out, and says so a little later.
  const timeoutMs = settings.confirmTimeoutMs + settings.requestTimeoutMs;
  await within(scheduler, { request: 'a produce request', timeoutMs }, ended);
}

/** A header that is there several times is as many. */
function listOf(headers: OutgoingRecord['headers']): readonly Readonly<Record<string, Buffer>>[] {
  return Object.entries(headers).flatMap(([name, each]) => [each].flat().map((one) => ({ [name]: one as Buffer })));
}

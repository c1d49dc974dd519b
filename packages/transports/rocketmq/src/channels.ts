import { unzipSync } from 'node:zlib';
import { hfError } from '@holdfast/core';
import { ChannelCredentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { type BaseClient, type Endpoints, type ILogger, Producer, RpcClientManager } from 'rocketmq-client-nodejs';
import { Encoding, type MessageQueue, Permission } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb';
import { MessagingServiceClient } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_grpc_pb';
import type { ReceiveMessageResponse } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb';
import { handleOver } from './refusal.js';

/** A body that becomes larger is left as it is: what a sender says of its size is not believed. */
const MOST_UNPACKED = 32 * 2 ** 20;

/** Where the broker would note what was received, for a group that keeps an order. */
const IN_ORDER = '999';

type Manager = RpcClientManager;
type Request<Name extends keyof Manager> = Manager[Name] extends (endpoints: Endpoints, request: infer Body, ms: number) => unknown
  ? Body
  : never;
type Ask<Answer> = (client: MessagingServiceClient, terms: Terms<Answer>) => unknown;
/** What every request of gRPC goes with. */
type Terms<Answer> = readonly [Metadata, { readonly deadline: number }, (error: ServiceError | null, answer: Answer) => void];

/**
 * The connections of one client, one to each address. The client's own are shared by all clients of a process, so that one made anew gets the connection
 * again that has just hung; and with each look for the routes it opens another one beside those it has.
 */
export class Channels extends RpcClientManager {
  private readonly open = new Map<string, MessagingServiceClient>();
  private isShut = false;

  /** @param silent is told when the client's heartbeat, every ten seconds, is not answered; the client itself takes no notice */
  constructor(
    private readonly owner: BaseClient,
    logger: ILogger,
    private readonly silent: (error: unknown) => void,
  ) {
    super(owner, logger);
  }

  override async queryRoute(
    endpoints: Endpoints,
    request: Request<'queryRoute'>,
    ms: number,
  ): Promise<Awaited<ReturnType<Manager['queryRoute']>>> {
    const answer = await this.ask<Awaited<ReturnType<Manager['queryRoute']>>>(endpoints, ms, (client, terms) =>
      client.queryRoute(request, ...terms),
    );
    numberFor(this.owner instanceof Producer ? Permission.WRITE : Permission.READ, answer.getMessageQueuesList());
    return answer;
  }

  override heartbeat(endpoints: Endpoints, request: Request<'heartbeat'>, ms: number): ReturnType<Manager['heartbeat']> {
    const answer: ReturnType<Manager['heartbeat']> = this.ask(endpoints, ms, (client, terms) => client.heartbeat(request, ...terms));
    answer.catch(this.silent);
    return answer;
  }

  override sendMessage(endpoints: Endpoints, request: Request<'sendMessage'>, ms: number): ReturnType<Manager['sendMessage']> {
    return this.ask(endpoints, ms, (client, terms) => client.sendMessage(request, ...terms));
  }

  override ackMessage(endpoints: Endpoints, request: Request<'ackMessage'>, ms: number): ReturnType<Manager['ackMessage']> {
    return this.ask(endpoints, ms, (client, terms) => client.ackMessage(request, ...terms));
  }

  override async changeInvisibleDuration(
    endpoints: Endpoints,
    request: Request<'changeInvisibleDuration'>,
    ms: number,
  ): ReturnType<Manager['changeInvisibleDuration']> {
    const answer = await this.ask<Awaited<ReturnType<Manager['changeInvisibleDuration']>>>(endpoints, ms, (client, terms) =>
      client.changeInvisibleDuration(request, ...terms),
    );
    const handles = { before: request.getReceiptHandle(), after: answer.getReceiptHandle() };
    if (!isInTime(handles, secondsIn(request) * 1000)) throw handleOver();
    answer.setReceiptHandle(ofOneAlone(handles.after));
    return answer;
  }

  override notifyClientTermination(
    endpoints: Endpoints,
    request: Request<'notifyClientTermination'>,
    ms: number,
  ): ReturnType<Manager['notifyClientTermination']> {
    return this.ask(endpoints, ms, (client, terms) => client.notifyClientTermination(request, ...terms));
  }

  override async receiveMessage(endpoints: Endpoints, request: Request<'receiveMessage'>, ms: number): Promise<ReceiveMessageResponse[]> {
    const answers: ReceiveMessageResponse[] = [];
    const stream = this.clientOf(endpoints).receiveMessage(request, this.owner.getRequestMetadata(), { deadline: Date.now() + ms });
    for await (const answer of stream) answers.push(unpacked(answer as ReceiveMessageResponse));
    return answers;
  }

  override telemetry(endpoints: Endpoints, metadata: Metadata): ReturnType<Manager['telemetry']> {
    return this.clientOf(endpoints).telemetry(metadata);
  }

  override close(): void {
    super.close();
    this.isShut = true;
    for (const client of this.open.values()) client.close();
    this.open.clear();
  }

  private ask<Answer>(endpoints: Endpoints, ms: number, ask: Ask<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const answered = (error: ServiceError | null, answer: Answer) => (error === null ? resolve(answer) : reject(error));
      ask(this.clientOf(endpoints), [this.owner.getRequestMetadata(), { deadline: Date.now() + ms }, answered]);
    });
  }

  private clientOf(endpoints: Endpoints): MessagingServiceClient {
    if (this.isShut) throw hfError('HF_STOPPING', { activity: 'a client' });
    const address = endpoints.getGrpcTarget();
    let client = this.open.get(address);
    if (client === undefined) {
      const credentials = this.owner.sslEnabled ? ChannelCredentials.createSsl() : ChannelCredentials.createInsecure();
      client = new MessagingServiceClient(address, credentials, { 'grpc.use_local_subchannel_pool': 1 });
      this.open.set(address, client);
    }
    return client;
  }
}

/**
 * Sees to it that of each broker the queue with the number 0 is one that may be read, or written. It is all that the client takes of a broker, and it only says
 * where the broker is: which of its queues is meant is for the proxy to say. Where a topic has not as many queues to be read as to be written, the proxy
 * begins to count with those that are only one of it.
 */
export function numberFor(wanted: Permission, queues: readonly MessageQueue[]): void {
  const suiting = queues.filter((queue) => [wanted, Permission.READ_WRITE].includes(queue.getPermission()));
  const brokerOf = (queue: MessageQueue) => queue.getBroker()?.getName();
  const numbered = new Set(suiting.filter((queue) => queue.getId() === 0).map(brokerOf));
  for (const queue of suiting) {
    if (!numbered.has(brokerOf(queue))) queue.setId(0);
    numbered.add(brokerOf(queue));
  }
}

/**
 * What a broker notes of a message that is kept away for longer begins with that message. The handle that a proxy makes of it where broker and proxy are one
 * process (5.5.0) begins with the first of those it was received with: whatever is asked with it would be done to nothing, and the message would come again
 * as often as it was kept. Where order is kept nothing is noted of single messages.
 */
export function ofOneAlone(handle: string): string {
  const parts = handle.split(' ');
  const [begin, , , notes, , , , offset] = parts;
  const isKnown = [begin, notes, offset].every((part) => /^\d+$/.test(part ?? ''));
  return isKnown && notes !== IN_ORDER ? [offset, ...parts.slice(1)].join(' ') : handle;
}

/**
 * Whether a message was kept before its time was over, by the clock of the broker, which is in the handles: when it came into hand, and for how long. That
 * the proxy has let a request pass does not say so: it goes by a clock of its own, and the broker itself does not refuse one that comes too late.
 *
 * @param ms for how long it is kept from then on
 */
export function isInTime({ before, after }: { readonly before: string; readonly after: string }, ms: number): boolean {
  const [fromMs = Number.NaN, untilMs = Number.NaN] = timesIn(before);
  const [, keptUntilMs = Number.NaN] = timesIn(after);
  const keptMs = keptUntilMs - ms;
  // A handle that cannot be read is the proxy's to judge.
  return Number.isNaN(fromMs + untilMs + keptMs) || (fromMs <= keptMs && keptMs < untilMs);
}

function timesIn(handle: string): readonly [number, number] {
  const [, since, length] = handle.split(' ').map((part) => Number(part || Number.NaN));
  return [Number(since), Number(since) + Number(length)];
}

function secondsIn(request: Request<'changeInvisibleDuration'>): number {
  const { seconds = 0, nanos = 0 } = request.getInvisibleDuration()?.toObject() ?? {};
  return seconds + nanos / 1e9;
}

/**
 * With its body as it was sent. The client does that itself, and gives up everything that came together when one cannot be unpacked; clients that speak
 * RocketMQ's older protocol pack in another way than it expects.
 */
function unpacked(answer: ReceiveMessageResponse): ReceiveMessageResponse {
  const message = answer.getMessage();
  const properties = message?.getSystemProperties();
  if (message === undefined || properties?.getBodyEncoding() !== Encoding.GZIP) return answer;
  properties.setBodyEncoding(Encoding.IDENTITY);
  try {
    message.setBody(unzipSync(message.getBody_asU8(), { maxOutputLength: MOST_UNPACKED }));
  } catch {
    // Whoever reads it says that it cannot be read.
  }
  return answer;
}

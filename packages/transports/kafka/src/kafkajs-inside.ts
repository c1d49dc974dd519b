import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { hfError } from '@holdfast/core';
import type { Kafka } from 'kafkajs';
import type { FetchedPartition } from './committed-only.js';

/** A broker, as kafkajs has it inside. */
export interface Broker {
  fetch(...args: readonly unknown[]): Promise<{ readonly responses: readonly { readonly partitions: readonly FetchedPartition[] }[] }>;
  readonly nodeId: unknown;
  isConnected(): boolean;
  joinGroup(request: JoinRequest): Promise<{ readonly memberId: string; readonly generationId: number }>;
  offsetCommit(request: CommitRequest): Promise<unknown>;
  leaveGroup(request: JoinRequest): Promise<unknown>;
  /** Gives the maker of a request, in a version that this broker knows; another function after each connect. */
  lookupRequest: (apiKey: number, definition: unknown) => (content: never) => MadeRequest;
  /** Its answer is what `response` makes of it. */
  readonly connectionPool: {
    readonly host: string;
    readonly port: number;
    readonly pool: readonly { readonly socket?: Pick<Socket, 'writableEnded' | 'destroy'> }[];
    send(made: MadeRequest): Promise<unknown>;
  };
  /** Once what is asked of it is answered, or has timed out. */
  disconnect(): Promise<unknown>;
}

/** Who wants to be a member of a group; without an id it gets a new one. */
export interface JoinRequest {
  readonly groupId: string;
  readonly memberId: string;
}

/** Where a group is to stand, as one of its members says it. */
export interface CommitRequest {
  readonly groupId: string;
  readonly memberId: string;
  /** Another one each time that partitions were given: what a member of an earlier one says is refused. */
  readonly groupGenerationId: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly offset: string; readonly metadata: string | null }[];
  }[];
}

/** A request, and how its answer is read. */
export interface MadeRequest {
  readonly request: { readonly apiKey: number; readonly apiVersion: number; readonly apiName: string; encode: () => Promise<Encoded> };
  readonly response: unknown;
}

/** What is sent. It is recognised by `buf`. */
export interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

/** Which broker looks after something, as a broker says it. */
export interface CoordinatorAnswer {
  readonly coordinator: { readonly nodeId: unknown };
}

/** Whom kafkajs asks about: a group, or a transactional id. */
export interface CoordinatorQuestion {
  readonly groupId: string;
  readonly coordinatorType?: number;
}

/** The brokers that one producer, consumer or admin knows. */
export interface Cluster {
  findBroker(place: unknown): Promise<Broker>;
  refreshMetadata(): Promise<unknown>;
  findGroupCoordinatorMetadata(question: CoordinatorQuestion): Promise<CoordinatorAnswer>;
  /** Connected. */
  findGroupCoordinator(question: CoordinatorQuestion): Promise<Broker>;
}

/** What is done inside was tried with this one. */
const VERSION = '2.2.4';

/** @throws HF_INVARIANT when another one is installed */
export function checkKafkajs(load: (name: string) => unknown = createRequire(__filename)): void {
  const { version } = load('kafkajs/package.json') as { readonly version: string };
  if (version !== VERSION)
    throw hfError('HF_INVARIANT', { fact: `kafkajs is ${version}, and this transport works inside ${VERSION}; install that one` });
}

const CREATE_CLUSTER = 'private:Kafka:createCluster';

/**
 * Shows what each producer, consumer and admin of a kafkajs has inside, when it is made. Only that one is touched, and no other user of kafkajs in the process.
 *
 * @throws HF_INVARIANT with a kafkajs that is made otherwise
 */
export function eachCluster(kafka: Kafka, visit: (cluster: Cluster) => void): void {
  const name = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === CREATE_CLUSTER);
  const inside = kafka as unknown as Record<symbol, (options: unknown) => Cluster>; // what it does not show
  const create = name && inside[name];
  if (name === undefined || create === undefined)
    throw hfError('HF_INVARIANT', { fact: 'kafkajs is not the version that this transport was made for' });
  inside[name] = (options) => {
    const cluster = create(options);
    visit(cluster);
    return cluster;
  };
}

/**
 * Makes things of a kafkajs, each with what it has inside.
 *
 * @throws HF_INVARIANT when that is not seen
 */
export function withInside(kafka: Kafka): <T>(make: () => T) => readonly [T, Cluster] {
  const seen: Cluster[] = [];
  eachCluster(kafka, (cluster) => {
    seen[0] = cluster;
  });
  return (make) => {
    seen.length = 0;
    const made = make();
    const [cluster] = seen;
    if (cluster === undefined) throw hfError('HF_INVARIANT', { fact: 'kafkajs has made something without connections of its own' });
    return [made, cluster];
  };
}

/** Shows a broker each time it is looked for, when it is connected, and whose it is. */
export function eachBroker(kafka: Kafka, visit: (broker: Broker, cluster: Cluster) => void): void {
  eachCluster(kafka, (cluster) => {
    const find = cluster.findBroker.bind(cluster);
    cluster.findBroker = async (place) => {
      const broker = await find(place);
      visit(broker, cluster);
      return broker;
    };
  });
}

import { createRequire } from 'node:module';
import { OFFSET_FETCH, SETTLING_VERSION, tooOld } from './broker-versions.js';
import type { Place } from './client.port.js';
import type { Cluster, Encoded, MadeRequest } from './kafkajs-inside.js';

/** Where a group stands in one partition, as the broker says it; below 0: nowhere. */
export interface GroupOffset {
  readonly partition: number;
  readonly offset: string;
  readonly metadata: string | null;
  readonly errorCode: number;
}

/** What kafkajs writes requests with. */
interface Encoder extends Encoded {
  writeBoolean(value: boolean): this;
  writeInt32(value: number): this;
  writeUVarIntString(value: string): this;
  writeUVarIntArray(values: readonly Encoder[]): this;
  /** With nothing: no tagged fields. */
  writeUVarIntBytes(): this;
}

/** What kafkajs reads answers with. */
interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readUVarIntString(): string | null;
  readUVarIntArray<T>(read: (decoder: Decoder) => T): readonly T[] | null;
  readTaggedFields(): unknown;
}

const load = createRequire(__filename);
const NewEncoder = load('kafkajs/src/protocol/encoder') as new () => Encoder;
const NewDecoder = load('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder;
const { createErrorFromCode } = load('kafkajs/src/protocol/error') as { readonly createErrorFromCode: (code: number) => Error };

/**
 * Where a group stands. While a transaction is under way that moves it, and while what its coordinator knows is not on all replicas in sync, there is no answer, or it is refused as
 * UNSTABLE_OFFSET_COMMIT. As kafkajs asks, the answer would be what was there before.
 *
 * @throws HF_CAPABILITY_UNSUPPORTED when the broker is too old for it
 * @source KIP-447, OffsetFetch 7: require_stable
 */
export async function settledPosition(cluster: Cluster, group: string, place: Place): Promise<GroupOffset | undefined> {
  const coordinator = await cluster.findGroupCoordinator({ groupId: group });
  const make = coordinator.lookupRequest(OFFSET_FETCH, { versions: [SETTLING_VERSION], protocol: requestOf }) as Maker;
  return (await coordinator.connectionPool.send(make({ group, place }))) as GroupOffset | undefined;
}

type Maker = (question: { readonly group: string; readonly place: Place }) => MadeRequest;

function requestOf({ version }: { readonly version: number }): Maker {
  if (version < SETTLING_VERSION) throw tooOld();
  return ({ group, place }) => ({
    request: { apiKey: OFFSET_FETCH, apiVersion: SETTLING_VERSION, apiName: 'OffsetFetch', encode: async () => encode(group, place) },
    response: { decode: async (buffer: Buffer) => decode(new NewDecoder(buffer)), parse: async (answer: Answer) => positionIn(answer) },
  });
}

/** The first byte ends the head of the request, which has no tagged fields. */
function encode(group: string, { topic, partition }: Place): Encoded {
  const partitions = [new NewEncoder().writeInt32(partition)];
  const ofTopic = new NewEncoder().writeUVarIntString(topic).writeUVarIntArray(partitions).writeUVarIntBytes();
  return new NewEncoder().writeUVarIntBytes().writeUVarIntString(group).writeUVarIntArray([ofTopic]).writeBoolean(true).writeUVarIntBytes();
}

interface Answer {
  readonly offsets: readonly GroupOffset[];
  readonly errorCode: number;
}

function decode(decoder: Decoder): Answer {
  decoder.readTaggedFields();
  decoder.readInt32(); // throttle time
  const topics = decoder.readUVarIntArray(() => {
    decoder.readUVarIntString();
    const offsets = decoder.readUVarIntArray(decodeOffset) ?? [];
    decoder.readTaggedFields();
    return offsets;
  });
  return { offsets: topics?.flat() ?? [], errorCode: decoder.readInt16() };
}

function decodeOffset(decoder: Decoder): GroupOffset {
  const partition = decoder.readInt32();
  const offset = decoder.readInt64().toString();
  decoder.readInt32(); // leader epoch
  const metadata = decoder.readUVarIntString();
  const errorCode = decoder.readInt16();
  decoder.readTaggedFields();
  return { partition, offset, metadata, errorCode };
}

function positionIn({ offsets, errorCode }: Answer): GroupOffset | undefined {
  const [offset] = offsets;
  const code = errorCode || offset?.errorCode || 0;
  if (code !== 0) throw createErrorFromCode(code);
  return offset;
}

import { DEFAULT_TRANSPORT, RELAY_SCOPE } from '@holdfast/core';
import { branches, choreography, sagaArrivals, sagaLists, sagas } from './saga-tables.js';
import type { Tables } from './tables.js';

/** One step of the schema. Steps are only added, never changed, and the code of one version reads the tables of the one before. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  statements(tables: Tables, lanes: number): readonly string[];
}

/** All steps, oldest first. */
export const MIGRATIONS: readonly Migration[] = [
  { version: 1, name: 'the log, cursors, inbox, stored deliveries, nodes', statements: initial },
  { version: 2, name: 'leases of lanes, parked messages', statements: (t) => [...leases(t), ...parked(t)] },
  { version: 3, name: 'replies between processes of one database', statements: replies },
  { version: 4, name: 'receipts', statements: receipts },
  { version: 5, name: 'types that processes take', statements: takenTypes },
  { version: 6, name: 'a log that was moved to a broker', statements: carrier },
  { version: 7, name: 'lanes of further transports', statements: furtherTransports },
  { version: 8, name: 'half messages and guard rows', statements: (t) => [...halfMessages(t), ...guards(t)] },
  { version: 9, name: 'sagas', statements: sagas },
  { version: 10, name: 'what comes for sagas from elsewhere, business keys that they hold', statements: sagaArrivals },
  { version: 11, name: 'choreographed sagas', statements: choreography },
  { version: 12, name: 'branches of try-confirm-cancel', statements: branches },
  { version: 13, name: 'lists of sagas have an index of their own', statements: sagaLists },
];

/** Version this code reads and writes. */
export const SCHEMA_VERSION = (MIGRATIONS.at(-1) as Migration).version;

function initial(t: Tables, lanes: number): readonly string[] {
  return [...log(t), ...lanesOf(t, lanes), ...subscriptions(t), ...deliveries(t), ...operations(t)];
}

function log(t: Tables): string[] {
  return [
    `create table ${t.lane} (
      lane smallint primary key,
      trimmed_to bigint not null default 0,
      dead int8multirange not null default '{}',
      relay_position bigint,
      relay_holes int8multirange not null default '{}'
    ) with (fillfactor = 50)`,
    `create table ${t.outbox} (
      lane smallint not null,
      id bigint not null,
      written_at timestamptz not null default clock_timestamp(),
      type text not null,
      key text,
      attributes text not null,
      body bytea not null,
      primary key (lane, id)
    )`,
    `create table ${t.scheduled} (
      id bigint generated always as identity primary key,
      due_at timestamptz not null,
      lane smallint not null,
      type text not null,
      key text,
      attributes text not null,
      body bytea not null
    )`,
    `create index on ${t.scheduled} (due_at, id)`,
    `create sequence ${t.probe} cache 1`,
  ];
}

function lanesOf(t: Tables, lanes: number): string[] {
  const each = Array.from({ length: lanes }, (_, lane) => lane);
  return [
    ...each.map((lane) => `create sequence ${t.sequence(lane)} cache 1`),
    `insert into ${t.lane} (lane) values ${each.map((lane) => `(${lane})`).join(', ')}`,
  ];
}

function subscriptions(t: Tables): string[] {
  return [
    `create table ${t.subscription} (
      id integer generated always as identity primary key,
      service text not null,
      name text not null,
      types text[] not null,
      state text not null default 'active' check (state in ('active', 'paused', 'retired')),
      ordering text not null default 'none',
      is_handler boolean not null default true,
      served_by uuid[] not null default '{}',
      last_death_at timestamptz not null default '-infinity',
      created_at timestamptz not null default clock_timestamp(),
      unique (service, name)
    )`,
    `create table ${t.cursor} (
      subscription_id integer not null references ${t.subscription} (id) on delete cascade,
      lane smallint not null,
      position bigint not null,
      holes int8multirange not null default '{}',
      moved_at timestamptz not null default clock_timestamp(),
      owner_token uuid,
      lease_until timestamptz,
      primary key (subscription_id, lane)
    ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000)`,
    `create table ${t.inbox} (
      subscription_id integer not null,
      source text not null,
      message_id text not null,
      status text not null default 'done' check (status in ('done', 'claimed', 'cancelled', 'compensated')),
      expires_at timestamptz not null,
      owner_token uuid,
      lease_until timestamptz,
      result text,
      primary key (subscription_id, source, message_id)
    )`,
    `create index on ${t.inbox} using brin (expires_at) with (pages_per_range = 32)`,
  ];
}

function deliveries(t: Tables): string[] {
  return [
    `create table ${t.delivery} (
      id bigint generated always as identity primary key,
      subscription_id integer not null references ${t.subscription} (id) on delete cascade,
      state text not null check (state in ('retry', 'waiting', 'dead', 'invalid')),
      source text,
      message_id text,
      type text not null,
      key text,
      attempts integer not null default 0,
      next_attempt_at timestamptz not null,
      is_suspect boolean not null default false,
      counted_by uuid,
      has_consent boolean not null default false,
      written_at timestamptz,
      failed_at timestamptz not null default clock_timestamp(),
      error_code text,
      error_type text,
      error_message text,
      error_stack text,
      fingerprint text,
      attributes text not null,
      body bytea not null
    ) with (fillfactor = 70)`,
    `create index on ${t.delivery} (subscription_id, next_attempt_at, failed_at) where state = 'retry' and not is_suspect`,
    `create index on ${t.delivery} (subscription_id, next_attempt_at) where state = 'retry' and is_suspect`,
    `create index on ${t.delivery} (subscription_id, key, id) where key is not null`,
    `create index on ${t.delivery} (subscription_id, key, id) where state = 'waiting'`,
    `create index on ${t.delivery} (subscription_id, message_id)`,
    `create index on ${t.delivery} (failed_at) where state in ('dead', 'invalid')`,
  ];
}

function operations(t: Tables): string[] {
  return [
    `create table ${t.node} (
      id uuid primary key,
      service text not null,
      started_at timestamptz not null default clock_timestamp(),
      seen_at timestamptz not null default clock_timestamp()
    )`,
    `create table ${t.audit} (
      id bigint generated always as identity primary key,
      at timestamptz not null default clock_timestamp(),
      service text not null,
      actor text not null,
      action text not null,
      target text not null,
      reason text
    )`,
  ];
}

function leases(t: Tables): string[] {
  return [
    `create table ${t.lease} (
      scope text not null,
      part integer not null,
      owner_token uuid,
      node_id uuid,
      lease_until timestamptz,
      primary key (scope, part)
    ) with (fillfactor = 50)`,
    `create table ${t.leaseMember} (
      scope text not null,
      node_id uuid not null,
      seen_until timestamptz not null,
      primary key (scope, node_id)
    )`,
    `insert into ${t.lease} (scope, part) select '${RELAY_SCOPE}', lane from ${t.lane}`,
  ];
}

function parked(t: Tables): string[] {
  return [
    `create table ${t.parked} (
      id bigint generated always as identity primary key,
      lane smallint not null,
      row_id bigint not null,
      written_at timestamptz not null,
      type text not null,
      key text,
      attributes text not null,
      body bytea not null,
      reason text not null check (reason in ('rejected', 'unroutable', 'unconfirmed', 'unreadable', 'behind')),
      error text,
      attempts integer not null default 0,
      next_attempt_at timestamptz,
      parked_at timestamptz not null default clock_timestamp()
    )`,
    `create index on ${t.parked} (lane, key, row_id, id)`,
    `create index on ${t.parked} (next_attempt_at) where key is null`,
  ];
}

function replies(t: Tables): string[] {
  return [
    `create table ${t.reply} (
      id bigint generated always as identity primary key,
      address text not null,
      written_at timestamptz not null default clock_timestamp(),
      attributes text not null,
      body bytea not null
    ) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000)`,
    `create index on ${t.reply} (address, id)`,
  ];
}

function receipts(t: Tables): string[] {
  return [
    `create table ${t.receipt} (
      source text not null,
      message_id text not null,
      service text not null,
      subscription text not null,
      status text not null check (status in ('expected', 'consumed', 'dead-lettered')),
      at timestamptz not null,
      expires_at timestamptz not null,
      primary key (source, message_id, service, subscription)
    ) with (fillfactor = 80)`,
    `create index on ${t.receipt} (expires_at)`,
  ];
}

function takenTypes(t: Tables): readonly string[] {
  return [
    `create table ${t.takenType} (
      subscription_id integer not null references ${t.subscription} (id) on delete cascade,
      type text not null,
      node_id uuid not null,
      left_at timestamptz,
      primary key (subscription_id, type, node_id)
    )`,
    // What is taken today is known; who takes it is not, and says so at its next start.
    `insert into ${t.takenType} (subscription_id, type, node_id)
     select id, unnest(types), '00000000-0000-0000-0000-000000000000' from ${t.subscription} where is_handler`,
  ];
}

/** What there is belongs to the default transport, with the places it stands at. */
function furtherTransports(t: Tables): string[] {
  return [`alter table ${t.lane} add column transport text not null default '${DEFAULT_TRANSPORT}'`];
}

function carrier(t: Tables): string[] {
  return [
    `alter table ${t.lane} add column log_end bigint, add column is_log_closed boolean not null default false`,
    `alter table ${t.node} add column transport text`,
  ];
}

function halfMessages(t: Tables): string[] {
  return [
    `create table ${t.halfMessage} (
      unit_id text not null,
      ordinal integer not null,
      registered_at timestamptz not null default clock_timestamp(),
      check_at timestamptz not null,
      transport text not null,
      type text not null,
      attributes text not null,
      body bytea not null,
      primary key (unit_id, ordinal)
    ) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000)`,
    `create index on ${t.halfMessage} (check_at)`,
  ];
}

function guards(t: Tables): string[] {
  return [
    `create table ${t.guard} (
      scope text not null,
      key text not null,
      branch text not null default '',
      operation text not null,
      status text not null,
      reason text,
      result text,
      decided_at timestamptz not null default clock_timestamp(),
      primary key (scope, key, branch, operation)
    )`,
    `create index on ${t.guard} using brin (decided_at) with (pages_per_range = 32)`,
  ];
}

import type { Tables } from './tables.js';

/** Orchestrated sagas. */
export function sagas(t: Tables): string[] {
  return [
    `create table ${t.saga} (
      service text not null,
      id text not null,
      number bigint generated always as identity,
      saga text not null,
      version integer not null,
      outline text not null,
      status text not null check (status in ('running', 'compensating', 'completed', 'compensated', 'parked')),
      step text,
      attempts integer not null default 0,
      progress text not null,
      state text not null,
      revision bigint not null default 0,
      deaths integer not null default 0,
      due_at timestamptz,
      deadline_at timestamptz,
      worker uuid,
      started_at timestamptz not null,
      updated_at timestamptz not null,
      ended_at timestamptz,
      primary key (service, id)
    ) with (fillfactor = 70)`,
    // What sleeps lies behind what is due, and what has ended is not there: a look costs the same however many there are.
    `create index on ${t.saga} (service, due_at) where due_at is not null`,
    `create index on ${t.saga} (service, number)`,
    `create index on ${t.saga} (service, number) where status = 'parked'`,
    `create index on ${t.saga} (service, saga, version, outline) where ended_at is null`,
    `create index on ${t.saga} (service, ended_at) where ended_at is not null`,
    `create table ${t.sagaHistory} (
      number bigint generated always as identity,
      service text not null,
      saga_id text not null,
      step text,
      event text not null,
      detail text,
      at timestamptz not null,
      primary key (service, saga_id, number)
    )`,
  ];
}

/** What comes for sagas from elsewhere, and business keys that they hold. */
export function sagaArrivals(t: Tables): string[] {
  return [
    `alter table ${t.saga} add column parent text, add column is_deaf boolean not null default false`,
    `create index on ${t.saga} (service, parent) where parent is not null`,
    // Where an instance stands is a list from now on.
    `update ${t.saga} s set progress = json_strip_nulls(json_build_object(
       'at', case when s.step is null then '[]'::json else json_build_array(json_build_object('step', s.step, 'attempts', s.attempts, 'callMs', 0,
         'way', coalesce(s.progress::json->'parked'->>'while', s.status), 'isStopped', s.status = 'parked')) end,
       'done', (select coalesce(json_agg(json_build_object('step', d)), '[]'::json) from json_array_elements_text(s.progress::json->'done') d),
       'leftOut', '[]'::json, 'failure', s.progress::json->'failure', 'parked', s.progress::json->'parked'))::text`,
    `alter table ${t.saga} drop column step, drop column attempts`,
    // Written by whoever has something for an instance, and deleted by its next attempt: nobody waits for its lock.
    `create table ${t.sagaEvent} (
      number bigint generated always as identity,
      service text not null,
      saga_id text not null,
      event text not null,
      at timestamptz not null,
      primary key (service, saga_id, number)
    ) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000)`,
    // Where a message and those who wait for it meet, whoever comes first.
    `create table ${t.sagaSignal} (
      service text not null,
      type text not null,
      key text not null,
      value text,
      waiting text[] not null default '{}',
      handed text,
      handed_to text[] not null default '{}',
      at timestamptz not null,
      primary key (service, type, key)
    ) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000)`,
    `create index on ${t.sagaSignal} (service, at)`,
    `create table ${t.sagaLock} (
      service text not null,
      key text not null,
      holder text,
      waiting text[] not null default '{}',
      primary key (service, key)
    )`,
  ];
}

/** Sagas without a conductor. */
export function choreography(t: Tables): string[] {
  return [
    `create table ${t.choreography} (
      service text not null,
      id text not null,
      parts integer not null default 0,
      aborted_at timestamptz,
      reason text,
      undoing bigint,
      updated_at timestamptz not null,
      primary key (service, id)
    ) with (fillfactor = 70)`,
    `create index on ${t.choreography} (service, updated_at)`,
    `create table ${t.choreographyPart} (
      service text not null,
      saga_id text not null,
      number integer not null,
      subscription_id integer not null references ${t.subscription} (id) on delete cascade,
      source text not null,
      message_id text not null,
      type text not null,
      attributes text not null,
      body bytea not null,
      primary key (service, saga_id, subscription_id, source, message_id),
      foreign key (service, saga_id) references ${t.choreography} (service, id) on delete cascade
    )`,
  ];
}

/** Calls of tries. */
export function branches(t: Tables): string[] {
  return [
    `create table ${t.branch} (
      id text primary key,
      service text not null,
      method text not null,
      arguments text not null,
      result text,
      is_tried boolean not null default false,
      is_unbegun boolean not null default false,
      status text not null check (status in ('trying', 'confirming', 'cancelling', 'confirmed', 'cancelled', 'parked')),
      operation text check (operation in ('confirm', 'cancel')),
      attempts integer not null default 0,
      deaths integer not null default 0,
      failure text,
      revision bigint not null default 0,
      due_at timestamptz,
      worker uuid,
      registered_at timestamptz not null,
      updated_at timestamptz not null,
      ended_at timestamptz
    ) with (fillfactor = 70)`,
    // What has ended, or waits for a person, is in none of the first two: a look costs the same however much there is of it.
    `create index on ${t.branch} (service, due_at) where due_at is not null`,
    `create index on ${t.branch} (service, worker) where worker is not null`,
    `create index on ${t.branch} (service, id)`,
    `create index on ${t.branch} (service, id) where status = 'parked'`,
    `create index on ${t.branch} (service, ended_at) where ended_at is not null`,
  ];
}

/**
 * A condition that is always true, which lists state and nothing else does: while a table is small, PostgreSQL takes the last index with `service` in it
 * to be as good for one instance as the primary key, and a statement that is prepared then keeps to it.
 */
export function sagaLists(t: Tables): string[] {
  return [`drop index ${t.saga}_service_number_idx`, `create index on ${t.saga} (service, number) where number > 0`];
}

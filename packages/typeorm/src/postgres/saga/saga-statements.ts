import type { PostgresContext } from '../context.js';
import { IS_DURABLE, prepared } from '../sql/sql.js';
import type { Tables } from '../schema/tables.js';
import { LOCKED_COLUMNS } from './saga-rows.js';

/** The time of the database, ahead by what a parameter says: clocks of tests may be. */
const now = (parameter: string) => `(clock_timestamp() + ${parameter}::float8 * interval '1 millisecond')`;
const after = (parameter: string, ms: string) => `(clock_timestamp() + (${parameter}::float8 + ${ms}::float8) * interval '1 millisecond')`;

/** Lines of history from JSON, in their order, of the instance that `from` has. */
const notesText = ({ sagaHistory }: Tables, from: string, notes: string) =>
  `insert into ${sagaHistory} (service, saga_id, step, event, detail, at)
   select $1, ${from}.id, n.note->>'step', n.note->>'event', n.note->>'detail', ${now('$3')}
   from ${from}, json_array_elements(${notes}::json) with ordinality n(note, place) order by n.place`;

/** Lines of a history that stay: where the instance comes from, and what became of it; between them lie attempts. */
const HISTORY = { first: 100, last: 400 };
/** Of so many changes some are looked at, in a row: failures that come with every second change would never meet a single one. */
const HISTORY_LOOK = { every: 64, some: 8 };

/** In a shape that reads nothing of the history where it is not to be looked at: the instance alone says that. */
const shortenText = ({ saga, sagaHistory }: Tables) =>
  `delete from ${sagaHistory} h where h.service = $1 and h.saga_id = $2 and h.number = any(array(
     select l.number from ${saga} s cross join lateral (
       select n.number, row_number() over (order by n.number) as place, count(*) over () as lines from ${sagaHistory} n
       where n.service = $1 and n.saga_id = s.id) l
     where s.service = $1 and s.id = $2 and s.revision % ${HISTORY_LOOK.every} < ${HISTORY_LOOK.some}
       and l.place > ${HISTORY.first} and l.place <= l.lines - ${HISTORY.last}))`;

/**
 * As a value, not as `exists`, which a plan for any number of ids answers by reading all instances. Not `ended_at is null`, which the index of what is
 * open has for its own: one instance is found by its key.
 */
const isOpen = ({ saga }: Tables, id: string) => `(select num_nulls(o.ended_at) = 1 from ${saga} o where o.service = $1 and o.id = ${id})`;

/** The statements about sagas that are prepared. $1 is the service in each. */
export class SagaStatements {
  /** id, ahead, saga, version, status, progress, state, timeout, worker, notes, session, outline, parent, is due. */
  readonly start;
  /** ahead, sagas, versions, in hand, worker, limit. */
  readonly claim;
  /** id, worker, ahead, session. */
  readonly lock;
  readonly waitingLock;
  /** id; what has arrived for an instance that is locked. */
  readonly arrived;
  /** id, ahead, status, progress, state, after, worker, is deaf. Simple statements that go out together cost half of what one of many parts does. */
  readonly change;
  /** id, ahead, step, event, detail. */
  readonly note;
  /** id, ahead, notes. */
  readonly notes;
  /** id; takes the middle out of a history that has become long. */
  readonly shorten;
  /** id, numbers of what had arrived and is dealt with. */
  readonly seen;
  /** id, ahead, tellings, signals no more awaited, signals awaited, key freed. */
  readonly reach;
  /** key, id. */
  readonly claimKey;
  readonly queueForKey;
  /** key, id. */
  readonly dropKey;
  /** ahead, tellings. */
  readonly tell;
  /** ahead, type, key, value. */
  readonly signal;

  constructor({ tables }: Pick<PostgresContext, 'tables'>) {
    this.start = prepared(startText(tables));
    this.claim = prepared(claimText(tables));
    this.lock = prepared(`${lockText(tables)} skip locked`);
    this.waitingLock = prepared(lockText(tables));
    const { sagaEvent, sagaHistory } = tables;
    this.arrived = prepared(`select e.number, e.event from ${sagaEvent} e where e.service = $1 and e.saga_id = $2 order by e.number`);
    this.change = prepared(changeText(tables));
    this.note = prepared(
      `insert into ${sagaHistory} (service, saga_id, step, event, detail, at) values ($1, $2, $4, $5, $6, ${now('$3')})`,
    );
    this.notes = prepared(`with one as (select $2::text as id) ${notesText(tables, 'one', '$4')}`);
    this.shorten = prepared(shortenText(tables));
    this.seen = prepared(
      `delete from ${sagaEvent} where service = $1 and saga_id = $2 and number = any(array(select n::bigint from json_array_elements_text($3::json) n))`,
    );
    this.reach = prepared(reachText(tables));
    // An upsert would lock the row of a key that somebody has, whatever its condition says.
    this.claimKey = prepared(
      `with known as (select from ${tables.saga} s where s.service = $1 and s.id = $3),
       held as (select o.holder from ${tables.sagaLock} o where o.service = $1 and o.key = $2 and o.holder <> $3 and not exists (select from known)),
       made as (
         insert into ${tables.sagaLock} as l (service, key, holder) select $1, $2, $3 where not exists (select from known) and not exists (select from held)
         on conflict (service, key) do update set holder = coalesce(l.holder, excluded.holder) where l.holder is distinct from excluded.holder returning holder)
       select holder from made union all select holder from held`,
    );
    this.queueForKey = prepared(
      `insert into ${tables.sagaLock} as l (service, key, holder) values ($1, $2, $3)
       on conflict (service, key) do update set holder = coalesce(l.holder, excluded.holder),
         waiting = case when coalesce(l.holder, excluded.holder) = excluded.holder then l.waiting
           else array_remove(l.waiting, excluded.holder) || excluded.holder end
       returning holder`,
    );
    this.dropKey = prepared(`update ${tables.sagaLock} set holder = null where service = $1 and key = $2 and holder = $3`);
    this.tell = prepared(
      `insert into ${tables.sagaEvent} (service, saga_id, event, at)
       select $1, t->>'id', t->>'event', ${now('$2')} from json_array_elements($3::json) with ordinality x(t, place)
       where ${isOpen(tables, `t->>'id'`)} and ${IS_DURABLE} order by place`,
    );
    this.signal = prepared(signalText(tables));
  }
}

function startText(tables: Tables): string {
  const { saga } = tables;
  return `with made as (
       insert into ${saga} (service, id, saga, version, outline, status, progress, state, due_at, deadline_at, worker, started_at, updated_at, parent, ended_at)
       select $1, $2, $4, $5::int, $13, $6, $7, $8, case when $15::boolean then ${now('$3')} when $6 = 'running' then ${after('$3', '$9')} end, ${after('$3', '$9')}, $10::uuid, ${now('$3')}, ${now('$3')}, $14,
         case when $6 in ('completed', 'compensated') then ${now('$3')} end
       where ${IS_DURABLE} and set_config('application_name', $12, true) is not null
       on conflict (service, id) do nothing returning id),
     noted as (${notesText(tables, 'made', '$11')})
     select from made`;
}

function claimText({ saga, sagaEvent, node }: Tables): string {
  // Whoever is registered is alive, or its rows are still its own: a process that died is taken out by the others (nodes).
  const isOurs = `(s.saga, s.version) in (select v.saga, v.version from unnest((select $3::text[]), (select $4::int[])) v(saga, version)) and s.id <> all((select $5::text[])::text[])
         and (s.worker is null or s.worker = $6::uuid or not exists (select from ${node} n where n.id = s.worker))`;
  // The time in a subquery of its own: an index is not searched for what may be another time in each row.
  return `with due as (
       select s.id, s.worker from ${saga} s where s.service = $1 and s.due_at <= (select ${now('$2')}) and ${isOurs}
       order by s.due_at limit (select $7::bigint) for update of s skip locked),
     reached as (
       select s.id, s.worker from ${saga} s where s.service = $1 and s.id = any(array(select distinct e.saga_id from ${sagaEvent} e where e.service = $1))
         and num_nulls(s.ended_at) = 1 and not s.is_deaf and (s.due_at is null or s.due_at > (select ${now('$2')})) and ${isOurs}
       limit (select $7::bigint) for update of s skip locked),
     claimed as (
       update ${saga} s set worker = $6::uuid, deaths = s.deaths + case when d.worker <> $6::uuid then 1 else 0 end, due_at = coalesce(s.due_at, ${now('$2')})
       from (select * from due union all select * from reached limit (select $7::bigint)) d where s.service = $1 and s.id = d.id returning s.id, s.due_at)
     select id, null::float8 as wait_ms from (select id from claimed order by due_at) c
     union all
     select null, extract(epoch from l.due_at - ${now('$2')}) * 1000 from
       (select s.due_at from ${saga} s where s.service = $1 and s.due_at > (select ${now('$2')}) order by s.due_at limit 1) l`;
}

/**
 * Not `due_at is not null`: where little is due, the index of what is due looks as good as the primary key, to a plan that is kept. Under a name by
 * which others can end the session of a frozen process (nodes).
 */
function lockText({ saga }: Tables): string {
  return `select ${LOCKED_COLUMNS}, coalesce(s.deadline_at <= ${now('$4')}, false) as is_overdue, extract(epoch from ${now('$4')}) * 1000 as now_ms,
      set_config('application_name', $5, true)
    from ${saga} s where s.service = $1 and s.id = $2 and s.worker = $3::uuid and num_nulls(s.due_at) = 0 for update of s`;
}

/** Steps that follow each other leave `due_at` as it is: no index has to be written then. */
function changeText({ saga }: Tables): string {
  return `update ${saga} s set status = $4, progress = $5, state = coalesce($6, s.state), revision = s.revision + 1, deaths = 0, is_deaf = $9::boolean,
       deadline_at = case when $4 = 'running' then s.deadline_at end,
       due_at = case when $4 not in ('running', 'compensating') then null when $7::float8 = 0 and s.due_at <= ${now('$3')} then s.due_at
         else least(${after('$3', '$7')}, case when $4 = 'running' then s.deadline_at end) end,
       worker = $8::uuid, updated_at = ${now('$3')}, ended_at = case when $4 in ('completed', 'compensated') then ${now('$3')} end
     where s.service = $1 and s.id = $2 and ${IS_DURABLE}`;
}

/** Of several places that wait for one signal there is one row: an upsert changes no row twice. */
function reachText(tables: Tables): string {
  const { sagaEvent, sagaSignal, sagaLock } = tables;
  const arrives = (id: string, event: string, from: string) =>
    `insert into ${sagaEvent} (service, saga_id, event, at) select $1, ${id}, ${event}, ${now('$3')} from ${from}`;
  const met = `json_build_object('kind', 'signalled', 'type', a.type, 'key', a.key, 'value', a.handed::json)::text`;
  return `with told as (${arrives(`t->>'id'`, `t->>'event'`, `json_array_elements($4::json) t where ${isOpen(tables, `t->>'id'`)}`)}),
     left_alone as (update ${sagaSignal} g set waiting = array_remove(g.waiting, $2::text) from json_array_elements($5::json) l
       where g.service = $1 and g.type = l->>'type' and g.key = l->>'key'),
     awaited as (
       insert into ${sagaSignal} as g (service, type, key, waiting, at)
       select $1, a->>'type', a->>'key', array[$2::text], ${now('$3')} from json_array_elements($6::json) a group by 2, 3 order by 2, 3
       on conflict (service, type, key) do update set handed = g.value, value = null, at = excluded.at,
         waiting = case when g.value is null then array_remove(g.waiting, $2::text) || $2::text else g.waiting end
       returning type, key, handed),
     freed as (
       update ${sagaLock} l set holder = case when l.holder = $2::text then l.waiting[1] else l.holder end,
         waiting = case when l.holder = $2::text then l.waiting[2:] else array_remove(l.waiting, $2::text) end
       where l.service = $1 and l.key = $7 returning l.holder)
     ${arrives(
       'x.id',
       'x.event',
       `(
       select $2::text as id, ${met} as event from awaited a where a.handed is not null
       union all select f.holder, '{"kind":"unlocked"}' from freed f where f.holder is not null) x`,
     )}`;
}

/** Under the lock of the row where they meet, so that one of the two sees the other. */
function signalText(tables: Tables): string {
  const { sagaEvent, sagaSignal } = tables;
  return `with met as (
       insert into ${sagaSignal} as g (service, type, key, value, at) select $1, $3, $4, $5, ${now('$2')} where ${IS_DURABLE}
       on conflict (service, type, key) do update set value = case when cardinality(g.waiting) = 0 then excluded.value end,
         handed_to = g.waiting, waiting = '{}', at = excluded.at
       returning handed_to)
     insert into ${sagaEvent} (service, saga_id, event, at)
     select $1, w, json_build_object('kind', 'signalled', 'type', $3::text, 'key', $4::text, 'value', $5::json)::text, ${now('$2')} from met, unnest(met.handed_to) w`;
}

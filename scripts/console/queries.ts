/** What the pages show: the console's only reading SQL. */
import type postgres from "postgres";
import type * as rows from "./rows.ts";

/** A transaction that cannot write: all that one page shows is of one moment. */
export type Reader = postgres.TransactionSql;

/** Reads for one page; no longer than a reader would wait. */
export function reading<T>(
  sql: postgres.Sql,
  read: (tx: Reader) => Promise<T>,
): Promise<T> {
  return sql.begin("isolation level repeatable read read only", async (tx) => {
    await tx`set local statement_timeout = '20s'`;
    return await read(tx);
  }) as Promise<T>;
}

/** What the head of every page shows. */
export async function headline(tx: Reader): Promise<rows.Headline> {
  const [row] = await tx<[rows.Headline]>`
    select luma.mode() as mode, coalesce(sum(q.dead), 0)::int as dead from luma.queue q`;
  return row;
}

export async function health(tx: Reader): Promise<rows.Health> {
  const [row] = await tx<[rows.Health]>`
    select h.waiting::int, h.in_flight::int, h.dead::int, h.missed_changes::int, h.duplicates::int, h.last_drain, h.problem
    from luma.health h`;
  return row;
}

export async function alerts(tx: Reader): Promise<rows.Alert[]> {
  return await tx<rows.Alert[]>`
    select a.kind, a.calendar, a.message, a.raised_at from luma.alerts a where a.state = 'open' order by a.raised_at`;
}

export async function queue(tx: Reader): Promise<rows.Queue[]> {
  return await tx<rows.Queue[]>`
    select q.entity, q.calendar, q.due::int, q.waiting::int, q.in_flight::int, q.dead::int, q.oldest_due
    from luma.queue q order by q.entity, q.calendar`;
}

/** What failed or has waited the longest, up to `most` events and `most` RSVPs, grouped by the reason. */
export async function reasons(
  tx: Reader,
  most: number,
): Promise<rows.Reason[]> {
  // The status of an RSVP is dear: not of all of a great backlog.
  const late = (entity: "event" | "rsvp") =>
    tx`
    select o.entity_id from luma.sync_outbox o where o.version > o.done_version and o.entity = ${entity}
    order by o.dead_at nulls last, o.changed_at limit ${most}`;
  return await tx<rows.Reason[]>`
    with late as (
      select 'event' as entity, s.status, s.note, s.event_id, s.title from luma.event_status s
      where s.event_id = any (array(${late("event")}))
      union all
      select 'rsvp', s.status, s.note, s.event_id, s.title from luma.rsvp_status s
      where s.rsvp_id = any (array(${late("rsvp")}))
    )
    select l.entity, l.status, l.note, count(*)::int, min(l.event_id::text) as event_id, min(l.title) as title
    from late l group by l.entity, l.status, l.note
    order by l.status = 'failed' desc, count(*) desc limit 12`;
}

/** How many events there are of each status. */
export async function eventCounts(tx: Reader): Promise<rows.Count[]> {
  return await tx<rows.Count[]>`
    select s.status, count(*)::int from luma.event_status s group by s.status`;
}

export async function calendars(tx: Reader): Promise<rows.Calendar[]> {
  return await tx<rows.Calendar[]>`
    select c.calendar, c.name, c.ready, c.problem, c.paused_by,
      -- A pause by hand has no end, which is no date.
      case when isfinite(c.paused_until) then c.paused_until end as paused_until,
      c.calls_last_minute, c.calls_left, c.calls_per_minute, c.last_webhook, c.webhooks_missed, c.last_pull
    from luma.calendar_status c order by c.name`;
}

export async function lag(tx: Reader): Promise<rows.Lag[]> {
  return await tx<rows.Lag[]>`
    select l.direction, l.entity, l.changes::int, l.p50_ms::float8, l.p99_ms::float8, l.max_ms::float8
    from luma.lag l order by l.direction desc, l.entity`;
}

/** Calls and lag in pieces of so many minutes, `count` of them up to now. */
export async function traffic(
  tx: Reader,
  { count, minutes }: { count: number; minutes: number },
): Promise<rows.Traffic[]> {
  // One more: both the first and the last piece are cut off.
  return await tx<rows.Traffic[]>`
    select t.bucket_at, t.calendar, t.calls::int, t.failed::int, t.rate_limited::int, t.p50_ms::float8, t.p99_ms::float8
    from luma.traffic(make_interval(mins => ${
    count * minutes
  }::int), make_interval(mins => ${minutes}::int)) t`;
}

export async function backfill(tx: Reader): Promise<rows.Backfill> {
  const [row] = await tx<[rows.Backfill]>`
    select b.state, b.started_at, b.total::int, b.done::int, b.waiting::int, b.dead::int, b.per_minute::float8, b.ends_at
    from luma.backfill_progress b`;
  return row;
}

/** One page of the events with this status, and with this text in their titles: those to come first, the next at the top. */
export async function events(
  tx: Reader,
  { status, search, page, size }: {
    status: string;
    search: string;
    page: number;
    size: number;
  },
): Promise<{ total: number; events: rows.EventLine[] }> {
  const found = tx`
    from luma.event_status s
    where (${status} = '' or s.status = ${status}) and strpos(lower(s.title), lower(${search})) > 0`;
  const [{ total }] = await tx<[{ total: number }]>`
    select count(*)::int as total ${found}`;
  const events = await tx<rows.EventLine[]>`
    with shown as (
      select s.event_id ${found}
      order by s.starts_at >= now() desc, abs(extract(epoch from s.starts_at - now())), s.event_id
      limit ${size} offset ${(page - 1) * size}
    )
    select s.event_id, s.title, s.submission_status, s.starts_at, e.tz, s.status, s.note, s.calendar, s.luma_url, s.synced_at,
      r.rsvps::int, r.rsvps_waiting::int, r.rsvps_failed::int
    from shown join luma.event_status s using (event_id) join public.canonical_events e on e.id = s.event_id
    cross join lateral (
      select
        (select count(*) from public.event_rsvps v where v.event_id = s.event_id) as rsvps,
        count(*) filter (where o.dead_at is null) as rsvps_waiting,
        count(*) filter (where o.dead_at is not null) as rsvps_failed
      from luma.sync_outbox o where o.event_id = s.event_id and o.entity = 'rsvp' and o.version > o.done_version
    ) r
    order by s.starts_at >= now() desc, abs(extract(epoch from s.starts_at - now())), s.event_id`;
  return { total, events };
}

/** Undefined when there is no such event. */
export async function event(
  tx: Reader,
  id: string,
): Promise<rows.Event | undefined> {
  const [row] = await tx<rows.Event[]>`
    select s.event_id, s.title, s.submission_status, s.starts_at, s.status, s.note, s.calendar, s.luma_event_id, s.luma_url,
      s.synced_at, s.due_at, s.attempts, e.tz, e.source_type, e.visibility, e.location_name, e.max_capacity,
      e.current_rsvp_count, l.external_count
    from luma.event_status s
    join public.canonical_events e on e.id = s.event_id
    left join luma.event_links l on l.event_id = s.event_id
    where s.event_id = ${id}`;
  return row;
}

/** The first `most` RSVPs of an event, those that need a look first, and how many there are. */
export async function rsvps(
  tx: Reader,
  eventId: string,
  most: number,
): Promise<rows.Rsvp[]> {
  return await tx<rows.Rsvp[]>`
    select s.rsvp_id, s.user_id, u.name, s.email, s.rsvp_status, s.status, s.luma_status, s.note, s.synced_at,
      (count(*) over ())::int as total
    from luma.rsvp_status s left join public.users u on u.id = s.user_id
    where s.event_id = ${eventId}
    order by array_position(array['failed', 'in flight', 'waiting', 'held', 'not on Luma'], s.status), u.name, s.user_id
    limit ${most}`;
}

/** The newest `most` lines of luma.history(), oldest first. */
export async function history(
  tx: Reader,
  eventId: string,
  most: number,
): Promise<rows.HistoryLine[]> {
  return await tx<rows.HistoryLine[]>`
    select n.* from (
      select (row_number() over ())::int as place, h.at, h.what, h.entity, h.who, h.outcome, h.detail, h.calls,
        (extract(epoch from h.took) * 1000)::float8 as took_ms, (count(*) over ())::int as total
      from luma.history(${eventId}) h order by place desc limit ${most}
    ) n order by n.place`;
}

/** The newest `most` conflicts, of all events or of one. */
export async function conflicts(
  tx: Reader,
  most: number,
  eventId: string | null = null,
): Promise<rows.Conflict[]> {
  return await tx<rows.Conflict[]>`
    select c.id::int, c.noticed_at, c.entity, c.event_id, e.title, r.user_id, c.field, c.app_value, c.luma_value, c.winner,
      (count(*) over ())::int as total
    from luma.conflicts c
    left join public.canonical_events e on e.id = c.event_id
    left join public.event_rsvps r on r.id = c.entity_id
    where c.event_id = coalesce(${eventId}, c.event_id)
    order by c.id desc limit ${most}`;
}

/** The newest `most` dead letters, of everything or of one event, with what luma.retry() calls them. */
export async function deadLetters(
  tx: Reader,
  most: number,
  eventId: string | null = null,
): Promise<rows.DeadLetter[]> {
  return await tx<rows.DeadLetter[]>`
    select d.entity, d.title, d.calendar, d.error, d.dead_at, d.changed_at, coalesce(d.entity_id::text, i.webhook_id) as id,
      coalesce(o.event_id, l.event_id) as event_id, (count(*) over ())::int as total
    from luma.dead_letters d
    left join luma.sync_outbox o on o.entity = d.entity and o.entity_id = d.entity_id
    -- The view names a delivery in its statement only.
    left join luma.webhook_inbox i on d.entity = 'webhook' and d.to_retry = format('select luma.retry(%L);', i.webhook_id)
    left join luma.event_links l on l.luma_event_id = i.news #>> '{event,luma_event_id}'
    where ${eventId}::uuid is null or coalesce(o.event_id, l.event_id) = ${eventId}::uuid
    order by d.dead_at desc, id limit ${most}`;
}

/** The newest `most` webhook deliveries. */
export async function deliveries(
  tx: Reader,
  most: number,
): Promise<rows.Delivery[]> {
  return await tx<rows.Delivery[]>`
    select d.webhook_id, d.calendar, d.type, d.state, d.outcome, d.error, d.received_at, d.times_received, d.event_id, d.title,
      (extract(epoch from d.took) * 1000)::float8 as took_ms
    from luma.deliveries d order by d.received_at desc limit ${most}`;
}

/** The newest `most` pulls. */
export async function pulls(tx: Reader, most: number): Promise<rows.Pull[]> {
  return await tx<rows.Pull[]>`
    select p.calendar, p.title, p.luma_event_id, p.state, p.reads, p.reason, p.requested_at, p.started_at,
      (extract(epoch from p.took) * 1000)::float8 as took_ms, p.events, p.guests, p.inserted, p.updated, p.unchanged,
      p.to_read, p.errors, p.calls, p.problems
    from luma.pulls p order by p.requested_at desc limit ${most}`;
}

/** The newest `most` lines of what was done by hand. */
export async function adminLog(
  tx: Reader,
  most: number,
): Promise<rows.LogLine[]> {
  return await tx<rows.LogLine[]>`
    select l.at, l.who, l.via, l.what, l.detail from luma.admin_log l order by l.id desc limit ${most}`;
}

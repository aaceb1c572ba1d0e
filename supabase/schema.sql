-- The database as all migrations leave it, for reading. Written by `deno task schema` on Postgres 18; not applied by
-- anything. Migrations are the history, this is the present.

-- schema --------------------------------------------------------------------------------------------------------

schema luma; -- Two-way sync with Luma. Admins use its views and functions in SQL; the app never needs it.

-- tables --------------------------------------------------------------------------------------------------------

table luma.admin_log -- What was done by hand to the sync. Kept for luma.settings.admin_log_days.
  row level security
  at timestamp with time zone not null default clock_timestamp()
  detail jsonb not null default '{}'::jsonb -- Its arguments and what it answered; of a setting {"name": [before, after]}.
  id bigint not null generated always as identity
  via text -- application_name of the connection: psql, luma console, ….
  what text not null -- The function that was called, or settings.
  who text not null -- The role that was logged in; through the Data API the user's id.
  constraint admin_log_pkey PRIMARY KEY (id)
  CREATE INDEX admin_log_at ON luma.admin_log USING btree (at)

table luma.alert_outbox -- One row: the message that is on its way. pg_net may lose it, so it is there until the address has answered with 2xx.
  row level security
  alerts bigint[] not null default '{}'::bigint[] -- Alerts of which the message tells that they began or grew.
  due_at timestamp with time zone -- When the answer is looked at, or the message is sent again.
  ends bigint[] not null default '{}'::bigint[] -- Alerts of which it tells that they are over.
  id boolean not null default true
  message text
  problem text -- Why the last message did not arrive.
  request_id bigint -- pg_net's id of the last try.
  sent_at timestamp with time zone[] not null default '{}'::timestamp with time zone[] -- The messages of the last hour.
  tries integer not null default 0
  constraint alert_outbox_check CHECK (((message IS NULL) = (due_at IS NULL)))
  constraint alert_outbox_id_check CHECK (id)
  constraint alert_outbox_pkey PRIMARY KEY (id)
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF problem ON luma.alert_outbox FOR EACH ROW WHEN ((new.problem IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('problem')

table luma.alert_states -- Alerts, open and over. See luma.alerts.
  row level security
  end_told_at timestamp with time zone
  id bigint not null generated always as identity
  kind text not null
  level bigint not null -- How bad it is, as a number: of dead letters how many. A message is repeated when it has grown, at most once an hour.
  message text not null
  over_at timestamp with time zone
  raised_at timestamp with time zone not null default clock_timestamp()
  seen_at timestamp with time zone not null default clock_timestamp() -- When its cause was last there.
  subject text not null -- The calendar, or empty.
  told_at timestamp with time zone
  told_level bigint
  constraint alert_states_pkey PRIMARY KEY (id)
  CREATE UNIQUE INDEX alert_states_one_open ON luma.alert_states USING btree (kind, subject) WHERE (over_at IS NULL)

table luma.attempts -- History: one row for each time a drain worked on an entity.
  row level security
  calendar text
  calls jsonb not null default '[]'::jsonb -- Calls to Luma, in order: [{"route", "at", "ms", "status"}]; in dry_run the calls that would be made, with their bodies, in which guests are shortened (redact.ts).
  changed_at timestamp with time zone -- When the oldest change of this attempt was made; settled_at minus this is the lag.
  entity text not null
  entity_id uuid not null
  error text
  id bigint not null generated always as identity
  leased_at timestamp with time zone
  outcome text not null
  run_id uuid
  settled_at timestamp with time zone not null default clock_timestamp()
  version bigint not null
  constraint attempts_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'nothing_to_do'::text, 'dry_run'::text, 'retry'::text, 'rate_limited'::text, 'stopped'::text, 'dead'::text, 'lease_expired'::text])))
  constraint attempts_pkey PRIMARY KEY (id)
  CREATE INDEX attempts_entity ON luma.attempts USING btree (entity, entity_id, id)
  CREATE INDEX attempts_settled ON luma.attempts USING btree (settled_at)
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF error ON luma.attempts FOR EACH ROW WHEN ((new.error IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('error')

table luma.backfill_state -- One row: the last backfill. See luma.backfill_progress.
  row level security
  done_before bigint not null default 0
  id boolean not null default true
  resumed_at timestamp with time zone -- Since when it runs without a pause (stopped, or not live), with done_before done by then: its pace is measured from here.
  started_at timestamp with time zone
  stopped_at timestamp with time zone -- By luma.stop_backfill(); luma.backfill() goes on.
  constraint backfill_state_id_check CHECK (id)
  constraint backfill_state_pkey PRIMARY KEY (id)

table luma.bell -- One row: when the drain was last rung for without having started yet, and why it could not be rung for.
  row level security
  id boolean not null default true
  problem text
  pull_rung_at timestamp with time zone -- When luma-pull was last rung for without having started yet.
  pull_unanswered integer not null default 0 -- Rings since luma-pull last started: the more, the less often it is rung for.
  request_id bigint -- pg_net's id of the last ring; net._http_response has the answer for some hours.
  rung_at timestamp with time zone
  unanswered integer not null default 0 -- Rings since a run last started.
  constraint bell_id_check CHECK (id)
  constraint bell_pkey PRIMARY KEY (id)
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF problem ON luma.bell FOR EACH ROW WHEN ((new.problem IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('problem')

table luma.calendar_state -- State of each calendar's API. No row: nothing special is known.
  row level security
  luma_key text not null -- calendars.luma_key.
  missed_at timestamp with time zone -- When it was last noticed that webhooks were missed: what was not read since may have changed unheard.
  paused_by text
  paused_until timestamp with time zone -- No calls before this: Retry-After of a 429, or infinity for luma.pause().
  problem text -- What is wrong and what to do, for an admin. Kept for missing keys too, which stop nothing.
  rate_limit integer -- X-RateLimit-Limit as Luma last told it.
  stopped_at timestamp with time zone -- Set when Luma refused the key (401, 403). Jobs wait until luma.resume().
  updated_at timestamp with time zone not null default now()
  was_active boolean not null default false -- is_active was taken from the calendar's row, and is given back when the mode is not live any more.
  constraint calendar_state_check CHECK (((paused_until IS NULL) = (paused_by IS NULL)))
  constraint calendar_state_check1 CHECK (((stopped_at IS NULL) OR (problem IS NOT NULL)))
  constraint calendar_state_paused_by_check CHECK ((paused_by = ANY (ARRAY['luma'::text, 'admin'::text])))
  constraint calendar_state_pkey PRIMARY KEY (luma_key)
  constraint calendar_state_rate_limit_check CHECK ((rate_limit > 0))
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF problem ON luma.calendar_state FOR EACH ROW WHEN ((new.problem IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('problem')

table luma.conflicts -- Fields that were changed here and on Luma before the two had heard of each other. The winner's value is on both sides now; the other one is kept here for luma.settings.log_days.
  row level security
  app_value jsonb -- What the row said: of an event by column, of an RSVP the app's word.
  entity text not null -- guest: somebody whose RSVP was deleted here; entity_id is then of luma.guests.
  entity_id uuid not null
  event_id uuid not null
  field text not null -- Of an event Luma's name of the field, of an RSVP status.
  id bigint not null generated always as identity
  luma_value jsonb -- What Luma said.
  noticed_at timestamp with time zone not null default clock_timestamp()
  winner text not null -- app for events that the app made, and for what ours had overwritten on Luma before it was told; luma for events that come from Luma; of RSVPs whoever was later.
  constraint conflicts_entity_check CHECK ((entity = ANY (ARRAY['event'::text, 'rsvp'::text, 'guest'::text])))
  constraint conflicts_pkey PRIMARY KEY (id)
  constraint conflicts_winner_check CHECK ((winner = ANY (ARRAY['app'::text, 'luma'::text])))
  CREATE INDEX conflicts_entity ON luma.conflicts USING btree (entity, entity_id, id)
  CREATE INDEX conflicts_noticed ON luma.conflicts USING btree (noticed_at)

table luma.covers -- Source images of covers and where they are on Luma's CDN.
  row level security
  busy_until timestamp with time zone -- Until then somebody is uploading it.
  error text
  luma_url text -- https://images.lumacdn.com/…; null until uploaded.
  retry_at timestamp with time zone -- A failed image is not tried again before this.
  source_url text not null
  tries integer not null default 0 -- Tries that have begun since the last that ended. An image that kills the function leaves this growing, and is given up at 3.
  updated_at timestamp with time zone not null default now()
  constraint covers_pkey PRIMARY KEY (source_url)
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF error ON luma.covers FOR EACH ROW WHEN ((new.error IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('error')

table luma.drain_runs -- One row for each run of luma-drain. ended_at null and alive_until past: the run was cut short.
  row level security
  alive_until timestamp with time zone not null
  calls integer not null default 0
  end_reason text
  ended_at timestamp with time zone
  floors jsonb not null default '{}'::jsonb -- When the last job of each calendar and priority was due: {"blr 3": …}. Only what is due later is claimed, for a second.
  id uuid not null default gen_random_uuid()
  jobs integer not null default 0
  looked_at timestamp with time zone -- When this run last looked at all that is due.
  started_at timestamp with time zone not null default clock_timestamp()
  constraint drain_runs_pkey PRIMARY KEY (id)
  CREATE INDEX drain_runs_active ON luma.drain_runs USING btree (alive_until) WHERE (ended_at IS NULL)

table luma.drift -- What differs between the two sides, as the last comparison of each calendar found it (luma.reconcile(), or any pull while the mode is dry_run). Names and addresses of guests are in it.
  row level security
  action text not null -- What a pull, or the drain, would do.
  ahead text not null -- Which side has changed since both agreed.
  app_value jsonb -- What the app's row says. Null: there is none.
  calendar text not null
  entity text not null
  event_id uuid -- The row in canonical_events; of a Luma event that is new here null.
  field text not null -- Column of the app's row; * is all of it.
  id bigint not null generated always as identity
  luma_event_id text
  luma_value jsonb -- What Luma says, in the app's words; where the app alone has changed, what both said before.
  noticed_at timestamp with time zone not null default clock_timestamp()
  run_id uuid not null
  title text
  who text -- Of an RSVP the user's id, of a guest who is no user the e-mail address.
  constraint drift_ahead_check CHECK ((ahead = ANY (ARRAY['app'::text, 'luma'::text, 'both'::text])))
  constraint drift_entity_check CHECK ((entity = ANY (ARRAY['event'::text, 'rsvp'::text, 'guest'::text])))
  constraint drift_pkey PRIMARY KEY (id)
  CREATE INDEX drift_calendar ON luma.drift USING btree (calendar)

table luma.erasures -- People to be forgotten. A line goes with the last that is kept of its person: at once, or when Luma was told that they do not come.
  row level security
  asked_at timestamp with time zone not null default clock_timestamp()
  emails text[] not null default '{}'::text[] -- Of the user, and of the guests that the user was.
  id bigint not null generated always as identity
  name text
  phone text
  user_id text
  constraint erasures_pkey PRIMARY KEY (id)

table luma.event_links -- One row for each event that is, or is about to be, on Luma.
  row level security
  calendar text not null -- luma_key of its calendar. Fixed by the first create call: an event that moves stays on its calendar.
  create_lease uuid -- Lease under which a create call was first made possible. Not null and no luma_event_id: look the slug up before creating.
  create_state jsonb -- luma.event_state() of the create call that create_lease may have made: what Luma was told, if it took effect.
  created_at timestamp with time zone not null default now()
  event_id uuid not null
  external_count integer not null default 0 -- Guests who are going and are nobody's RSVP here: part of canonical_events.current_rsvp_count.
  former jsonb not null default '{}'::jsonb -- By field, newest first: what luma_base or maybe_told held before, as luma.trace_of(). A late webhook that repeats one of them tells nothing new.
  guests_due_at timestamp with time zone -- Guests are added to the event again from then on, so that a burst of RSVPs is a few calls. What fills a whole call does not wait once it is due.
  heard_at timestamp with time zone -- When the last webhook about this event came.
  is_adopting boolean not null default false -- The row was there before it was linked: its RSVPs wait until the guests that Luma has were read, so that none is overwritten unseen.
  look boolean not null default false -- The event has to be read from Luma: webhooks may have crossed, or have told only a part.
  look_tags boolean not null default false -- So do its tags, which only a list tells.
  luma_base jsonb -- What Luma was last told or seen to hold, by Luma's field names: "changed there" is measured against this, never against our row, because Luma normalises.
  luma_event_id text
  maybe_sent jsonb not null default '[]'::jsonb -- Columns that attempts may have sent of which nobody heard more, newest first: what a webhook repeats of them is ours.
  maybe_state jsonb -- luma.event_state() of the row at that call.
  maybe_told jsonb -- What an update call told whose answer was lost, in the form of luma_base: should it be heard from Luma, it was ours.
  ours jsonb not null default '{}'::jsonb -- Fields of luma_base whose value came from here, also after Luma has shown it: when Luma was told, or seen to have been.
  pulled_at timestamp with time zone -- When a pull last found something that no webhook had told.
  row_base jsonb -- luma.event_state() of our row when both sides last agreed: "changed here" is measured against this.
  slug text not null -- Address on Luma, https://luma.com/<slug>. Chosen before the first create call, so that after a crash or a lost answer the event is found by it instead of being created twice.
  synced_at timestamp with time zone
  tags_heard boolean not null default false -- Luma has told the event's tags: the first time it may have been before ours was put on.
  told_at timestamp with time zone -- When Luma was last told something of this event.
  unheard jsonb not null default '{}'::jsonb -- By field: values that a late webhook has told and nothing else has. Whether ours has overwritten them, the next reading shows.
  unseen text[] not null default '{}'::text[] -- Fields of luma_base that Luma was told, and that no answer or webhook has shown since: Luma may render them in a form of its own.
  url text -- The event's page as Luma tells it; null: https://luma.com/<slug>.
  warning text -- What of the row could not be shown on Luma as it is, for an admin.
  constraint event_links_luma_event_id_key UNIQUE (luma_event_id)
  constraint event_links_pkey PRIMARY KEY (event_id)
  constraint event_links_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9-]{1,48}[a-z0-9]$'::text))
  constraint event_links_slug_key UNIQUE (slug)
  CREATE TRIGGER event_links_former BEFORE UPDATE OF luma_base, maybe_told ON luma.event_links FOR EACH ROW WHEN (((old.luma_base IS DISTINCT FROM new.luma_base) OR (old.maybe_told IS DISTINCT FROM new.maybe_told))) EXECUTE FUNCTION luma.keep_former()

table luma.forget_key -- One row: what luma.forgotten is hashed with.
  row level security
  id boolean not null default true
  key text not null default ((gen_random_uuid())::text || (gen_random_uuid())::text)
  constraint forget_key_id_check CHECK (id)
  constraint forget_key_pkey PRIMARY KEY (id)

table luma.forgotten -- Hashes of forgotten e-mail addresses, under a key that never leaves this database. They go when Luma has not told of them for luma.settings.webhook_days, 30 days at the least.
  row level security
  address_hash text not null
  told_at timestamp with time zone not null default clock_timestamp() -- When the person was forgotten, or Luma last told of them, to a day.
  constraint forgotten_pkey PRIMARY KEY (address_hash)

table luma.guest_links -- Which guest each RSVP is. Outlives its RSVP until the guest has left.
  row level security
  email text not null -- guests.email.
  event_id uuid not null
  rsvp_id uuid not null -- event_rsvps.id.
  user_id text not null -- event_rsvps.user_id when the link was made; another user in the row since makes it another guest.
  constraint guest_links_pkey PRIMARY KEY (rsvp_id)
  CREATE INDEX guest_links_email ON luma.guest_links USING btree (email)
  CREATE INDEX guest_links_guest ON luma.guest_links USING btree (event_id, email)
  CREATE INDEX guest_links_user ON luma.guest_links USING btree (user_id)

table luma.guests -- One row for each guest that Luma has, or may have. Neither row_base nor in_doubt nor luma_base: Luma was never told. Without a line in luma.guest_links: nobody's RSVP, see luma.external_guests.
  row level security
  email text not null -- luma.usable_email() of the user when Luma was first told. Stays when the user's address changes, or there would be a second guest.
  event_id uuid not null
  forgotten boolean not null default false -- A forgotten person who is still on Luma's list: kept without address, name and number, because the place is taken.
  former text -- What luma_base was before: a webhook that says it comes late, or says nothing new.
  heard_at timestamp with time zone -- When the last webhook about this guest came.
  id uuid not null default gen_random_uuid() -- For the outbox.
  in_doubt boolean not null default false -- A call was made whose effect is not known. The next attempt looks the guest up first.
  lease uuid -- The outbox lease under which calls about this guest may be under way.
  look boolean not null default false -- The guest has to be read from Luma: webhooks may have crossed.
  look_told_at timestamp with time zone -- When Luma told what has the guest read: the best that is known of when it was changed there.
  luma_base text -- The status that Luma was last told or seen to hold: "changed there" is measured against this.
  luma_guest_id text -- Luma's id of the guest (gst-…). Adding guests answers no ids, so it may be unknown.
  maybe_sent text[] not null default '{}'::text[] -- Statuses that calls may have told since the guest is in doubt.
  news jsonb -- What Luma last told of the guest beside the status: {name, phone, registered_at, checked_in_at, rsvp_type, tickets}.
  ours boolean not null default false -- luma_base is what Luma was told, also after Luma has shown it.
  pulled_at timestamp with time zone -- When a pull last found something that no webhook had told.
  row_base text -- What our RSVPs said when both sides last agreed, in Luma's words: "changed here" is measured against this.
  synced_at timestamp with time zone
  unheard text[] not null default '{}'::text[] -- Statuses that late webhooks have told and nothing else has. Whether ours has overwritten them, the next reading shows.
  unseen boolean not null default false -- luma_base is what Luma was told, and nothing has shown it since.
  constraint guests_check CHECK (((NOT in_doubt) OR (row_base IS NULL)))
  constraint guests_pkey PRIMARY KEY (event_id, email)
  constraint guests_row_base_check CHECK ((row_base = ANY (ARRAY['approved'::text, 'pending_approval'::text, 'waitlist'::text, 'declined'::text])))
  CREATE INDEX guests_email ON luma.guests USING btree (email)
  CREATE UNIQUE INDEX guests_id ON luma.guests USING btree (id)
  CREATE INDEX guests_lease ON luma.guests USING btree (lease) WHERE (lease IS NOT NULL)
  CREATE INDEX guests_luma_id ON luma.guests USING btree (luma_guest_id) WHERE (luma_guest_id IS NOT NULL)
  CREATE INDEX guests_phone_tail ON luma.guests USING btree (luma.phone_tail((news ->> 'phone'::text)))
  CREATE TRIGGER forget_guest BEFORE INSERT OR UPDATE OF email, news, luma_guest_id, forgotten ON luma.guests FOR EACH ROW EXECUTE FUNCTION luma.forget_guest()

table luma.missed_changes -- Changes that a trigger could not enqueue. luma.sweep() enqueues them again and deletes them.
  row level security
  entity text not null
  entity_id uuid not null
  error text not null
  id bigint not null generated always as identity
  missed_at timestamp with time zone not null default clock_timestamp()
  constraint missed_changes_pkey PRIMARY KEY (id)
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF error ON luma.missed_changes FOR EACH ROW WHEN ((new.error IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('error')

table luma.pull_runs -- Pulls: asked for, under way (started_at without ended_at), and over. A run that was cut short goes on where its row says. See luma.pulls.
  row level security
  alive_until timestamp with time zone
  asked_at timestamp with time zone -- When the page was asked for: what was told or heard since then is newer than it.
  calendar text not null -- luma_key.
  calls integer not null default 0
  cursor text -- Where the page begins that is read, or being applied, now.
  details text[] not null default '{}'::text[] -- Luma events to read one by one: the list tells neither descriptions nor hosts, nor why an event is missing.
  due_at timestamp with time zone not null default clock_timestamp() -- It goes on from then: after a failed call, or when its calendar is paused.
  ended_at timestamp with time zone
  entries jsonb not null default '[]'::jsonb -- What is left to apply of the page. Personal data of guests: emptied as it is applied.
  errors integer not null default 0
  errors_before integer not null default 0 -- errors when this list was begun.
  events integer not null default 0
  failures integer not null default 0 -- Failed calls in a row.
  guests integer not null default 0
  guests_of uuid[] not null default '{}'::uuid[] -- Events whose guests are still to be read, the most urgent first.
  id uuid not null default gen_random_uuid()
  inserted integer not null default 0
  is_asked boolean not null -- By an admin; else by pg_cron.
  is_dry boolean not null default false -- Nothing is written but luma.drift: what differs, and what would be done.
  is_full boolean not null -- Every coming event is read whole, with all its guests. False: lists, and the guests that may have changed.
  is_whole boolean not null default true -- Everything so far was read. Only then can something be missing.
  lease uuid -- The function that works on it. Past alive_until another one goes on.
  listed_after timestamp with time zone
  listed_from timestamp with time zone -- asked_at of the first page of this listing.
  luma_event_id text -- Only this event is read, with its guests. Null: the calendar.
  next_cursor text -- Where the page after it begins; null: it is the last one.
  outcome text -- done: everything was read. incomplete: some entries or pages were not (see problems). failed: the calendar could not be read.
  pages integer not null default 0
  phase text not null default 'check'::text
  problems text[] not null default '{}'::text[] -- The first of what went wrong, one line each.
  requested_at timestamp with time zone not null default clock_timestamp()
  seen text[] not null default '{}'::text[] -- Ids that this listing has shown so far (of guests their addresses too): what is missing in the end is looked for.
  started_at timestamp with time zone
  to_read integer not null default 0 -- Left to the drain, which reads it when nothing of ours is on its way: it was told or heard of in between.
  tries integer not null default 0 -- How often in a row the first of entries has been found locked by the app.
  unchanged integer not null default 0
  updated integer not null default 0
  constraint pull_runs_ended_says_how CHECK (((ended_at IS NULL) = (outcome IS NULL)))
  constraint pull_runs_lease_ends CHECK (((lease IS NULL) = (alive_until IS NULL)))
  constraint pull_runs_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'incomplete'::text, 'failed'::text])))
  constraint pull_runs_phase_check CHECK ((phase = ANY (ARRAY['check'::text, 'events'::text, 'details'::text, 'guests'::text])))
  constraint pull_runs_pkey PRIMARY KEY (id)
  CREATE INDEX pull_runs_calendar ON luma.pull_runs USING btree (calendar, requested_at)
  CREATE UNIQUE INDEX pull_runs_one_at_a_time ON luma.pull_runs USING btree (calendar, COALESCE(luma_event_id, ''::text)) WHERE ((started_at IS NOT NULL) AND (ended_at IS NULL))
  CREATE UNIQUE INDEX pull_runs_one_waits ON luma.pull_runs USING btree (calendar, COALESCE(luma_event_id, ''::text), is_dry) WHERE ((started_at IS NULL) AND (ended_at IS NULL))
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF problems ON luma.pull_runs FOR EACH ROW WHEN ((new.problems IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('problems')

table luma.rate_permits -- Permits given out in the last minute or so.
  row level security
  calendar text not null
  free_at timestamp with time zone not null -- When the calls under these permits have left every 60-second window: 60 s after the latest moment they may be made.
  id bigint not null generated always as identity
  is_pull boolean not null default false -- For calls of a pull.
  permits integer not null
  constraint rate_permits_permits_check CHECK ((permits > 0))
  constraint rate_permits_pkey PRIMARY KEY (id)
  CREATE INDEX rate_permits_window ON luma.rate_permits USING btree (free_at)

table luma.reads -- When events on Luma were last read. No foreign key, like luma.event_links.
  row level security
  event_id uuid not null
  guests_read_at timestamp with time zone -- Its whole guest list.
  read_at timestamp with time zone -- The event itself, with its description.
  constraint reads_pkey PRIMARY KEY (event_id)

table luma.rechecks -- Events that opened and users whose e-mail address changed: the next claim compares their RSVPs with Luma.
  row level security
  due_at timestamp with time zone not null default clock_timestamp()
  event_id uuid
  id bigint not null generated always as identity
  priority smallint not null default 1 -- Of what it enqueues: 4 when a backfill opened the event, so that nobody is mailed.
  promote boolean not null default false -- The user may be a guest on Luma who is nobody's RSVP: that comes first, in a transaction of its own (luma_apply_deliveries).
  user_id text
  wake boolean not null default false -- As in luma.sync_outbox.
  constraint rechecks_check CHECK ((num_nonnulls(event_id, user_id) = 1))
  constraint rechecks_pkey PRIMARY KEY (id)
  constraint rechecks_priority_check CHECK (((priority >= 1) AND (priority <= 4)))
  CREATE CONSTRAINT TRIGGER wake_drain AFTER INSERT ON luma.rechecks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.wake) EXECUTE FUNCTION luma.kick_at_commit()

table luma.removed_events -- Luma events that were cancelled, which deletes them: whatever is still told of them is ignored.
  row level security
  luma_event_id text not null
  removed_at timestamp with time zone not null default clock_timestamp()
  constraint removed_events_pkey PRIMARY KEY (luma_event_id)

table luma.settings -- Settings of the sync: exactly one row. Change the mode with luma.set_mode(), the rest with update.
  row level security
  admin_log_days integer not null default 365 -- Days that luma.admin_log is kept.
  alert_calm interval not null default '00:05:00'::interval -- An alert is over when its cause has been gone for so long: what comes and goes is one alert.
  alert_lag interval not null default '00:15:00'::interval -- An alert is raised when a live change has waited longer than this for Luma.
  alert_messages_per_hour integer not null default 6 -- Messages to luma_alert_url at most; what comes meanwhile goes into the next one.
  calls_per_minute integer not null default 180 -- Calls to Luma in any 60 seconds for one calendar. Luma allows 200 a key.
  calls_per_minute_total integer not null default 280 -- Calls to Luma in any 60 seconds over all calendars.
  cancel_on_luma boolean not null default false -- False: a cancelled event becomes private on Luma. True: it is cancelled there, which mails every guest, refunds and cannot be undone.
  cron_details_days integer not null default 3 -- Days that cron.job_run_details of this project's jobs are kept; pg_cron never trims them.
  edit_spacing_ms integer not null default 1000 -- Edits of one event, changes of one RSVP, and additions to one event's guest list are sent at most this often; what comes meanwhile goes together. Creates and cancellations of events never wait.
  id boolean not null default true
  lease_seconds integer not null default 15 -- After a crash a job is free again this long after its last renewal. Longer than the 10 s that one call may take.
  live_since timestamp with time zone -- When luma.set_mode() last went live. RSVPs written before are a backfill, whenever their event opens.
  log_days integer not null default 14 -- Days that luma.attempts, luma.drain_runs and finished outbox rows are kept.
  log_rows integer not null default 200000 -- Most rows of luma.attempts, and of luma.drain_runs, that are kept.
  max_crashes integer not null default 5 -- A job whose drain died this often in a row is dead: it would take every drain down with it.
  mode text not null default 'off'::text -- off: nothing is sent. dry_run: what would be sent is written to luma.attempts. live.
  net_response_hours integer not null default 6 -- Hours that answers to pg_net's calls are kept, as long as pg_net itself keeps them by default (pg_net.ttl); it trims only when it has something to send.
  oldest_share numeric not null default 0.1 -- Share of the claims that take what has been due the longest, whatever its priority, so that nothing waits for ever behind more urgent work.
  pull_lookback_days integer not null default 14 -- Events that began up to so many days ago are listed too, because they may be running. Longer for running events that are known.
  pull_share numeric not null default 0.2 -- Share of a calendar's calls_per_minute that scheduled pulls may use in any minute. What an admin asks for may use two thirds; the rest is for live traffic.
  redelivery_hours integer not null default 24 -- How late a webhook may still come, after an outage of ours for example. Two deliveries about one event or guest within this time that say different things may be in either order: then it is read from Luma.
  require_email boolean not null default true -- True: an RSVP of somebody without a usable e-mail address is refused, in every mode (see luma.check_email()). Leaving is always allowed.
  retry_base_seconds numeric not null default 2 -- Upper bound of the first retry delay; doubles with each attempt, with full jitter.
  retry_cap_seconds numeric not null default 600 -- Longest retry delay.
  scheduled_pulls boolean not null default true -- Whether pg_cron pulls every calendar every 15 minutes. False: only when asked (luma.pull_now()).
  send_email boolean not null default true -- Whether Luma mails a guest who is added or whose status changes. What a backfill sends is never mailed about.
  skip_ical boolean not null default true -- True: while live, a calendar that was pulled once is set to is_active = false, so that the app's iCal worker skips it; luma.set_mode() to off or dry_run gives it back. False: is_active is left alone.
  updated_at timestamp with time zone not null default now()
  webhook_attempts integer not null default 12 -- A delivery that could not be applied so often in a row is given up; luma.retry() tries again.
  webhook_days integer not null default 30 -- Days that webhook deliveries are kept in luma.webhook_inbox; they hold guests' names and addresses.
  constraint settings_admin_log_days_check CHECK ((admin_log_days >= 1))
  constraint settings_alert_calm_check CHECK ((alert_calm >= '00:00:00'::interval))
  constraint settings_alert_lag_check CHECK ((alert_lag >= '00:01:00'::interval))
  constraint settings_alert_messages_per_hour_check CHECK (((alert_messages_per_hour >= 1) AND (alert_messages_per_hour <= 60)))
  constraint settings_calls_per_minute_check CHECK (((calls_per_minute >= 1) AND (calls_per_minute <= 10000)))
  constraint settings_calls_per_minute_total_check CHECK (((calls_per_minute_total >= 1) AND (calls_per_minute_total <= 10000)))
  constraint settings_check CHECK ((retry_cap_seconds >= retry_base_seconds))
  constraint settings_cron_details_days_check CHECK ((cron_details_days >= 1))
  constraint settings_edit_spacing_ms_check CHECK (((edit_spacing_ms >= 0) AND (edit_spacing_ms <= 600000)))
  constraint settings_id_check CHECK (id)
  constraint settings_lease_seconds_check CHECK (((lease_seconds >= 12) AND (lease_seconds <= 120)))
  constraint settings_log_days_check CHECK ((log_days >= 1))
  constraint settings_log_rows_check CHECK ((log_rows >= 1000))
  constraint settings_max_crashes_check CHECK ((max_crashes >= 1))
  constraint settings_mode_check CHECK ((mode = ANY (ARRAY['off'::text, 'dry_run'::text, 'live'::text])))
  constraint settings_net_response_hours_check CHECK ((net_response_hours >= 1))
  constraint settings_oldest_share_check CHECK (((oldest_share >= (0)::numeric) AND (oldest_share <= (1)::numeric)))
  constraint settings_pkey PRIMARY KEY (id)
  constraint settings_pull_lookback_days_check CHECK (((pull_lookback_days >= 1) AND (pull_lookback_days <= 366)))
  constraint settings_pull_share_check CHECK (((pull_share > (0)::numeric) AND (pull_share <= (1)::numeric)))
  constraint settings_redelivery_hours_check CHECK (((redelivery_hours >= 0) AND (redelivery_hours <= 720)))
  constraint settings_retry_base_seconds_check CHECK ((retry_base_seconds > (0)::numeric))
  constraint settings_webhook_attempts_check CHECK ((webhook_attempts >= 1))
  constraint settings_webhook_days_check CHECK ((webhook_days >= 1))
  CREATE TRIGGER keep_settings BEFORE DELETE OR TRUNCATE ON luma.settings FOR EACH STATEMENT EXECUTE FUNCTION luma.keep_settings()
  CREATE TRIGGER log_settings AFTER UPDATE ON luma.settings FOR EACH ROW EXECUTE FUNCTION luma.log_settings()

table luma.sync_outbox -- Entities that differ, or may differ, from Luma. Written by triggers, drained by the Edge Function luma-drain.
  row level security
  attempts integer not null default 0 -- Failed attempts in a row.
  backfill_started_at timestamp with time zone -- The backfill that it was last a part of, by its start.
  backfill_version bigint -- The version that the backfill is to send: a part of it while done_version is smaller.
  calendar text -- luma_key of the calendar to call; null until the drain routes the entity.
  changed_at timestamp with time zone not null default clock_timestamp() -- When the oldest change that Luma does not have was made.
  crashes integer not null default 0 -- Leases in a row that expired without a word from their drain.
  dead_at timestamp with time zone -- Given up: Luma refused it, or it killed its drains. A new change or luma.retry() revives it.
  done_version bigint not null default 0 -- Last version that Luma has. Due while smaller than version.
  dry_version bigint not null default 0 -- Last version that was logged in dry_run mode.
  due_at timestamp with time zone not null default now() -- Not before this: the end of a retry delay, of the spacing between two edits or, while leased, of the lease.
  entity text not null
  entity_id uuid not null
  event_id uuid not null -- The event of an RSVP, by which RSVPs go together; of an event its own id.
  last_error text
  lease uuid -- Who may settle this row. Null or past due_at: nobody.
  lease_state jsonb -- What is being sent: luma.event_state() when the lease was taken, which becomes the base on acknowledgement; of an RSVP what luma.guest_need() said.
  lease_version bigint -- The version that the holder of the lease sends.
  leased_at timestamp with time zone
  leased_by uuid
  priority smallint not null -- 1 cancellations and RSVPs, 2 creates, 3 edits, 4 backfill.
  version bigint not null default 1 -- Bumped by every change of the entity.
  wake boolean not null default false -- True on the first row that a transaction enqueues: its commit rings the drain's bell.
  constraint sync_outbox_check CHECK (((done_version <= version) AND (dry_version <= version)))
  constraint sync_outbox_check1 CHECK ((((lease IS NULL) = (lease_version IS NULL)) AND ((lease IS NULL) = (leased_at IS NULL))))
  constraint sync_outbox_check2 CHECK (((dead_at IS NULL) OR ((lease IS NULL) AND (last_error IS NOT NULL))))
  constraint sync_outbox_entity_check CHECK ((entity = ANY (ARRAY['event'::text, 'rsvp'::text, 'guest'::text])))
  constraint sync_outbox_pkey PRIMARY KEY (entity, entity_id)
  constraint sync_outbox_priority_check CHECK (((priority >= 1) AND (priority <= 4)))
  CREATE INDEX sync_outbox_due ON luma.sync_outbox USING btree (calendar, priority, due_at) WHERE ((version > done_version) AND (dead_at IS NULL))
  CREATE UNIQUE INDEX sync_outbox_lease ON luma.sync_outbox USING btree (lease) WHERE (lease IS NOT NULL)
  CREATE INDEX sync_outbox_leased ON luma.sync_outbox USING btree (due_at) WHERE (leased_at IS NOT NULL)
  CREATE INDEX sync_outbox_rsvps ON luma.sync_outbox USING btree (event_id, due_at) WHERE ((entity = 'rsvp'::text) AND (version > done_version) AND (dead_at IS NULL))
  CREATE INDEX sync_outbox_unrouted ON luma.sync_outbox USING btree (entity, priority, due_at) WHERE ((calendar IS NULL) AND (version > done_version) AND (dead_at IS NULL))
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF last_error ON luma.sync_outbox FOR EACH ROW WHEN ((new.last_error IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('last_error')
  CREATE CONSTRAINT TRIGGER wake_drain AFTER INSERT OR UPDATE OF wake ON luma.sync_outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.wake) EXECUTE FUNCTION luma.kick_at_commit()

table luma.webhook_inbox -- Signed webhook deliveries of Luma, one row each. Guests' names, e-mails and phone numbers are in the payloads; luma.clean_up() deletes rows after luma.settings.webhook_days.
  row level security
  applied_at timestamp with time zone
  attempts integer not null default 0 -- Tries to apply it.
  calendar text not null -- luma_key of the calendar whose webhook secret fitted the signature.
  due_at timestamp with time zone -- To be applied from then on. Null: nothing is left to do.
  error text -- What went wrong last, at linking (the state stays stored) or at applying.
  news jsonb -- What the payload says to the app's rows (from_luma.ts, News). Null: nothing, or it could not be read.
  outcome text -- What became of it: inserted, updated, linked, unchanged, cancelled, external (a guest who is nobody's RSVP), to be read (from Luma, because webhooks may have crossed), or why it was left.
  payload jsonb not null -- The whole body: {"type", "data"}.
  received_at timestamp with time zone not null default now()
  sent_at timestamp with time zone not null -- When Luma signed the first delivery that arrived. Deliveries overtake each other and carry no version, so this is no order of changes.
  state text not null default 'stored'::text -- stored: nothing was made of it, or not yet (due_at). applied. failed: given up, see error; luma.retry() tries again.
  times_received integer not null default 1 -- Deliveries with this id; more than 1 is normal, Luma promises at least one.
  type text not null -- event.created, guest.updated, …; one that this version does not know is stored all the same.
  webhook_id text not null -- Luma's Webhook-Id header, the same when a delivery is repeated.
  constraint webhook_inbox_failed_says_why CHECK (((state <> 'failed'::text) OR (error IS NOT NULL)))
  constraint webhook_inbox_pkey PRIMARY KEY (webhook_id)
  constraint webhook_inbox_state_check CHECK ((state = ANY (ARRAY['stored'::text, 'applied'::text, 'failed'::text])))
  constraint webhook_inbox_webhook_id_check CHECK (((length(webhook_id) >= 1) AND (length(webhook_id) <= 255)))
  CREATE INDEX webhook_inbox_calendar ON luma.webhook_inbox USING btree (calendar, received_at)
  CREATE INDEX webhook_inbox_due ON luma.webhook_inbox USING btree (due_at) WHERE (due_at IS NOT NULL)
  CREATE INDEX webhook_inbox_event ON luma.webhook_inbox USING btree (((news #>> '{event,luma_event_id}'::text[])))
  CREATE INDEX webhook_inbox_received ON luma.webhook_inbox USING btree (received_at)
  CREATE TRIGGER redact_error BEFORE INSERT OR UPDATE OF error ON luma.webhook_inbox FOR EACH ROW WHEN ((new.error IS NOT NULL)) EXECUTE FUNCTION luma.redact_column('error')

-- views ---------------------------------------------------------------------------------------------------------

view luma.alert_causes -- What is wrong now and worth a message: a calendar that has stopped or lacks its key, dead letters, changes that wait too long, webhooks that are silent while pulls find changes, functions that do not start, triggers that fail.
 WITH late AS (
         SELECT o.calendar,
            min(o.changed_at) AS since
           FROM luma.sync_outbox o
          WHERE ((o.version > o.done_version) AND (o.dead_at IS NULL) AND (o.priority < 4) AND (o.changed_at < (now() - ( SELECT s.alert_lag
                   FROM luma.settings s))) AND (NOT (EXISTS ( SELECT
                   FROM luma.calendar_state c
                  WHERE ((c.luma_key = o.calendar) AND ((c.stopped_at IS NOT NULL) OR ((c.paused_by = 'admin'::text) AND (c.paused_until > now()))))))))
          GROUP BY o.calendar
        )
 SELECT 'calendar'::text AS kind,
    s.luma_key AS subject,
    (1)::bigint AS level,
    format('%s: %s'::text, s.luma_key, s.problem) AS message
   FROM luma.calendar_state s
  WHERE (s.problem IS NOT NULL)
UNION ALL
 SELECT 'dead_letters'::text AS kind,
    ''::text AS subject,
    count(*) AS level,
    format('dead letters, which are not tried again by themselves: %s. select * from luma.dead_letters;'::text, count(*)) AS message
   FROM luma.dead_letters d
 HAVING (count(*) > 0)
UNION ALL
 SELECT 'lag'::text AS kind,
    COALESCE(l.calendar, ''::text) AS subject,
    1 AS level,
    format('%s: a change has waited for Luma since %s UTC: select * from luma.queue;'::text, COALESCE(l.calendar, 'not routed yet'::text), to_char((l.since AT TIME ZONE 'utc'::text), 'YYYY-MM-DD HH24:MI'::text)) AS message
   FROM late l
  WHERE (luma.mode() = 'live'::text)
UNION ALL
 SELECT 'webhooks'::text AS kind,
    c.luma_key AS subject,
    1 AS level,
    format('%s: pulls find changes that no webhook has told for an hour. deno task doctor says why.'::text, c.luma_key) AS message
   FROM public.calendars c
  WHERE ((c.luma_key IS NOT NULL) AND (luma.mode() = 'live'::text) AND luma.is_deaf(c.luma_key) AND (COALESCE(luma.heard_from(c.luma_key), '-infinity'::timestamp with time zone) < (now() - '01:00:00'::interval)))
UNION ALL
 SELECT 'functions'::text AS kind,
    ''::text AS subject,
    1 AS level,
    p.problem AS message
   FROM ( SELECT COALESCE(luma.drain_problem(), luma.pull_problem()) AS problem) p
  WHERE (p.problem IS NOT NULL)
UNION ALL
 SELECT 'triggers'::text AS kind,
    ''::text AS subject,
    1 AS level,
    format('changes that their triggers could not enqueue, nor since the sweep: %s. select * from luma.missed_changes;'::text, count(*)) AS message
   FROM luma.missed_changes m
  WHERE (m.missed_at < (now() - '00:10:00'::interval))
 HAVING (count(*) > 0);

view luma.alerts -- What is wrong, or was, and when somebody was told. Messages go to the address of luma.set_alert_url().
 SELECT kind,
    NULLIF(subject, ''::text) AS calendar,
    message,
    raised_at,
    over_at,
    told_at,
    end_told_at,
        CASE
            WHEN (over_at IS NULL) THEN 'open'::text
            ELSE 'over'::text
        END AS state
   FROM luma.alert_states a;

view luma.backfill_progress -- One row: the last backfill, in events and RSVPs. RSVPs of events that are new to Luma join when it has them, so total grows. per_minute is its pace while it runs, ends_at follows from that.
 SELECT
        CASE
            WHEN (b.started_at IS NULL) THEN 'none'::text
            WHEN (c.waiting = 0) THEN 'done'::text
            WHEN (b.stopped_at IS NOT NULL) THEN 'stopped'::text
            ELSE 'running'::text
        END AS state,
    b.started_at,
    c.total,
    c.done,
    c.waiting,
    c.dead,
    c.per_minute,
        CASE
            WHEN (c.per_minute > (0)::numeric) THEN (now() + ((((c.waiting)::numeric / c.per_minute))::double precision * '00:01:00'::interval))
            ELSE NULL::timestamp with time zone
        END AS ends_at
   FROM (luma.backfill_state b
     CROSS JOIN LATERAL ( SELECT p.total,
            p.done,
            p.waiting,
            p.dead,
                CASE
                    WHEN ((b.stopped_at IS NULL) AND (p.waiting > 0)) THEN round(((GREATEST((p.done - b.done_before), (0)::bigint))::numeric / GREATEST((EXTRACT(epoch FROM (now() - b.resumed_at)) / (60)::numeric), 0.1)), 1)
                    ELSE NULL::numeric
                END AS per_minute
           FROM ( SELECT count(*) AS total,
                    count(*) FILTER (WHERE (o.done_version >= o.backfill_version)) AS done,
                    count(*) FILTER (WHERE ((o.done_version < o.backfill_version) AND (o.dead_at IS NULL))) AS waiting,
                    count(*) FILTER (WHERE ((o.done_version < o.backfill_version) AND (o.dead_at IS NOT NULL))) AS dead
                   FROM luma.sync_outbox o
                  WHERE (o.backfill_started_at = b.started_at)) p) c);

view luma.calendar_status -- Each calendar with a key: may it be called, and if not why; its calls of the last minute and those left; its last webhook and the last pull that read it whole.
 SELECT c.luma_key AS calendar,
    c.name,
    (luma.calendar_ready(c.luma_key) AND (s.problem IS NULL)) AS ready,
    s.problem,
    s.stopped_at,
    s.paused_until,
    s.paused_by,
    p.calls AS calls_last_minute,
    luma.permits_free(c.luma_key) AS calls_left,
    luma.call_limit(c.luma_key) AS calls_per_minute,
    luma.heard_from(c.luma_key) AS last_webhook,
    luma.is_deaf(c.luma_key) AS webhooks_missed,
    ( SELECT max(r.ended_at) AS max
           FROM luma.pull_runs r
          WHERE ((r.calendar = c.luma_key) AND (r.luma_event_id IS NULL) AND (r.outcome = 'done'::text))) AS last_pull
   FROM ((public.calendars c
     LEFT JOIN luma.calendar_state s ON ((s.luma_key = c.luma_key)))
     CROSS JOIN LATERAL ( SELECT (COALESCE(sum(r.permits), (0)::bigint))::integer AS calls
           FROM luma.rate_permits r
          WHERE ((r.calendar = c.luma_key) AND (r.free_at > now()))) p)
  WHERE (c.luma_key IS NOT NULL);

view luma.dead_letters -- What was given up, why, and the statement that tries it again. Mending the row tries again by itself.
 SELECT o.entity,
    o.entity_id,
        CASE o.entity
            WHEN 'rsvp'::text THEN format('%s: RSVP of %s'::text, e.title, COALESCE(r.user_id, l.user_id))
            WHEN 'guest'::text THEN format('%s: guest on Luma'::text, e.title)
            ELSE e.title
        END AS title,
    o.calendar,
    o.last_error AS error,
    o.dead_at,
    o.changed_at,
    format('select luma.retry(%L);'::text, o.entity_id) AS to_retry
   FROM (((luma.sync_outbox o
     LEFT JOIN public.canonical_events e ON ((e.id = o.event_id)))
     LEFT JOIN public.event_rsvps r ON (((o.entity = 'rsvp'::text) AND (r.id = o.entity_id))))
     LEFT JOIN luma.guest_links l ON (((o.entity = 'rsvp'::text) AND (l.rsvp_id = o.entity_id))))
  WHERE (o.dead_at IS NOT NULL)
UNION ALL
 SELECT 'webhook'::text AS entity,
    NULL::uuid AS entity_id,
    i.type AS title,
    i.calendar,
    i.error,
    i.received_at AS dead_at,
    i.received_at AS changed_at,
    format('select luma.retry(%L);'::text, i.webhook_id) AS to_retry
   FROM luma.webhook_inbox i
  WHERE (i.state = 'failed'::text);

view luma.deliveries -- Webhook deliveries, and what became of each. The payloads are in luma.webhook_inbox.
 SELECT i.webhook_id,
    i.calendar,
    i.type,
    i.state,
    i.outcome,
    i.error,
    i.attempts,
    i.due_at,
    i.received_at,
    i.applied_at,
    (i.applied_at - i.received_at) AS took,
    i.times_received,
    l.event_id,
    e.title
   FROM ((luma.webhook_inbox i
     LEFT JOIN luma.event_links l ON ((l.luma_event_id = (i.news #>> '{event,luma_event_id}'::text[]))))
     LEFT JOIN public.canonical_events e ON ((e.id = l.event_id)));

view luma.due_jobs -- Outbox rows with something to send in this mode, whose time has come. The one definition of "due".
 SELECT entity,
    entity_id,
    version,
    done_version,
    dry_version,
    priority,
    calendar,
    due_at,
    changed_at,
    wake,
    attempts,
    crashes,
    lease,
    leased_by,
    leased_at,
    lease_version,
    lease_state,
    dead_at,
    last_error,
    event_id,
    backfill_started_at,
    backfill_version
   FROM luma.sync_outbox o
  WHERE ((version > done_version) AND (dead_at IS NULL) AND (due_at <= now()) AND (( SELECT luma.mode() AS mode) <> 'off'::text) AND ((version > dry_version) OR (( SELECT luma.mode() AS mode) <> 'dry_run'::text)) AND ((crashes < 2) OR (NOT (EXISTS ( SELECT
           FROM luma.sync_outbox s
          WHERE ((s.leased_at IS NOT NULL) AND (s.due_at > now()) AND (s.crashes >= 2)))))) AND ((priority < 4) OR (backfill_version IS NULL) OR (done_version >= backfill_version) OR (NOT ( SELECT luma.backfill_stopped() AS backfill_stopped))));

view luma.duplicates -- Rows that show a Luma event which another row (same_as) is linked with. Nothing is merged by itself: an admin deletes or cancels one of the two.
 SELECT e.id AS event_id,
    e.title,
    e.source_type,
    e.submission_status,
    l.event_id AS same_as,
    k.title AS same_as_title,
    l.luma_event_id,
    COALESCE(l.url, ('https://luma.com/'::text || l.slug)) AS luma_url
   FROM (((public.canonical_events e
     CROSS JOIN LATERAL ( SELECT p_1.page,
            p_1.is_certain
           FROM luma.pages_shown(e.*) p_1(page, is_certain)
        UNION
         SELECT lower(e.luma_event_id) AS lower,
            true
          WHERE (e.luma_event_id IS NOT NULL)) p)
     JOIN ( SELECT l_1.event_id,
            l_1.luma_event_id,
            l_1.url,
            l_1.slug,
            k_1.key
           FROM (luma.event_links l_1
             CROSS JOIN LATERAL luma.link_keys(l_1.*) k_1(key))
          WHERE (l_1.luma_event_id IS NOT NULL)) l ON (((l.key = p.page) AND (l.event_id <> e.id))))
     LEFT JOIN public.canonical_events k ON ((k.id = l.event_id)))
  WHERE ((NOT (EXISTS ( SELECT
           FROM luma.event_links x
          WHERE ((x.event_id = e.id) AND (x.luma_event_id IS NOT NULL))))) AND (p.is_certain OR luma.is_alike(e.*, k.title, k.starts_at)))
  GROUP BY e.id, l.event_id, k.title, l.luma_event_id, l.url, l.slug;

view luma.event_status -- Each event: is it on Luma, what is waiting, and why.
 SELECT e.id AS event_id,
    e.title,
    e.submission_status,
    e.starts_at,
        CASE
            WHEN (o.dead_at IS NOT NULL) THEN 'failed'::text
            WHEN ((o.version > o.done_version) AND (o.lease IS NOT NULL)) THEN 'in flight'::text
            WHEN (o.version > o.done_version) THEN 'waiting'::text
            WHEN (l.luma_event_id IS NULL) THEN 'not on Luma'::text
            WHEN ((l.row_base ->> 'shown'::text))::boolean THEN 'on Luma'::text
            ELSE 'hidden on Luma'::text
        END AS status,
        CASE
            WHEN (o.version > o.done_version) THEN COALESCE(o.last_error, luma.why_not_called(o.calendar),
            CASE luma.mode()
                WHEN 'off'::text THEN 'the mode is off'::text
                WHEN 'dry_run'::text THEN 'the mode is dry_run'::text
                ELSE NULL::text
            END, luma.drain_problem())
            WHEN (l.luma_event_id IS NULL) THEN luma.why_not_created(e.*)
            WHEN l.look THEN concat_ws(' '::text, l.warning, 'It will be read from Luma.')
            ELSE l.warning
        END AS note,
    COALESCE(l.calendar, o.calendar) AS calendar,
    l.luma_event_id,
        CASE
            WHEN (l.luma_event_id IS NOT NULL) THEN COALESCE(l.url, ('https://luma.com/'::text || l.slug))
            ELSE NULL::text
        END AS luma_url,
    l.synced_at,
    o.due_at,
    o.attempts
   FROM ((public.canonical_events e
     LEFT JOIN luma.event_links l ON ((l.event_id = e.id)))
     LEFT JOIN luma.sync_outbox o ON (((o.entity = 'event'::text) AND (o.entity_id = e.id))));

view luma.external_guests -- Guests on Luma who are nobody's RSVP, and why not. They count in current_rsvp_count, and become RSVPs when a user with their e-mail address or phone number appears. hint: users with the same name, for an admin to ask; a name alone never matches.
 SELECT g.id,
    g.event_id,
    e.title,
    g.luma_guest_id,
    g.email,
    (g.news ->> 'name'::text) AS name,
    (g.news ->> 'phone'::text) AS phone,
    g.luma_base AS status,
    ((g.news ->> 'registered_at'::text))::timestamp with time zone AS registered_at,
    ((g.news ->> 'checked_in_at'::text))::timestamp with time zone AS checked_in_at,
    luma.why_external(g.*) AS why,
    ('The same name: '::text || alike.ids) AS hint
   FROM ((luma.guests g
     LEFT JOIN public.canonical_events e ON ((e.id = g.event_id)))
     LEFT JOIN ( SELECT lower(u.name) AS name,
            string_agg(u.id, ', '::text ORDER BY u.id) AS ids
           FROM public.users u
          WHERE (lower(u.name) IN ( SELECT lower((n.news ->> 'name'::text)) AS lower
                   FROM luma.guests n
                  WHERE luma.is_external(n.*)))
          GROUP BY (lower(u.name))
         HAVING (count(*) <= 3)) alike ON ((alike.name = lower((g.news ->> 'name'::text)))))
  WHERE luma.is_external(g.*);

view luma.health -- One row: the queue (with luma.rechecks and the webhook deliveries that wait), the calendars (also their last webhook and pull), what is wrong, the backfill, and how many rows luma.duplicates has.
 SELECT luma.mode() AS mode,
    ((count(*) FILTER (WHERE ((version > done_version) AND (dead_at IS NULL))) + ( SELECT count(*) AS count
           FROM luma.rechecks)) + ( SELECT count(*) AS count
           FROM luma.webhook_inbox i
          WHERE (i.due_at IS NOT NULL))) AS waiting,
    count(*) FILTER (WHERE ((lease IS NOT NULL) AND (due_at > now()))) AS in_flight,
    (count(*) FILTER (WHERE (dead_at IS NOT NULL)) + ( SELECT count(*) AS count
           FROM luma.webhook_inbox i
          WHERE (i.state = 'failed'::text))) AS dead,
    (now() - min(changed_at) FILTER (WHERE ((version > done_version) AND (dead_at IS NULL)))) AS oldest_waiting,
    ( SELECT count(*) AS count
           FROM luma.missed_changes) AS missed_changes,
    ( SELECT max(r.started_at) AS max
           FROM luma.drain_runs r) AS last_drain,
    ( SELECT jsonb_object_agg(c.luma_key, jsonb_build_object('ready', luma.calendar_ready(c.luma_key), 'problem', s.problem, 'paused_until', s.paused_until, 'last_webhook', luma.heard_from(c.luma_key), 'webhooks_missed', luma.is_deaf(c.luma_key), 'last_pull', ( SELECT max(r.ended_at) AS max
                   FROM luma.pull_runs r
                  WHERE ((r.calendar = c.luma_key) AND (r.luma_event_id IS NULL) AND (r.outcome = 'done'::text))), 'calls_last_minute', ( SELECT COALESCE(sum(p.permits), (0)::bigint) AS "coalesce"
                   FROM luma.rate_permits p
                  WHERE ((p.calendar = c.luma_key) AND (p.free_at > now()))))) AS jsonb_object_agg
           FROM (public.calendars c
             LEFT JOIN luma.calendar_state s ON ((s.luma_key = c.luma_key)))
          WHERE (c.luma_key IS NOT NULL)) AS calendars,
    ( SELECT string_agg(c.message, '
'::text ORDER BY c.kind, c.subject) AS string_agg
           FROM luma.alert_causes c) AS problem,
    ( SELECT to_jsonb(b.*) AS to_jsonb
           FROM luma.backfill_progress b) AS backfill,
    ( SELECT count(*) AS count
           FROM luma.duplicates) AS duplicates
   FROM luma.sync_outbox o;

view luma.lag -- How long the changes of the last hour took, by direction and kind. Backfills are left out.
 SELECT direction,
    entity,
    count(*) AS changes,
    round((percentile_cont((0.5)::double precision) WITHIN GROUP (ORDER BY ((ms)::double precision)))::numeric, 1) AS p50_ms,
    round((percentile_cont((0.99)::double precision) WITHIN GROUP (ORDER BY ((ms)::double precision)))::numeric, 1) AS p99_ms,
    round(max(ms), 1) AS max_ms
   FROM luma.lags('01:00:00'::interval) l(direction, entity, calendar, settled_at, ms)
  GROUP BY direction, entity;

view luma.pulls -- Each pull: what it was to read, how far it is, and what it found. to_read was left to the drain; problems are the first errors in words.
 SELECT r.id,
    r.calendar,
    e.title,
    r.luma_event_id,
        CASE
            WHEN (r.ended_at IS NOT NULL) THEN r.outcome
            WHEN (r.started_at IS NULL) THEN 'waiting'::text
            WHEN ((r.lease IS NOT NULL) AND (r.alive_until > now())) THEN 'running'::text
            ELSE 'to be continued'::text
        END AS state,
        CASE
            WHEN r.is_dry THEN 'compare'::text
            WHEN r.is_full THEN 'everything'::text
            ELSE 'what may have changed'::text
        END AS reads,
        CASE
            WHEN r.is_asked THEN 'asked'::text
            ELSE 'schedule'::text
        END AS reason,
    r.phase,
    r.requested_at,
    r.started_at,
    r.ended_at,
    (COALESCE(r.ended_at, now()) - r.started_at) AS took,
    r.events,
    r.guests,
    (r.events + r.guests) AS processed,
    r.inserted,
    r.updated,
    r.unchanged,
    r.to_read,
    r.errors,
    r.calls,
    r.problems
   FROM ((luma.pull_runs r
     LEFT JOIN luma.event_links l ON ((l.luma_event_id = r.luma_event_id)))
     LEFT JOIN public.canonical_events e ON ((e.id = l.event_id)));

view luma.queue -- What is still to be done, by kind and calendar. due: now. waiting: for a retry, the spacing of edits or a pause. oldest_due: since when the oldest of what is due has waited. No calendar: not routed yet.
 SELECT entity,
    calendar,
    count(*) FILTER (WHERE (state = 'due'::text)) AS due,
    count(*) FILTER (WHERE (state = 'waiting'::text)) AS waiting,
    count(*) FILTER (WHERE (state = 'in flight'::text)) AS in_flight,
    count(*) FILTER (WHERE (state = 'dead'::text)) AS dead,
    min(since) FILTER (WHERE (state = 'due'::text)) AS oldest_due
   FROM ( SELECT o.entity,
            o.calendar,
            o.changed_at AS since,
                CASE
                    WHEN (o.dead_at IS NOT NULL) THEN 'dead'::text
                    WHEN ((o.lease IS NOT NULL) AND (o.due_at > now())) THEN 'in flight'::text
                    WHEN (o.due_at > now()) THEN 'waiting'::text
                    ELSE 'due'::text
                END AS state
           FROM luma.sync_outbox o
          WHERE (o.version > o.done_version)
        UNION ALL
         SELECT 'webhook'::text,
            i.calendar,
            i.received_at,
                CASE
                    WHEN (i.state = 'failed'::text) THEN 'dead'::text
                    WHEN (i.due_at > now()) THEN 'waiting'::text
                    ELSE 'due'::text
                END AS "case"
           FROM luma.webhook_inbox i
          WHERE ((i.state = 'failed'::text) OR (i.due_at IS NOT NULL))
        UNION ALL
         SELECT 'pull'::text,
            r.calendar,
            r.requested_at,
                CASE
                    WHEN ((r.lease IS NOT NULL) AND (r.alive_until > now())) THEN 'in flight'::text
                    WHEN (r.due_at > now()) THEN 'waiting'::text
                    ELSE 'due'::text
                END AS "case"
           FROM luma.pull_runs r
          WHERE (r.ended_at IS NULL)) j
  GROUP BY entity, calendar;

view luma.rsvp_status -- Each RSVP: does Luma have it, what is waiting, and why. held: it is sent when its event is on Luma and its user has an e-mail address.
 SELECT r.id AS rsvp_id,
    r.event_id,
    e.title,
    r.user_id,
    r.status AS rsvp_status,
        CASE
            WHEN (o.dead_at IS NOT NULL) THEN 'failed'::text
            WHEN ((o.version > o.done_version) AND (o.lease IS NOT NULL)) THEN 'in flight'::text
            WHEN (o.version > o.done_version) THEN 'waiting'::text
            WHEN (n.agreed = n.wanted) THEN 'on Luma'::text
            WHEN (NOT luma.takes_guests(r.event_id)) THEN 'held'::text
            WHEN ((n.email IS NULL) AND (n.wanted <> 'declined'::text)) THEN 'held'::text
            WHEN (n.kind IS NULL) THEN 'not on Luma'::text
            ELSE 'waiting'::text
        END AS status,
        CASE
            WHEN (o.version > o.done_version) THEN COALESCE(o.last_error, luma.why_not_called(o.calendar),
            CASE luma.mode()
                WHEN 'off'::text THEN 'the mode is off'::text
                WHEN 'dry_run'::text THEN 'the mode is dry_run'::text
                ELSE NULL::text
            END, luma.drain_problem())
            WHEN (n.agreed = n.wanted) THEN
            CASE
                WHEN (n.wanted <> luma.guest_status(r.status)) THEN format('another RSVP of this event has the same e-mail address, and Luma one guest for both: %s'::text, n.wanted)
                ELSE NULL::text
            END
            WHEN (e.submission_status IS DISTINCT FROM 'approved'::text) THEN format('the event is not approved (submission_status %s)'::text, COALESCE(e.submission_status, 'null'::text))
            WHEN luma.is_over(e.*) THEN 'the event is over'::text
            WHEN (NOT luma.takes_guests(r.event_id)) THEN 'the event is not on Luma yet, see luma.event_status'::text
            WHEN ((n.email IS NULL) AND (n.wanted <> 'declined'::text)) THEN 'the user has no usable e-mail address (users.email)'::text
            ELSE NULL::text
        END AS note,
    n.email,
    n.agreed AS luma_status,
    n.luma_guest_id,
    g.synced_at,
    o.due_at,
    o.attempts
   FROM ((((public.event_rsvps r
     JOIN public.canonical_events e ON ((e.id = r.event_id)))
     CROSS JOIN LATERAL luma.guest_need(r.id) n(event_id, user_id, email, name, wanted, agreed, in_doubt, luma_guest_id, busy, moved, kind))
     LEFT JOIN luma.guests g ON (((g.event_id = n.event_id) AND (g.email = n.email))))
     LEFT JOIN luma.sync_outbox o ON (((o.entity = 'rsvp'::text) AND (o.entity_id = r.id))));

-- functions -----------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION luma.add_external_guests()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  -- Whoever writes the column has the row's lock, and luma.add_to_count() takes it first: so this reads
  -- the number that goes with the row.
  new.current_rsvp_count := new.current_rsvp_count
    + coalesce((select l.external_count from luma.event_links l where l.event_id = new.id), 0);
  return new;
exception when others then
  raise warning 'luma: the external guests of event % were not counted: %', new.id, sqlerrm;
  return new;
end
$function$
  -- Trigger: adds the external guests to a count that was written without them. Never raises.

CREATE OR REPLACE FUNCTION luma.add_to_count(of_event_id uuid, difference integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  before integer;
begin
  -- The app's row first, as everywhere.
  perform from public.canonical_events e where e.id = of_event_id for no key update;
  select l.external_count into before from luma.event_links l where l.event_id = of_event_id for update;
  update luma.event_links l set external_count = before + difference where l.event_id = of_event_id;
  -- Without them, as the app writes it: the trigger adds those that there are now.
  update public.canonical_events e set current_rsvp_count = greatest(coalesce(e.current_rsvp_count, 0) - before, 0)
  where e.id = of_event_id;
end
$function$
  -- There are so many external guests more, or fewer: current_rsvp_count says so too.

CREATE OR REPLACE FUNCTION luma.added_columns()
 RETURNS TABLE(in_table regclass, in_column text)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select t.name::regclass, c.name
  from (values
    ('public.canonical_events', array['meeting_url', 'visibility', 'luma_sync_status', 'luma_synced_at']),
    ('public.event_rsvps', array['luma_guest_id', 'luma_synced_at']),
    ('public.calendars', array[
      'has_api_key', 'sync_method', 'luma_calendar_id', 'luma_key', 'luma_is_default',
      'fence_lat', 'fence_lng', 'fence_radius_km'
    ])
  ) t (name, columns)
  cross join lateral unnest(t.columns) c (name)
$function$
  -- The columns that this project has added to the app's tables.

CREATE OR REPLACE FUNCTION luma.added_indexes()
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN '{users_email_as_luma,users_phone_tail,event_rsvps_user_id}'::text[]
  -- The indexes that this project has made on columns of the app's, in schema public.

CREATE OR REPLACE FUNCTION luma.address_hash(address text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select encode(sha256(convert_to(k.key || lower(btrim(address)), 'UTF8')), 'hex') from luma.forget_key k
$function$
  -- How luma.forgotten knows an e-mail address.

CREATE OR REPLACE FUNCTION luma.adopt_event(event public.canonical_events, link luma.event_links, news jsonb, source text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if event.source_type in ('ical', 'luma') then
    perform set_config('luma.applying', 'on', true);
    update public.canonical_events e set source_type = 'luma', luma_event_id = news ->> 'luma_event_id'
    where e.id = event.id returning e.* into event;
    perform set_config('luma.applying', '', true);
    perform luma.merge_event(event, link, news, source);
    -- The feed's copy was Luma's own: nothing of it is a change made here.
    update luma.event_links l set row_base = luma.event_state(e) from public.canonical_events e
    where l.event_id = event.id and e.id = event.id;
  else
    perform luma.adopt_own_event(event, link, news, source);
    -- Lists tell no descriptions.
    perform luma.request_look(link.event_id, tags => not news ? 'tags');
    -- Its creation may have been waiting, more urgently.
    update luma.sync_outbox o set priority = 4 where o.entity = 'event' and o.entity_id = link.event_id;
  end if;
  if source = 'webhook' then
    -- Its guests, before its RSVPs are sent. A pull comes to them by itself.
    perform luma.ask_pull(link.calendar, link.luma_event_id);
  end if;
end
$function$
  -- Links a row with the Luma event that it shows. Of a feed's row, which becomes a luma row, Luma says all; else the app leads.

CREATE OR REPLACE FUNCTION luma.adopt_own_event(event public.canonical_events, link luma.event_links, news jsonb, source text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  state jsonb := luma.event_state(event);
  -- What Luma never tells. It is sent if it says something; else nothing there is emptied because of it.
  untold text[] := '{shown,location_type,max_capacity,category,is_ticketed,ticket_price,ticket_currency}';
  to_send text[] := array(
    select s.key from jsonb_each_text(state) s
    where s.key = 'max_capacity' and s.value is not null
      or s.key in ('category', 'is_ticketed', 'ticket_price', 'ticket_currency') and (event.is_ticketed or event.category = 'ticketed')
  );
begin
  event := luma.write_event(event, jsonb_build_object('luma_event_id', news ->> 'luma_event_id'));
  link.row_base := (select jsonb_object_agg(s.key, s.value) from jsonb_each(state) s where s.key = any (untold)) - to_send;
  -- While it is being adopted luma.merge_event() takes every field that it has not heard of by the rules of adoption.
  perform luma.merge_event(event, link, news, source);
  if to_send <> '{}' and event.submission_status = 'approved' then
    -- Nobody is mailed because of it.
    perform luma.enqueue('event', event.id, 4, event.id);
  end if;
end
$function$
  -- Links a row of the app's with the Luma event it shows: what it says goes to Luma (luma.conflicts has what was there), what it leaves open comes from Luma.

CREATE OR REPLACE FUNCTION luma.adoptable_row(news jsonb)
 RETURNS public.canonical_events
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  luma_id text := news ->> 'luma_event_id';
  known_id uuid;
  event public.canonical_events;
begin
  select e.id into known_id
  from (select substring(news ->> 'slug' from '(?:^|-)([0-9a-f]{12})$') as digits) own
  cross join lateral (
    select e.id as event_id, true as is_certain from public.canonical_events e
    where e.luma_event_id = luma_id and not exists (select from luma.event_links l where l.event_id = e.id)
    union all
    -- A slug that we chose (luma.slug_for()) ends in 12 digits of the row's id: the link was lost with a restored backup.
    select e.id, true from public.canonical_events e
    where e.id between (own.digits || repeat('0', 20))::uuid and (own.digits || repeat('f', 20))::uuid
      and not exists (select from luma.event_links l where l.event_id = e.id)
    union all
    select r.* from luma.rows_of_page(
      array[lower(luma_id), lower(news ->> 'slug')] || array(select luma.page_keys(news ->> 'url')),
      news #>> '{fields,name,value}', (news #>> '{fields,start_at,value}')::timestamptz
    ) r
  ) c
  join public.canonical_events e on e.id = c.event_id
  -- What an admin has ended does not come back as this event; and what may be being created has its own.
  where e.submission_status not in ('cancelled', 'rejected', 'draft')
    and not exists (select from luma.event_links l where l.event_id = e.id and l.create_lease is not null)
  -- The row that people made rather than the feed's copy, and the older of two.
  order by e.luma_event_id is not distinct from luma_id desc, c.is_certain desc, e.source_type = 'ical', e.created_at, e.id
  limit 1;
  if known_id is null then
    return null;
  end if;
  select * into event from public.canonical_events e where e.id = known_id for no key update skip locked;
  if not found then
    perform luma.busy(format('event %s', known_id));
  end if;
  perform luma.lock_unleased('event', known_id);
  return event;
end
$function$
  -- The row that shows a Luma event which is new here, locked, or null. Others that show it too are in luma.duplicates. Raises LM001.

CREATE OR REPLACE FUNCTION luma.alert_body(address text, message text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN jsonb_build_object(CASE WHEN (address ~ '^https://([a-z0-9-]+[.])*discord(app)?[.]com/'::text) THEN 'content'::text ELSE 'text'::text END, message)
  -- The body of a message, as the service at this address wants it.

CREATE OR REPLACE FUNCTION luma.allow_create(link luma.event_links, lease uuid, state jsonb)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- From here on a create call may reach Luma at any moment, so it is written down before the call. What an earlier
  -- lease may have created stays: before the next create call Luma is asked for it (luma_create_again).
  update luma.event_links l
  set create_lease = coalesce(l.create_lease, allow_create.lease),
      create_state = case when l.create_lease is null then state else l.create_state end
  where l.event_id = (link).event_id and l.luma_event_id is null;
$function$
  -- Notes that the holder of this lease may create the Luma event.

CREATE OR REPLACE FUNCTION luma.applied_entries(run luma.pull_runs)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  -- The app's rows are locked for as long as this lasts.
  enough timestamptz := clock_timestamp() + interval '50 milliseconds';
  entry jsonb;
  told text;
  became text;
begin
  while jsonb_array_length(run.entries) > 0 and clock_timestamp() < enough loop
    entry := run.entries -> 0;
    if run.phase <> 'guests' and not run.is_dry and entry #>> '{news,slug}' is not null then
      begin
        -- Our own, whose create was never answered. Not taken back when the rest has to wait.
        perform luma.link_created_event(run.calendar, entry #>> '{news,slug}', entry ->> 'id');
      exception when others then
        -- The drain finds it by the slug as well.
        raise warning 'luma: % was not linked: %', entry ->> 'id', sqlerrm;
      end;
    end if;
    begin
      if entry ? 'error' then
        run := luma.with_problem(run, concat_ws(': ', entry ->> 'id', entry ->> 'error'));
      else
        became := case when run.is_dry then luma.rehearse_entry(run, entry) else luma.apply_entry(run, entry) end;
        run := luma.counted(run, entry, became);
      end if;
    exception
      when sqlstate 'LM001' or lock_not_available or deadlock_detected or serialization_failure then
        run.tries := run.tries + 1;
        exit when run.tries < 40;
        -- The app, or a call of ours, has it for long: it is read when that is over.
        if not run.is_dry and luma.read_later(run, entry) then
          run.to_read := run.to_read + 1;
        else
          run := luma.with_problem(run, format('%s is being written by the app for long.', entry ->> 'id'));
        end if;
      when others then
        -- One that cannot be applied stops none of the others.
        get stacked diagnostics told = message_text;
        run := luma.with_problem(run, format('%s: %s', entry ->> 'id', told));
    end;
    run.tries := 0;
    run.entries := run.entries - 0;
  end loop;
  return run;
end
$function$
  -- Applies some of what is left of the page, for a moment.

CREATE OR REPLACE FUNCTION luma.apply_delivery(id text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  i luma.webhook_inbox;
  done text;
  told text;
begin
  select * into i from luma.webhook_inbox w where w.webhook_id = apply_delivery.id for update;
  begin
    -- Luma signs with the second. It was sent before it came, and within that second.
    done := luma.apply_news(i.calendar, i.news, least(i.received_at, i.sent_at + interval '1 second'));
    update luma.webhook_inbox w
    set state = 'applied', outcome = done, applied_at = clock_timestamp(), due_at = null, error = null, attempts = w.attempts + 1
    where w.webhook_id = i.webhook_id;
    return 'applied';
  exception
    when sqlstate 'LM001' or lock_not_available or deadlock_detected or serialization_failure then
      -- Nothing is wrong; the longer it lasts, the less often it is tried.
      update luma.webhook_inbox w
      set outcome = 'waiting', due_at = clock_timestamp()
        + least(interval '5 seconds', interval '100 milliseconds' + (clock_timestamp() - w.received_at) / 10)
      where w.webhook_id = i.webhook_id;
    when others then
      get stacked diagnostics told = message_text;
      perform luma.note_delivery_failure(i.webhook_id, told);
  end;
  -- Somebody has to come back for it.
  perform luma.kick();
  return 'stored';
end
$function$
  -- Tries to apply a stored delivery, and answers applied or stored. Never raises for what is wrong with the delivery or the app's rows.

CREATE OR REPLACE FUNCTION luma.apply_due(enough timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  due text;
begin
  for due in
    select w.webhook_id from luma.webhook_inbox w
    where w.due_at <= clock_timestamp() and w.news is not null
    -- In the order in which they came, so that fewer have to be read again.
    order by w.received_at, w.webhook_id limit 50 for update skip locked
  loop
    perform luma.apply_delivery(due);
    exit when clock_timestamp() > enough;
  end loop;
end
$function$
  -- Applies some of what waits in the inbox, until then.

CREATE OR REPLACE FUNCTION luma.apply_entry(run luma.pull_runs, entry jsonb)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return case
    when run.phase = 'guests' then luma.apply_listed_guest(run.guests_of[1], entry -> 'news', run.asked_at)
    else luma.apply_listed_event(run.calendar, entry -> 'news', run.asked_at, case run.phase when 'events' then 'list' else 'read' end)
  end;
end
$function$
  -- Applies one event or guest of a page, and answers what became of it.

CREATE OR REPLACE FUNCTION luma.apply_event(calendar text, news jsonb, source text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '20ms'
AS $function$
declare
  luma_id text := news ->> 'luma_event_id';
  link luma.event_links;
  event public.canonical_events;
  differing text[];
begin
  if exists (
    select from public.calendars c
    where c.luma_key = apply_event.calendar and c.luma_calendar_id <> news ->> 'calendar_id'
  ) then
    return 'another calendar''s';
  elsif exists (select from luma.removed_events r where r.luma_event_id = luma_id) then
    return 'cancelled before';
  end if;
  select * into link from luma.event_links l where l.luma_event_id = luma_id;
  if not found then
    if (news ->> 'gone')::boolean then
      -- Before its event.created, perhaps.
      insert into luma.removed_events (luma_event_id) values (luma_id) on conflict do nothing;
      return 'cancelled';
    end if;
    return luma.insert_event(calendar, news, source);
  end if;
  select * into event from public.canonical_events e where e.id = link.event_id for no key update skip locked;
  if not found then
    if exists (select from public.canonical_events e where e.id = link.event_id) then
      perform luma.busy(format('event %s', link.event_id));
    end if;
    if (news ->> 'gone')::boolean then
      perform luma.forget_event(link.event_id);
    end if;
    return 'deleted here';
  end if;
  if source <> 'read' then
    perform luma.lock_unleased('event', event.id);
  end if;
  if (news ->> 'gone')::boolean then
    return luma.cancel_event(event);
  end if;
  -- Again, now that nobody else writes it.
  select * into link from luma.event_links l where l.event_id = event.id for update;
  if link.luma_event_id is distinct from luma_id then
    perform luma.busy(format('event %s', event.id));
  end if;
  link := luma.recognise(link, news);
  -- What was asked for just now is no news of before.
  link.tags_heard := link.tags_heard or source <> 'webhook';
  differing := array(
    select t.field from luma.fields_told(news) t
    where coalesce(link.luma_base, '{}') ? t.field and luma.differs_there(link, news, t.field, t.value)
  );
  if source = 'webhook' and differing <> '{}' and (
    -- Another webhook said otherwise, or Luma was told otherwise and has not shown it yet: which of the two is older?
    luma.may_be_late(link.heard_at) or (differing && link.unseen and luma.may_be_late(link.told_at))
  ) then
    update luma.event_links l set heard_at = clock_timestamp() where l.event_id = event.id;
    perform luma.remember_unheard(event, link, news, differing);
    perform luma.request_look(event.id, tags => 'culture' = any (differing));
    return 'to be read';
  end if;
  if source <> 'webhook' then
    perform luma.note_overwritten(event, link, news);
  end if;
  return luma.merge_event(event, link, news, source);
end
$function$
  -- Makes the app's row follow what Luma told of an event (from_luma.ts, EventNews), and answers what became of it. source: webhook, which may be late; read, when the caller holds the event's lease or knows that nothing of ours was on its way, and has read it whole; list, the same from a list. Raises LM001 when the row is locked.

CREATE OR REPLACE FUNCTION luma.apply_guest(of_event_id uuid, news jsonb, sent_at timestamp with time zone, is_read boolean)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '20ms'
AS $function$
declare
  told text := apply_guest.news ->> 'status';
  details jsonb := apply_guest.news - '{luma_event_id,luma_guest_id,email,status}'::text[];
  address text := luma.guest_address(apply_guest.news);
  guest luma.guests;
  before luma.guests;
  was_counted boolean;
  is_ours boolean;
  outcome text;
begin
  -- Most webhooks repeat what is known: that costs the app's rows nothing.
  update luma.guests g set heard_at = clock_timestamp()
  where g.event_id = of_event_id and g.luma_guest_id = apply_guest.news ->> 'luma_guest_id' and g.email = address
    and g.luma_base = told and g.news = details and g.lease is null and not is_read
    and not g.unseen and not g.in_doubt and not luma.is_external(g);
  if found then
    return 'unchanged';
  end if;
  -- The app's row first: an RSVP that is written here has the app's own trigger write it.
  perform from public.canonical_events e where e.id = of_event_id for no key update skip locked;
  if not found then
    if exists (select from public.canonical_events e where e.id = of_event_id) then
      perform luma.busy(format('event %s', of_event_id));
    end if;
    return 'deleted here';
  end if;
  guest := luma.remember_guest(of_event_id, apply_guest.news);
  before := guest;
  if not is_read then
    if guest.lease is not null and exists (select from luma.sync_outbox o where o.lease = guest.lease) then
      -- A call about this guest is under way, and this may be what it does.
      perform luma.busy(format('guest %s', guest.id));
    end if;
    if guest.luma_base is not null
      and (guest.luma_base <> told or (guest.news is not null and guest.news <> details))
      and (luma.may_be_late(guest.heard_at) or (guest.unseen and guest.luma_base <> told and luma.may_be_late(guest.synced_at)))
    then
      -- Another webhook said otherwise, or Luma was told otherwise and has not shown it yet: which of the two is older?
      update luma.guests g
      set heard_at = clock_timestamp(), look = true,
          -- Unless it is what Luma said before ours: then it comes late, or says nothing.
          unheard = case when told in (guest.luma_base, coalesce(guest.former, '')) or told = any (g.unheard) then g.unheard
            else array_append(g.unheard, told) end,
          look_told_at = greatest(case when g.look then g.look_told_at end, sent_at),
          luma_guest_id = coalesce(g.luma_guest_id, apply_guest.news ->> 'luma_guest_id')
      where g.id = guest.id;
      perform luma.enqueue('guest', guest.id, 4, of_event_id);
      return 'to be read';
    end if;
  end if;
  -- A call that was never answered may have told what is there now: then that is ours, too.
  is_ours := coalesce(guest.ours and guest.luma_base = told, false)
    or guest.in_doubt and told = any (guest.maybe_sent);
  if is_read and is_ours then
    perform luma.note_guest_conflict(guest, lost) from unnest(guest.unheard) lost where lost <> told;
  end if;
  was_counted := luma.is_counted(before);
  if guest.email <> address then
    guest := luma.rename_guest(guest, address);
  end if;
  update luma.guests g
  set luma_guest_id = coalesce(apply_guest.news ->> 'luma_guest_id', g.luma_guest_id), luma_base = told, news = details, unseen = false,
      heard_at = case when is_read then g.heard_at else clock_timestamp() end, look = g.look and not is_read,
      former = case when g.luma_base = told then g.former else g.luma_base end, ours = is_ours,
      unheard = case when is_read then '{}' else g.unheard end
  where g.id = guest.id returning g.* into guest;
  outcome := luma.place_guest(guest, before, sent_at, is_read);
  perform luma.count_guest(guest, was_counted);
  return outcome;
end
$function$
  -- Makes the app's RSVPs follow what Luma told of a guest (from_luma.ts, GuestNews), and answers what became of it. sent_at: when Luma told it. is_read: the caller has just read it under the guest's lease; else it is a webhook's, which may be late. Raises LM001 when a row is locked.

CREATE OR REPLACE FUNCTION luma.apply_listed_event(calendar text, news jsonb, asked_at timestamp with time zone, source text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  luma_id text := news ->> 'luma_event_id';
  link luma.event_links;
begin
  select * into link from luma.event_links l where l.luma_event_id = luma_id;
  if (news ->> 'gone')::boolean and link.calendar is distinct from apply_listed_event.calendar then
    -- Under the key of another calendar than its own an event seems to be gone.
    return 'another calendar''s';
  end if;
  if link.event_id is null then
    if (news #>> '{fields,end_at,value}')::timestamptz <= now() then
      return 'over';
    end if;
    return luma.apply_event(calendar, news, source);
  end if;
  if luma.is_known(link, news) then
    return 'unchanged';
  end if;
  -- The locks first: what is being written or sent just now is settled before it is looked at.
  perform from public.canonical_events e where e.id = link.event_id for no key update skip locked;
  perform luma.lock_unleased('event', link.event_id);
  select * into link from luma.event_links l where l.event_id = link.event_id;
  if greatest(link.told_at, link.heard_at) >= asked_at or luma.was_sent_since('event', link.event_id, asked_at) then
    perform luma.request_look(link.event_id, tags => false);
    return 'to be read';
  end if;
  return luma.apply_event(calendar, news, source);
end
$function$
  -- Applies what a pull has read of an event, as of asked_at. source: list, or read for all of it. Answers as luma.apply_event() does, or over for one that nobody needs any more. Raises LM001.

CREATE OR REPLACE FUNCTION luma.apply_listed_guest(of_event_id uuid, news jsonb, asked_at timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  event public.canonical_events;
  guest luma.guests;
  outcome text;
begin
  if luma.is_known_guest(of_event_id, apply_listed_guest.news) then
    return 'unchanged';
  end if;
  select * into event from public.canonical_events e where e.id = of_event_id for no key update skip locked;
  if not found then
    if exists (select from public.canonical_events e where e.id = of_event_id) then
      perform luma.busy(format('event %s', of_event_id));
    end if;
    return 'deleted here';
  end if;
  guest := luma.remember_guest(of_event_id, apply_listed_guest.news);
  if luma.was_guest_sent_since(guest, asked_at) then
    perform luma.look_at_guest(guest, luma.changed_by(guest, apply_listed_guest.news, event));
    return 'to be read';
  end if;
  outcome := luma.apply_guest(of_event_id, apply_listed_guest.news, luma.changed_by(guest, apply_listed_guest.news, event), is_read => true);
  -- What Luma was told itself, and shows for the first time, is no news.
  update luma.guests g set pulled_at = clock_timestamp()
  where g.event_id = of_event_id and g.email = luma.guest_address(apply_listed_guest.news)
    and (guest.luma_base is distinct from g.luma_base or (guest.news is distinct from g.news and not guest.unseen))
    -- Of an invitation Luma sends no webhook.
    and g.luma_base <> 'invited'
    -- Nor is who was there before the list was read for the first time, and before the sync.
    and (
      guest.luma_base is not null
      or (apply_listed_guest.news ->> 'registered_at')::timestamptz > (select s.live_since from luma.settings s)
      or exists (select from luma.reads r where r.event_id = of_event_id and r.guests_read_at is not null)
    );
  return outcome;
end
$function$
  -- Applies what a pull has read of a guest, as of asked_at. Answers as luma.apply_guest() does. Raises LM001.

CREATE OR REPLACE FUNCTION luma.apply_news(calendar text, news jsonb, sent_at timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  luma_id text := news #>> '{event,luma_event_id}';
  known_id uuid := (select l.event_id from luma.event_links l where l.luma_event_id = luma_id);
  outcome text;
begin
  if not news ? 'guest' then
    return luma.apply_event(calendar, news -> 'event', source => 'webhook');
  end if;
  if known_id is null then
    -- A guest can be told of before the event is.
    outcome := luma.apply_event(calendar, news -> 'event', source => 'webhook');
    select l.event_id into known_id from luma.event_links l where l.luma_event_id = luma_id;
    if known_id is null then
      return outcome;
    end if;
  end if;
  return luma.apply_guest(known_id, news -> 'guest', sent_at, is_read => false);
end
$function$
  -- Applies what a delivery says (from_luma.ts, News): an event, or a guest with the event that it is for.

CREATE OR REPLACE FUNCTION luma.ask_pull(calendar text, luma_event_id text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.request_pull(calendar, luma_event_id, is_full => true, is_dry => false, is_asked => true);
  perform luma.ring_pull();
end
$function$
  -- Asks for a pull of one event with its guests, and rings for it.

CREATE OR REPLACE FUNCTION luma.ask_pulls(calendar text, event text, is_dry boolean)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  link luma.event_links;
  asked integer := 0;
  key text;
begin
  if luma.mode() = 'off' then
    raise exception 'luma: the mode is off, so Luma is not asked for anything'
      using errcode = 'object_not_in_prerequisite_state', hint = 'select luma.set_mode(''dry_run''); compares the two sides and writes nothing.';
  end if;
  -- Whoever asks has perhaps mended what kept it from starting.
  update luma.bell b set pull_rung_at = null, pull_unanswered = 0 where b.id and b.pull_unanswered > 1;
  if calendar is not null then
    perform luma.check_calendar(calendar);
  end if;
  if event is null then
    for key in select c.luma_key from public.calendars c where c.luma_key is not null and c.luma_key = coalesce(ask_pulls.calendar, c.luma_key) loop
      perform luma.request_pull(key, null, is_full => true, is_dry => ask_pulls.is_dry, is_asked => true);
      asked := asked + 1;
    end loop;
    return asked;
  end if;
  select * into link from luma.event_links l
  where l.luma_event_id is not null and event in (l.luma_event_id, l.event_id::text);
  if link.calendar <> calendar then
    raise exception 'luma: event % is on calendar %, not on %', quote_literal(event), link.calendar, calendar
      using errcode = 'invalid_parameter_value', hint = 'Leave the calendar out: the event''s own is known.';
  end if;
  if link.event_id is null and (event !~ '^evt-' or calendar is null) then
    raise exception 'luma: there is no event % on Luma that is known here', quote_literal(event)
      using errcode = 'invalid_parameter_value',
        hint = 'Give the id of a row of canonical_events that luma.event_status shows to be on Luma, or Luma''s id (evt-…) together with its calendar.';
  end if;
  perform luma.request_pull(
    coalesce(link.calendar, calendar), coalesce(link.luma_event_id, event), is_full => true, is_dry => ask_pulls.is_dry, is_asked => true
  );
  return 1;
end
$function$
  -- Asks for pulls, and rings for nobody: luma.pull_now(), luma.reconcile() and luma_pull_request() share this.

CREATE OR REPLACE FUNCTION luma.backfill()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  enqueued integer := luma.start_backfill();
begin
  perform luma.log_admin('backfill', jsonb_build_object('enqueued', enqueued));
  return enqueued;
end
$function$
  -- Enqueues every approved, coming event, and every RSVP of events on Luma, that Luma does not have as it is: the next to begin first, below live traffic and without mails to guests. RSVPs of events that are new to Luma follow when it has them. Answers how many. Can be repeated, and goes on after luma.stop_backfill(). See luma.backfill_progress.

CREATE OR REPLACE FUNCTION luma.backfill_stopped()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return exists (select from luma.backfill_state b where b.stopped_at is not null);
end
$function$
  -- True between luma.stop_backfill() and the next luma.backfill().

CREATE OR REPLACE FUNCTION luma.batch_size(kind text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN CASE kind WHEN 'add'::text THEN 100 ELSE 5 END
  -- Most guests that one job adds, or changes.

CREATE OR REPLACE FUNCTION luma.begin_backfill()
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 UPDATE luma.backfill_state b SET stopped_at = NULL::timestamp with time zone, started_at =
         CASE
             WHEN (p.waiting > 0) THEN b.started_at
             ELSE clock_timestamp()
         END, resumed_at =
         CASE
             WHEN ((p.waiting > 0) AND (b.stopped_at IS NULL) AND (b.resumed_at >= s.live_since)) THEN b.resumed_at
             ELSE clock_timestamp()
         END, done_before =
         CASE
             WHEN (p.waiting = 0) THEN (0)::bigint
             WHEN ((b.stopped_at IS NULL) AND (b.resumed_at >= s.live_since)) THEN b.done_before
             ELSE p.done
         END
    FROM luma.backfill_progress p,
     luma.settings s
   WHERE b.id;
END
  -- Begins a backfill, or goes on with the one that was stopped.

CREATE OR REPLACE FUNCTION luma.bury(o luma.sync_outbox, error text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null,
      dead_at = now(), last_error = error
  where s.entity = o.entity and s.entity_id = o.entity_id;
  if o.entity = 'event' then
    perform luma.show_status(o.entity_id, 'push_failed');
  end if;
end
$function$
  -- Makes a job a dead letter: it stays until luma.retry() or a new change of its entity.

CREATE OR REPLACE FUNCTION luma.busy(what text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  raise exception 'luma: % is being written just now', what using errcode = 'LM001';
end
$function$
  -- Raises LM001: try again in a moment.

CREATE OR REPLACE FUNCTION luma.calendar_ready(calendar text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
RETURN (NOT (EXISTS (SELECT FROM luma.calendar_state s WHERE ((s.luma_key = calendar_ready.calendar) AND ((s.stopped_at IS NOT NULL) OR (s.paused_until > now()))))))
  -- True when calls for this calendar may be made now.

CREATE OR REPLACE FUNCTION luma.calendars_with_work(calendars text[], oldest boolean)
 RETURNS SETOF text
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  select k.luma_key
  from unnest(calendars) k (luma_key)
  cross join lateral (select luma.most_urgent(k.luma_key) as priority) most_urgent
  where most_urgent.priority is not null and luma.calendar_ready(k.luma_key)
  -- Chance decides between equals, so that no calendar starves another.
  order by case when not oldest then most_urgent.priority end, random()
$function$
  -- Those of the calendars that have due jobs and may be called, the most urgent first, or in any order.

CREATE OR REPLACE FUNCTION luma.call_limit(calendar text)
 RETURNS integer
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select least(s.calls_per_minute, c.rate_limit - 20)
  from luma.settings s left join luma.calendar_state c on c.luma_key = call_limit.calendar
$function$
  -- Calls that a calendar may make in any 60 seconds: the setting, or 20 below what Luma tells.

CREATE OR REPLACE FUNCTION luma.cancel_event(event public.canonical_events)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.forget_event(event.id);
  perform luma.write_event(event, jsonb_build_object(
    -- What the app has ended by itself keeps its own word for that.
    'submission_status', case when event.submission_status in ('cancelled', 'rejected') then event.submission_status else 'cancelled' end,
    -- A page that is gone; and an event of the app's that is approved again has to become a new one.
    'external_rsvp_url', case when not luma.is_luma_address(event.external_rsvp_url) then event.external_rsvp_url end
  ));
  update luma.sync_outbox o set done_version = o.version, dead_at = null, last_error = null, attempts = 0
  where o.entity = 'event' and o.entity_id = event.id and o.lease is null;
  return 'cancelled';
end
$function$
  -- Luma has cancelled, so deleted, the event: its row is cancelled too.

CREATE OR REPLACE FUNCTION luma.changed_by(guest luma.guests, news jsonb, event public.canonical_events)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  -- A list does not say when a status was changed. It was after Luma was last seen to say otherwise; whoever leads
  -- has the benefit of the doubt about what was written here since then.
  select case when (event).source_type = 'luma' then clock_timestamp() else greatest(
    (guest).heard_at, (guest).synced_at, (news ->> 'registered_at')::timestamptz,
    (select r.guests_read_at from luma.reads r where r.event_id = (event).id)
  ) end
$function$
  -- The time that a pulled change of a guest's status is compared with: later writes of the app stay.

CREATE OR REPLACE FUNCTION luma.changed_columns(before jsonb, after jsonb, ignored text[])
 RETURNS TABLE(field text, app_value jsonb, luma_value jsonb)
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select a.key, before -> a.key, a.value
  from jsonb_each(after) a
  where a.value is distinct from before -> a.key and a.key <> all (ignored)
$function$
  -- The columns that were written.

CREATE OR REPLACE FUNCTION luma.changed_fields(state jsonb, base jsonb)
 RETURNS text[]
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
begin
  return array(
    select s.key from jsonb_each(state) s
    where s.value is distinct from base -> s.key order by s.key
  );
end
$function$
  -- Names of the fields of state that differ from base; all of them when base is null.

CREATE OR REPLACE FUNCTION luma.check_calendar(calendar text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if not exists (select from public.calendars c where c.luma_key = check_calendar.calendar) then
    raise exception 'luma: there is no calendar %', coalesce(quote_literal(calendar), 'null')
      using errcode = 'invalid_parameter_value',
        hint = (
          select coalesce('One of: ' || string_agg(c.luma_key, ', ' order by c.luma_key) || '.', 'No row of public.calendars has a luma_key yet.')
          from public.calendars c where c.luma_key is not null
        );
  end if;
end
$function$
  -- Raises, naming the calendars there are, unless this is one of them.

CREATE OR REPLACE FUNCTION luma.check_email()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if luma.email_missing(new) then
    raise exception using
      -- PostgREST answers PT422 with HTTP status 422 (https://docs.postgrest.org/en/latest/references/errors.html).
      errcode = 'PT422',
      message = 'Add your email in Profile to RSVP for events.',
      detail = format('email_required: users.email of user %s is %s.', new.user_id, coalesce(
        (select case when trim(u.email) <> '' then quote_literal(left(u.email, 100)) || ', which is not an address' end
         from public.users u where u.id = new.user_id), 'empty')),
      hint = 'Set users.email to a valid address and repeat the RSVP. To allow RSVPs without one: update luma.settings set require_email = false.';
  end if;
  return new;
end
$function$
  -- Trigger: refuses an RSVP without an e-mail address, with SQLSTATE PT422. Who is in already (a row from before this rule) may be approved, promoted and moved; it is sent once there is an address.

CREATE OR REPLACE FUNCTION luma.checked_calendar(run luma.pull_runs, calendar_id text)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  expected text := (select c.luma_calendar_id from public.calendars c where c.luma_key = run.calendar);
  problem text;
begin
  if expected is distinct from calendar_id then
    -- Under the key of another calendar every event of this one would seem to be gone.
    problem := format('The key in LUMA_%s_API_KEY is that of calendar %s, and public.calendars says %s (luma_calendar_id): set the right one, then run: select luma.resume(%L);',
      upper(run.calendar), calendar_id, coalesce(expected, 'nothing'), run.calendar);
    perform luma.note_problem(run.calendar, problem, stop => true);
    return luma.ended_run(luma.with_problem(run, problem), 'failed');
  end if;
  run.asked_at := null;
  run.phase := case when run.luma_event_id is null then 'events' else 'details' end;
  run.details := array_remove(array[run.luma_event_id], null);
  return run;
end
$function$
  -- The run after the calendar behind the key was asked for.

CREATE OR REPLACE FUNCTION luma.claim_job(run_id uuid, calendar text, oldest boolean, free integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  o luma.sync_outbox;
  job jsonb;
begin
  -- A claim looks through so many jobs that turn out to have nothing to send, and leaves more to the next one.
  for n in 1..50 loop
    o := luma.pick_job(run_id, calendar, oldest);
    exit when o.lease is null;
    if o.entity = 'event' then
      job := luma.event_job(o);
      if job is null then
        perform luma.finish(o, 'nothing_to_do', '[]');
        continue;
      end if;
      o.lease_state := luma.state_to_send(job);
      o.calendar := job ->> 'calendar';
    end if;
    perform luma.take_lease(o);
    if o.entity = 'rsvp' and luma.is_list_unheard(o) then
      perform luma.ask_pull(o.calendar, l.luma_event_id)
      from luma.event_links l where l.event_id = o.event_id;
      perform luma.postpone(o, clock_timestamp() + interval '1 second');
    elsif o.entity = 'rsvp' then
      job := luma.guests_job(o, free);
    elsif o.entity = 'guest' then
      job := luma.looks_job(o);
    end if;
    exit when job is not null;
  end loop;
  return job;
end
$function$
  -- Leases the next job of a calendar, one for at most so many calls at once, and describes it; null when there is none.

CREATE OR REPLACE FUNCTION luma.clean_up()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  settings luma.settings;
begin
  select * into settings from luma.settings;
  delete from luma.attempts a
  where a.settled_at < now() - make_interval(days => settings.log_days)
    or a.id <= (select max(n.id) - settings.log_rows from luma.attempts n);
  delete from luma.drain_runs r
  where r.started_at < now() - make_interval(days => settings.log_days)
    or r.started_at <= (select n.started_at from luma.drain_runs n order by n.started_at desc offset settings.log_rows limit 1);
  delete from luma.sync_outbox o
  where o.version = o.done_version and o.lease is null and o.due_at < now() - make_interval(days => settings.log_days);
  delete from luma.webhook_inbox i where i.received_at < now() - make_interval(days => settings.webhook_days);
  delete from luma.removed_events r where r.removed_at < now() - make_interval(days => greatest(settings.webhook_days, 30));
  delete from luma.conflicts c where c.noticed_at < now() - make_interval(days => settings.log_days);
  -- Guests of events that are no more, or over for as long as history is kept: addresses are not kept for nothing.
  delete from luma.guests g
  where g.lease is null and not exists (
    select from public.canonical_events e
    where e.id = g.event_id and coalesce(e.ends_at, e.starts_at) > now() - make_interval(days => settings.log_days)
  );
  delete from luma.guest_links l
  where not exists (select from luma.guests g where g.event_id = l.event_id and g.email = l.email);
  delete from net._http_response r where r.created < now() - make_interval(hours => settings.net_response_hours);
  -- Runs that never began have no times, but ids in the order of the others.
  delete from cron.job_run_details d using cron.job j
  where d.jobid = j.jobid and j.jobname like 'luma-%'
    and d.runid <= (
      select max(n.runid) from cron.job_run_details n
      where n.end_time < now() - make_interval(days => settings.cron_details_days)
    )
    and (d.end_time is null or d.end_time < now() - make_interval(days => settings.cron_details_days));
end
$function$
  -- Trims the history, finished work, pg_net's answers and pg_cron's run details to what luma.settings says. Run by pg_cron.

CREATE OR REPLACE FUNCTION luma.clean_up_admin_log()
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  delete from luma.admin_log l where l.at < now() - make_interval(days => (select s.admin_log_days from luma.settings s))
$function$
  -- Trims luma.admin_log to luma.settings.admin_log_days. Run by pg_cron.

CREATE OR REPLACE FUNCTION luma.clean_up_pulls()
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 DELETE FROM luma.pull_runs r
   WHERE (r.ended_at < (now() - make_interval(days => ( SELECT s.log_days
            FROM luma.settings s))));
 DELETE FROM luma.reads r
   WHERE (NOT (EXISTS ( SELECT
            FROM luma.event_links l
           WHERE (l.event_id = r.event_id))));
END
  -- Trims what pulls have left to luma.settings.log_days. Run by pg_cron.

CREATE OR REPLACE FUNCTION luma.coming_events(run luma.pull_runs)
 RETURNS TABLE(event public.canonical_events, link luma.event_links)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select e, l
  from luma.event_links l join public.canonical_events e on e.id = l.event_id
  where l.calendar = (run).calendar and l.luma_event_id is not null and not luma.is_over(e)
    and ((run).luma_event_id is null or l.luma_event_id = (run).luma_event_id)
$function$
  -- The events on Luma that a run is about and that are not over.

CREATE OR REPLACE FUNCTION luma.compose_alerts()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  begun bigint[];
  ended bigint[];
  lines text[];
begin
  select array_agg(a.id order by a.id), array_agg('🔴 ' || a.message order by a.id) into begun, lines
  from luma.alert_states a
  where a.over_at is null
    and (a.told_level is null or a.level > a.told_level and a.told_at < clock_timestamp() - interval '1 hour');
  select array_agg(a.id order by a.id), coalesce(lines, '{}') || coalesce(array_agg('🟢 Over: ' || a.message order by a.id), '{}') into ended, lines
  from luma.alert_states a
  where a.over_at is not null and a.told_level is not null and a.end_told_at is null;
  if cardinality(lines) = 0 then
    return;
  end if;
  update luma.alert_states a set told_level = a.level where a.id = any (begun);
  update luma.alert_outbox b
  set message = concat_ws(E'\n', 'Luma sync', array_to_string(lines[1:10], E'\n'),
        case when cardinality(lines) > 10 then format('and %s more: select * from luma.alerts;', cardinality(lines) - 10) end),
      alerts = coalesce(begun, '{}'), ends = coalesce(ended, '{}'), tries = 0, request_id = null, due_at = clock_timestamp(),
      sent_at = b.sent_at || clock_timestamp()
  where b.id;
end
$function$
  -- Puts what has begun, grown or ended since the last message into the next one.

CREATE OR REPLACE FUNCTION luma.contacts_in(payload jsonb)
 RETURNS SETOF text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select lower(btrim(v #>> '{}'))
  from jsonb_path_query(
    payload, '$.** ? (@.type() == "object").keyvalue() ? (@.key like_regex "^(user_)?(email|phone|phone_number)$").value'
  ) v
  where jsonb_typeof(v) = 'string'
$function$
  -- Every e-mail address and phone number in a webhook's payload.

CREATE OR REPLACE FUNCTION luma.count_external_guests(counted_event_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  difference integer;
begin
  perform from public.canonical_events e where e.id = counted_event_id for no key update;
  select count(*) - (select l.external_count from luma.event_links l where l.event_id = counted_event_id) into difference
  from luma.guests g where g.event_id = counted_event_id and luma.is_counted(g);
  if difference <> 0 then
    perform luma.add_to_count(counted_event_id, difference);
  end if;
end
$function$
  -- Counts the external guests of an event anew, and corrects current_rsvp_count by what that changes.

CREATE OR REPLACE FUNCTION luma.count_guest(guest luma.guests, was_counted boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  is_counted boolean := luma.is_counted(guest);
begin
  if is_counted <> was_counted then
    perform luma.add_to_count(guest.event_id, is_counted::integer - was_counted::integer);
  end if;
end
$function$
  -- Counts one guest who has become an external one, or is none any more.

CREATE OR REPLACE FUNCTION luma.counted(run luma.pull_runs, entry jsonb, became text)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if run.phase = 'guests' then
    run.guests := run.guests + 1;
  elsif run.phase = 'events' or run.luma_event_id is not null then
    run.events := run.events + 1;
  end if;
  if became in ('inserted', 'adopted') then
    run.inserted := run.inserted + 1;
  elsif became in ('updated', 'linked', 'cancelled', 'external') then
    run.updated := run.updated + 1;
  elsif became = 'to be read' then
    run.to_read := run.to_read + 1;
  elsif run.phase <> 'details' or run.luma_event_id is not null then
    run.unchanged := run.unchanged + 1;
  end if;
  if run.phase = 'events' and became in ('inserted', 'adopted', 'updated') and not (run.is_dry and became <> 'updated') then
    run.details := run.details || (entry ->> 'id');
  elsif run.phase = 'details' and not run.is_dry and became <> 'to be read' then
    perform luma.note_read(l.event_id, run.asked_at) from luma.event_links l where l.luma_event_id = entry ->> 'id';
  end if;
  return run;
end
$function$
  -- The run with one entry more applied, and with what follows from that.

CREATE OR REPLACE FUNCTION luma.culture_of(tags jsonb)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select c.slug
  from jsonb_array_elements_text(tags) with ordinality t (name, place)
  join public.event_cultures c on lower(trim(t.name)) in (lower(c.slug), lower(c.name)) and c.slug <> 'default'
  order by t.place limit 1
$function$
  -- The culture that the first fitting tag of an event stands for, by its slug or name, or null.

CREATE OR REPLACE FUNCTION luma.deliveries_due()
 RETURNS boolean
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  select luma.mode() = 'live' and (
    exists (select from luma.webhook_inbox i where i.due_at <= clock_timestamp())
    or exists (select from luma.rechecks r where r.promote and r.due_at <= clock_timestamp())
  )
$function$
  -- True when luma_apply_deliveries() would find something.

CREATE OR REPLACE FUNCTION luma.dependents()
 RETURNS text[]
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  -- Names are then told with their schemas.
  with ours (classid, objid) as (
    select 'pg_catalog.pg_class'::regclass, c.oid from pg_catalog.pg_class c where c.relnamespace = 'luma'::regnamespace
    union all
    select 'pg_catalog.pg_proc'::regclass, p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'luma'::regnamespace
    union all
    select 'pg_catalog.pg_type'::regclass, t.oid from pg_catalog.pg_type t where t.typnamespace = 'luma'::regnamespace
    union all
    -- Columns of the app's tables that are ours.
    select 'pg_catalog.pg_class'::regclass, a.in_table::oid from luma.added_columns() a
  )
  select coalesce(array_agg(distinct i.type || ' ' || i.identity), '{}')
  from pg_catalog.pg_depend d
  join ours o on o.classid = d.refclassid and o.objid = d.refobjid
  cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i
  where d.deptype = 'n' and coalesce(i.schema, '') <> 'luma' and i.identity !~ '(^| on | for )luma\.'
    and not (i.type = 'function' and i.identity like 'public.luma\_%')
    and not (i.type = 'trigger' and i.identity like 'zz\_luma\_%')
    and (d.refobjid not in (select a.in_table::oid from luma.added_columns() a) or exists (
      select from luma.added_columns() a
      join pg_catalog.pg_attribute p on p.attrelid = a.in_table and p.attname = a.in_column
      where a.in_table = d.refobjid and p.attnum = d.refobjsubid and i.type in ('rule', 'function', 'policy')
    ))
$function$
  -- What somebody else has built on this project's tables, views, functions and columns: luma.uninstall() removes none of it.

CREATE OR REPLACE FUNCTION luma.describe_call(run luma.pull_runs)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select case run.phase
    when 'check' then '{"do": "get_calendar"}'
    when 'events' then jsonb_build_object('do', 'list_events', 'after', run.listed_after, 'cursor', run.cursor)
    when 'details' then jsonb_build_object('do', 'get_event', 'luma_event_id', run.details[1])
    else jsonb_build_object('do', 'list_guests', 'cursor', run.cursor, 'luma_event_id', (
      select l.luma_event_id from luma.event_links l where l.event_id = run.guests_of[1]
    ))
  end
$function$
  -- The call that a run makes next.

CREATE OR REPLACE FUNCTION luma.destination(entity text, event_id uuid)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  link luma.event_links;
  place record;
begin
  select * into link from luma.event_links l where l.event_id = destination.event_id;
  if entity = 'event' then
    -- Of a row that is gone there is no place: any calendar will do to find that nothing is left to do.
    select e.lat, e.lng into place from public.canonical_events e where e.id = destination.event_id;
    return coalesce(link.calendar, luma.route_event(place.lat, place.lng));
  end if;
  -- A guest is looked up as long as Luma has the event.
  return case when link.luma_event_id is not null and (entity = 'guest' or luma.takes_guests(event_id)) then link.calendar end;
end
$function$
  -- luma_key of the calendar for jobs of this kind and event; null when none takes them.

CREATE OR REPLACE FUNCTION luma.details_told(event public.canonical_events, link luma.event_links, news jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select coalesce(case
      -- Of our own events only the questions, which the app does not have: the rest would be an echo.
      when event.source_type = 'luma' and raw || rest <> raw then jsonb_build_object('raw_payload', raw || rest)
      when event.source_type is distinct from 'luma' and rest ? 'registration_questions'
        and coalesce(raw -> 'registration_questions', '[]') <> rest -> 'registration_questions'
        then jsonb_build_object('raw_payload', raw || jsonb_build_object('registration_questions', rest -> 'registration_questions'))
    end, '{}')
    || coalesce(case
      -- A host's own address stays.
      when news ->> 'url' <> coalesce(event.external_rsvp_url, '')
        and coalesce(nullif(trim(event.external_rsvp_url), ''), url) = url
        then jsonb_build_object('external_rsvp_url', news ->> 'url')
    end, '{}')
    || coalesce(case
      when event.source_type = 'luma' and event.host_id is null then (
        select jsonb_build_object('host_id', min(u)) from luma.users_by_email(news ->> 'host_email') u having count(*) = 1
      )
    end, '{}')
  from (
    select coalesce(link.url, 'https://luma.com/' || link.slug) as url, coalesce(news -> 'rest', '{}') as rest,
      case when jsonb_typeof(event.raw_payload) = 'object' then event.raw_payload else '{}' end as raw
  ) known
$function$
  -- Changes to columns that Luma alone decides: what has no column of its own, the page's address while it is Luma's, and the host.

CREATE OR REPLACE FUNCTION luma.differs_there(link luma.event_links, news jsonb, field text, value jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select case
    when (link).luma_base -> field is not distinct from value then false
    when field <> all ((link).unseen) then true
    -- Seen for the first time since Luma was told: its own form of what it was told is no change.
    when luma.is_same(field, (link).luma_base -> field, value) then false
    when luma.is_early(link, field, value) then false
    -- An address is resolved. Who moves the event moves its coordinates too.
    when field = 'geo_address_json' then
      not coalesce((link).luma_base -> 'coordinate' = nullif(news #> '{fields,coordinate,value}', 'null'), false)
    else true
  end
$function$
  -- True when a field is not what Luma was last told or seen to hold. Of a field that it was never heard of too.

CREATE OR REPLACE FUNCTION luma.distance_km(lat1 double precision, lng1 double precision, lat2 double precision, lng2 double precision)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN ((((2)::numeric * 6371.0088))::double precision * asin(sqrt(LEAST((1)::double precision, ((sin((radians((lat2 - lat1)) / (2)::double precision)) ^ (2)::double precision) + ((cos(radians(lat1)) * cos(radians(lat2))) * (sin((radians((lng2 - lng1)) / (2)::double precision)) ^ (2)::double precision)))))))
  -- Great-circle distance in kilometres between two points in degrees (haversine, mean Earth radius).

CREATE OR REPLACE FUNCTION luma.diverged_events()
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select coalesce(e.id, l.event_id)
  from public.canonical_events e
  full join luma.event_links l on l.event_id = e.id
  -- What is over is left as it is. A link without a row is of an event that was deleted.
  where (e.id is null or not luma.is_over(e))
    and luma.needs_push(e, l)
    and not exists (
      select from luma.sync_outbox o
      where o.entity = 'event' and o.entity_id = coalesce(e.id, l.event_id) and o.version > o.done_version
    )
$function$
  -- Ids of events whose row and last agreed state differ though nothing of them waits in the outbox.

CREATE OR REPLACE FUNCTION luma.diverged_rsvps(of_event uuid DEFAULT NULL::uuid, of_user text DEFAULT NULL::text)
 RETURNS TABLE(rsvp_id uuid, event_id uuid)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select i.id, e.event_id
  from (
    select l.event_id from luma.event_links l
    where of_user is null and (of_event is null or l.event_id = of_event)
    union
    select r.event_id from public.event_rsvps r where r.user_id = of_user
  ) e
  cross join lateral (
    select id from luma.rsvps_of_event(e.event_id) id
    where of_user is null or id in (select r.id from public.event_rsvps r where r.user_id = of_user)
  ) i
  cross join lateral luma.guest_need(i.id) n
  where luma.takes_guests(e.event_id)
    -- Luma has the guest, as it should be, and only which RSVP that is has to be written down: luma.guests_job() does.
    and (n.kind is not null or n.agreed is not null and not exists (select from luma.guest_links k where k.rsvp_id = i.id))
    and not exists (
      select from luma.sync_outbox o
      where o.entity = 'rsvp' and o.entity_id = i.id and o.version > o.done_version
        -- What was given up is tried again only when its user's address changed.
        and (o.dead_at is null or of_user is null)
    )
$function$
  -- RSVPs that differ from Luma, or whose guest nobody knows yet to be theirs, though nothing of them waits in the outbox: of one event, of one user, or of all events that take guests.

CREATE OR REPLACE FUNCTION luma.doubt(o luma.sync_outbox)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- What was being sent may have arrived. If the row goes back to what was agreed on before, that has to count
  -- as a change, so it leaves the base; visibility with it if the push may have closed the event for a while.
  update luma.event_links l
  set row_base = l.row_base - c.fields - case
        when c.fields && '{shown,is_ticketed,category,ticket_price,ticket_currency}' then '{visibility}'::text[] else '{}' end,
      maybe_sent = jsonb_path_query_array(
        (select jsonb_agg(jsonb_object_agg) from (
          select jsonb_object_agg(s.key, s.value) from jsonb_each((o).lease_state) s where s.key = any (c.fields)
        ) sent) || l.maybe_sent, '$[0 to 4]'
      )
  from (
    select luma.changed_fields((o).lease_state, k.row_base) as fields from luma.event_links k where k.event_id = (o).entity_id
  ) c
  where (o).entity = 'event' and l.event_id = (o).entity_id and l.row_base is not null and (o).lease_state is not null;
  update luma.guests g
  set in_doubt = true, row_base = null, lease = null,
      maybe_sent = array_append(case when g.in_doubt then g.maybe_sent else '{}' end, (o).lease_state ->> 'wanted')
  where (o).entity = 'rsvp' and g.lease = (o).lease;
$function$
  -- After an attempt that did not end well: nothing that it may have sent is agreed on any more.

CREATE OR REPLACE FUNCTION luma.drain_expected()
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return exists (select from luma.drain_runs r where r.ended_at is null and r.alive_until > clock_timestamp())
    -- After five seconds a ring without an answer counts as lost.
    or exists (select from luma.bell b where b.rung_at > clock_timestamp() - interval '5 seconds');
end
$function$
  -- True while a run is active, or rung for and about to start.

CREATE OR REPLACE FUNCTION luma.drain_problem()
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select case
    when b.problem is not null then b.problem
    when b.unanswered >= 2 then format(
      'luma-drain was rung for %s times without starting. The last answer: %s', b.unanswered,
      coalesce((
        select coalesce(r.error_msg, r.status_code || ' ' || left(r.content, 300))
        from net._http_response r where r.id = b.request_id
      ), 'none yet')
    )
    when (
      select bool_and(last_runs.ended_at is null and last_runs.alive_until < now())
      from (select r.* from luma.drain_runs r order by r.started_at desc limit 3) last_runs
    ) then 'The last runs of luma-drain ended without a word: see its log.'
  end
  from luma.bell b
$function$
  -- Why the drain does not run, as far as the database can tell, or null.

CREATE OR REPLACE FUNCTION luma.drops(keep_columns boolean)
 RETURNS text[]
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select array_agg(d.statement order by d.place)
  from (
    select 1 as place, format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) as statement
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'luma'::regnamespace
    join pg_catalog.pg_class c on c.oid = t.tgrelid and c.relnamespace <> 'luma'::regnamespace
    where not t.tgisinternal
    union all
    select 2, format('drop function %s', p.oid::regprocedure)
    from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname like 'luma\_%'
    union all
    -- Before the columns, because functions of ours use them.
    select 3, 'drop schema luma cascade'
    union all
    select 4, format('drop index if exists public.%I', i.name) from unnest(luma.added_indexes()) i (name)
    union all
    select 5, format('alter table %s %s', a.in_table, string_agg(format('drop column if exists %I', a.in_column), ', '))
    from luma.added_columns() a where not keep_columns group by a.in_table
  ) d
$function$
  -- The statements by which luma.uninstall() removes everything, in their order.

CREATE OR REPLACE FUNCTION luma.due_floor(calendar text, priority integer)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return coalesce(
    (nullif(current_setting('luma.floors', true), '')::jsonb ->> concat(calendar, ' ', priority))::timestamptz, '-infinity'
  );
end
$function$
  -- From when on this claim looks for due jobs.

CREATE OR REPLACE FUNCTION luma.elapsed_ms()
 RETURNS integer
 LANGUAGE sql
 SET search_path TO ''
RETURN (floor(((1000)::numeric * EXTRACT(epoch FROM (clock_timestamp() - statement_timestamp())))))::integer
  -- Milliseconds since this request came in. Permits are given late in it, after a wait for other drains, and their time runs from then.

CREATE OR REPLACE FUNCTION luma.email_missing(rsvp public.event_rsvps)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return luma.usable_email((select u.email from public.users u where u.id = (rsvp).user_id)) is null
    and (select s.require_email from luma.settings s)
    and current_setting('luma.applying', true) is distinct from 'on'
    and (rsvp).rsvp_type is distinct from 'host'
    -- Nobody is refused for a user who is not there: the table's own foreign key says that better.
    and exists (select from public.users u where u.id = (rsvp).user_id)
    and not exists (
      select from public.canonical_events e where e.id = (rsvp).event_id and e.host_id = (rsvp).user_id
    );
exception when others then
  -- Something of ours is broken: the app's write goes on, and the RSVP waits until there is an address.
  raise warning 'luma: the e-mail address for an RSVP could not be checked: %', sqlerrm;
  return false;
end
$function$
  -- True when this RSVP has to be refused: its user has no usable e-mail address. The host's own row, and rows that come from Luma, pass. Never raises.

CREATE OR REPLACE FUNCTION luma.ended_run(run luma.pull_runs, how text)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  told text;
begin
  run.outcome := how;
  run.ended_at := clock_timestamp();
  run.lease := null;
  run.alive_until := null;
  run.entries := '[]';
  run.seen := '{}';
  run.details := '{}';
  run.guests_of := '{}';
  begin
    if run.is_dry then
      perform luma.report_app_side(run);
    elsif run.luma_event_id is null and how <> 'failed' then
      perform luma.take_over_calendar(run.calendar);
      -- What the app's side is ahead of, and what waited to know that it is not on Luma yet: so this run has to be over,
      -- and of two that end at once the second has to see the first.
      perform pg_advisory_xact_lock(hashtext('luma'), hashtext('pull ends'));
      perform luma.save_run(run);
      -- Not a whole luma.sweep(), which may take longer than a call through the Data API.
      perform luma.try_enqueue('event', d, 3, d) from luma.diverged_events() d;
    end if;
  exception when others then
    get stacked diagnostics told = message_text;
    run := luma.with_problem(run, told);
  end;
  return run;
end
$function$
  -- The run as it ends: done, incomplete or failed.

CREATE OR REPLACE FUNCTION luma.enqueue(entity text, entity_id uuid, priority integer, event_id uuid)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
RETURN luma.enqueue_all(entity, ARRAY[entity_id], ARRAY[priority], ARRAY[event_id])
  -- Marks one entity as differing from Luma; see luma.enqueue_all().

CREATE OR REPLACE FUNCTION luma.enqueue_all(entity text, entity_ids uuid[], priorities integer[], event_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  wakes boolean := luma.wakes_drain();
begin
  insert into luma.sync_outbox as o (entity, entity_id, event_id, priority, due_at, wake)
  select
    enqueue_all.entity, j.entity_id, j.event_id, j.priority,
    -- RSVPs wait a little for those that follow them, if one of their event has just been sent.
    greatest(now(), case when enqueue_all.entity = 'rsvp' then
      (select l.guests_due_at from luma.event_links l where l.event_id = j.event_id) end),
    wakes and j.entity_id = entity_ids[1]
  from unnest(entity_ids, priorities, event_ids) j (entity_id, priority, event_id)
  on conflict on constraint sync_outbox_pkey do update set
    version = o.version + 1,
    event_id = excluded.event_id,
    due_at = case
      -- A dead one gets a fresh start: the change may have mended what Luma refused.
      when o.dead_at is not null then excluded.due_at
      -- A leased one stays invisible until its drain settles it, a failing one until its delay ends.
      when o.lease is not null or o.attempts > 0 then o.due_at
      when o.entity = 'event' and excluded.priority < 3 then excluded.due_at
      -- An edit right after another waits a little, so that a burst becomes one call (see luma.finish()).
      else greatest(o.due_at, excluded.due_at)
    end,
    priority = case when o.version > o.done_version then least(o.priority, excluded.priority) else excluded.priority end,
    -- A calendar that is known stays: an event stays on its calendar, and an RSVP with its event.
    calendar = case when o.event_id = excluded.event_id then o.calendar end,
    changed_at = case when o.version > o.done_version then o.changed_at else excluded.changed_at end,
    attempts = case when o.dead_at is null then o.attempts else 0 end,
    crashes = case when o.dead_at is null then o.crashes else 0 end,
    dead_at = null,
    wake = excluded.wake;
end
$function$
  -- Marks entities as differing from Luma, each told once; event_ids are the events of RSVPs, or the events themselves. Makes no call, and takes no locks but those on their own outbox rows, which are taken under the locks of the rows they are about.

CREATE OR REPLACE FUNCTION luma.enqueue_diverged_rsvps(of_event uuid, of_user text, priority integer, OUT enqueued integer, OUT complete boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  diverged record;
begin
  enqueued := 0;
  complete := true;
  for diverged in
    select d.*, coalesce(r.updated_at, r.created_at) < s.live_since as is_backfill
    from luma.diverged_rsvps(of_event, of_user) d
    cross join luma.settings s
    left join public.event_rsvps r on r.id = d.rsvp_id
    left join public.canonical_events e on e.id = d.event_id
    order by e.starts_at, r.created_at, d.rsvp_id
  loop
    if luma.try_enqueue('rsvp', diverged.rsvp_id, case when diverged.is_backfill then 4 else priority end, diverged.event_id) then
      enqueued := enqueued + 1;
      if diverged.is_backfill or priority = 4 then
        perform luma.mark_backfill('rsvp', diverged.rsvp_id, enqueued);
      end if;
    else
      complete := false;
    end if;
  end loop;
end
$function$
  -- Enqueues what luma.diverged_rsvps() finds; RSVPs from before the mode was live as a backfill. complete is false when a writer holds one of them, who may yet roll back.

CREATE OR REPLACE FUNCTION luma.enqueue_event()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  event public.canonical_events;
begin
  -- A statement of its own: should the app drop one of these columns, insertions and deletions still go on.
  if tg_op = 'UPDATE' then
    if not (
      (new.submission_status = 'approved' or old.submission_status = 'approved' or new.luma_event_id is not null)
      and (
        new.submission_status, new.title, new.description, new.starts_at, new.ends_at, new.tz,
        new.lat, new.lng, new.location_raw, new.location_name, new.location_type, new.meeting_point,
        new.meeting_url, new.cover_image_url, new.visibility, new.max_capacity, new.culture,
        new.category, new.is_ticketed, new.ticket_price, new.ticket_currency
      ) is distinct from (
        old.submission_status, old.title, old.description, old.starts_at, old.ends_at, old.tz,
        old.lat, old.lng, old.location_raw, old.location_name, old.location_type, old.meeting_point,
        old.meeting_url, old.cover_image_url, old.visibility, old.max_capacity, old.culture,
        old.category, old.is_ticketed, old.ticket_price, old.ticket_currency
      )
    ) then
      return null;
    end if;
  end if;
  -- Here and not where it is declared: an error there would be outside this block's handler.
  event := coalesce(new, old);
  -- Set by this project's own writes of what Luma told: sending it back would be an echo.
  if current_setting('luma.applying', true) = 'on' then
    return null;
  end if;
  if octet_length(set_config('luma.seen_event', concat(current_setting('luma.seen_event', true), event.id, case
    when tg_op = 'DELETE' or event.submission_status is distinct from 'approved' then 1
    when event.luma_event_id is null then 2
    else 3
  end, ' '), true)) > 4000 then
    perform luma.enqueue_seen('event');
  end if;
  -- It may have been closed until now, without Luma hearing of it: what was judged meanwhile is compared again.
  if tg_op = 'UPDATE' and event.submission_status = 'approved'
    and (old.submission_status, old.starts_at, old.ends_at) is distinct from (new.submission_status, new.starts_at, new.ends_at)
  then
    insert into luma.rechecks (event_id) values (event.id);
  end if;
  return null;
exception when others then
  perform luma.note_missed_change('event', coalesce(new.id, old.id), sqlerrm);
  return null;
end
$function$
  -- Trigger: writes down what is to be enqueued, of updates those that change what is synced. Errors are recorded in luma.missed_changes, never raised.

CREATE OR REPLACE FUNCTION luma.enqueue_rsvp()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  rsvp public.event_rsvps;
begin
  -- Here and not where it is declared: an error there would be outside this block's handler.
  rsvp := coalesce(new, old);
  -- Set by this project's own writes of what Luma told: sending it back would be an echo.
  if current_setting('luma.applying', true) = 'on' then
    return null;
  end if;
  -- The event's row stays alone: the app's own trigger updates it in the same transaction, and two RSVPs at
  -- once would wait for each other.
  if octet_length(set_config(
    'luma.seen_rsvp', concat(current_setting('luma.seen_rsvp', true), rsvp.id, 1, rsvp.event_id, ' '), true
  )) > 4000 then
    perform luma.enqueue_seen('rsvp');
  end if;
  return null;
exception when others then
  perform luma.note_missed_change('rsvp', rsvp.id, sqlerrm);
  return null;
end
$function$
  -- Trigger: enqueues an RSVP. Errors are recorded in luma.missed_changes, never raised.

CREATE OR REPLACE FUNCTION luma.enqueue_seen(entity text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  setting text := 'luma.seen_' || entity;
  seen text := current_setting(setting);
begin
  -- Emptied first, or what fails would be tried again with every statement that follows.
  perform set_config(setting, '', true);
  if octet_length(seen) < 76 then
    -- One row, as most statements have it: no query is started to take it apart.
    perform luma.enqueue_all(
      entity, array[left(seen, 36)::uuid], array[substr(seen, 37, 1)::integer],
      array[coalesce(nullif(trim(substr(seen, 38)), ''), left(seen, 36))::uuid]
    );
  else
    perform luma.enqueue_all(entity, array_agg(j.entity_id), array_agg(j.priority), array_agg(j.event_id))
    from (
      -- Once each, as it was last: a trigger of the app's may have changed a row again.
      select distinct on (u.entity_id) u.entity_id, u.priority, u.event_id
      from (
        select left(s, 36)::uuid as entity_id, substr(s, 37, 1)::integer as priority,
          coalesce(nullif(substr(s, 38), ''), left(s, 36))::uuid as event_id, place
        from string_to_table(trim(seen), ' ') with ordinality t (s, place)
      ) u
      order by u.entity_id, u.place desc
    ) j;
  end if;
exception when others then
  perform set_config(setting, '', true);
  perform luma.note_missed_changes(entity, seen, sqlerrm);
end
$function$
  -- Enqueues what row-level triggers have written to the setting luma.seen_<entity>: of each row its id, the priority, the id of its event (left out for an event), and a blank. Errors are recorded in luma.missed_changes, never raised.

CREATE OR REPLACE FUNCTION luma.enqueue_statement()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if current_setting('luma.seen_' || tg_argv[0], true) <> '' then
    perform luma.enqueue_seen(tg_argv[0]);
  end if;
  return null;
end
$function$
  -- Trigger: enqueues what the row-level triggers of the statement have seen.

CREATE OR REPLACE FUNCTION luma.event_job(o luma.sync_outbox)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  event public.canonical_events;
  link luma.event_links;
  state jsonb;
  look boolean;
begin
  select * into event from public.canonical_events e where e.id = o.entity_id;
  select * into link from luma.event_links l where l.event_id = o.entity_id;
  look := luma.mode() = 'live' and link.luma_event_id is not null and event.id is not null
    and (link.look or luma.is_unheard(o, link) and luma.needs_push(event, link));
  if not luma.needs_push(event, link) and not look then
    return null;
  end if;
  if link.luma_event_id is null and link.create_lease is null then
    link := luma.new_link(o, event);
  end if;
  state := case when event.id is null then '{"shown": false}' else luma.event_state(event) end;
  if luma.mode() = 'live' and link.luma_event_id is null and event.id is not null then
    perform luma.allow_create(link, o.lease, state);
  end if;
  return jsonb_build_object(
    'entity', o.entity, 'id', o.entity_id, 'lease', o.lease, 'version', o.version,
    'calendar', link.calendar,
    'slug', link.slug,
    'luma_event_id', link.luma_event_id,
    'look', look,
    'look_tags', look and link.look_tags,
    'quiet', o.priority = 4,
    'maybe_created', link.create_lease is not null,
    'create_matches', link.create_state is not distinct from state,
    'created_from', case when link.create_lease is not null and link.row_base is null and link.create_state is distinct from state
      then link.create_state end,
    -- Of a row that is gone there is no status, and no answer must be null.
    'cancel_on_luma', (select s.cancel_on_luma from luma.settings s) and coalesce(event.submission_status = 'cancelled', false),
    'state', state,
    'changed', case when link.row_base is not null then to_jsonb(luma.changed_fields(state, link.row_base)) end,
    'culture', (select jsonb_build_object('name', c.name, 'asset_file', c.asset_file)
                from public.event_cultures c where c.slug = event.culture),
    'previous_culture', (select c.name from public.event_cultures c
                         -- What Luma was last known to hold, when it is in doubt what the row said then.
                         where c.slug = coalesce(link.row_base ->> 'culture', link.luma_base ->> 'culture') and c.slug <> 'default'),
    -- Those that runs of which nobody heard more may have put on.
    'maybe_cultures', case when link.row_base is null or link.row_base ? 'culture' then '[]' else coalesce((
      select jsonb_agg(distinct c.name)
      from jsonb_array_elements(link.maybe_sent) sent
      join public.event_cultures c on c.slug = sent.value ->> 'culture'
      where c.slug <> 'default'
    ), '[]') end,
    'luma_cover', link.luma_base ->> 'cover_url'
  );
end
$function$
  -- What the drain needs to know of an event that it has a lease for, or is to get one, or null when there is nothing to send and nothing to read.

CREATE OR REPLACE FUNCTION luma.event_lines(before public.canonical_events, luma_id text, conflicts_from bigint)
 RETURNS SETOF luma.drift
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  line luma.drift;
  after public.canonical_events;
  c record;
begin
  select e.* into after from luma.event_links l join public.canonical_events e on e.id = l.event_id where l.luma_event_id = luma_id;
  if after.id is null then
    -- Gone: its link has been forgotten.
    select * into after from public.canonical_events e where e.id = before.id;
  end if;
  line.entity := 'event';
  line.event_id := before.id;
  line.luma_event_id := luma_id;
  line.title := coalesce(before.title, after.title);
  if before.id is null and after.id is not null then
    line.field := '*';
    line.luma_value := luma.event_state(after);
    line.ahead := 'luma';
    line.action := 'a row is inserted';
    return next line;
    return;
  end if;
  for c in
    select n.field, n.app_value, n.luma_value, n.winner from luma.conflicts n where n.id > conflicts_from and n.entity = 'event' order by n.id
  loop
    line.field := c.field;
    line.app_value := c.app_value;
    line.luma_value := c.luma_value;
    line.ahead := 'both';
    line.action := case c.winner when 'app' then 'the app''s value is sent, Luma''s is kept in luma.conflicts' else 'Luma''s value is written, the app''s is kept in luma.conflicts' end;
    return next line;
  end loop;
  for c in
    select * from luma.changed_columns(to_jsonb(before), to_jsonb(after), '{updated_at,luma_synced_at,luma_sync_status,raw_payload,geocode_status}') n
    where not exists (
      select from luma.conflicts k where k.id > conflicts_from and k.entity = 'event' and k.app_value ? n.field
    )
  loop
    line.field := c.field;
    line.app_value := c.app_value;
    line.luma_value := c.luma_value;
    line.ahead := 'luma';
    line.action := case when c.field = 'luma_event_id' and c.luma_value <> 'null' then 'the row is linked with the Luma event' else 'the row is written' end;
    return next line;
  end loop;
end
$function$
  -- What applying an event has just done to its row (before: as it was).

CREATE OR REPLACE FUNCTION luma.event_state(e public.canonical_events)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
begin
  return jsonb_build_object(
    'shown', e.submission_status is not distinct from 'approved',
    'title', e.title,
    'description', e.description,
    'starts_at', e.starts_at,
    'ends_at', e.ends_at,
    'tz', e.tz,
    'lat', e.lat,
    'lng', e.lng,
    'location_raw', e.location_raw,
    'location_name', e.location_name,
    'location_type', e.location_type,
    'meeting_point', e.meeting_point,
    'meeting_url', e.meeting_url,
    'cover_image_url', e.cover_image_url,
    'visibility', e.visibility,
    'max_capacity', e.max_capacity,
    'culture', e.culture,
    'category', e.category,
    'is_ticketed', e.is_ticketed,
    'ticket_price', e.ticket_price,
    'ticket_currency', e.ticket_currency
  );
end
$function$
  -- The synced columns of a row as JSON; shown is true while the event is approved.

CREATE OR REPLACE FUNCTION luma.expire_leases()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  o luma.sync_outbox;
  most_crashes integer := (select s.max_crashes from luma.settings s);
begin
  -- Past due and still leased: the drain that held it died or was cut short.
  for o in
    select * from luma.sync_outbox s where s.leased_at is not null and s.due_at <= now()
    order by s.due_at limit 500 for update skip locked
  loop
    perform luma.log_attempt(o, 'lease_expired', null, null);
    perform luma.doubt(o);
    if o.crashes + 1 >= most_crashes then
      perform luma.bury(o, format(
        '%s drains in a row died while working on this; see luma.attempts and the function''s log.', o.crashes + 1
      ));
    else
      update luma.sync_outbox s
      set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, crashes = o.crashes + 1
      where s.entity = o.entity and s.entity_id = o.entity_id;
    end if;
  end loop;
end
$function$
  -- Frees what died drains have left leased, and puts what they may have sent in doubt.

CREATE OR REPLACE FUNCTION luma.failed_call(run luma.pull_runs, failure jsonb)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  said text := failure ->> 'message';
  what text := luma.sort_failure(failure ->> 'kind', (failure ->> 'status')::integer, run.failures);
begin
  run.asked_at := null;
  run.failures := run.failures + 1;
  if what = 'rate_limited' then
    perform luma.pause_calendar(
      run.calendar, now() + make_interval(secs => coalesce((failure ->> 'retry_after')::double precision, 60)), 'luma'
    );
    run.failures := 0;
  elsif what = 'retry' and run.failures < 5 then
    run.due_at := clock_timestamp() + luma.retry_delay(run.failures);
  elsif what = 'stopped' then
    perform luma.note_problem(run.calendar, said, stop => true);
    run := luma.ended_run(luma.with_problem(run, said), 'failed');
  elsif run.phase in ('check', 'events') then
    run := luma.ended_run(luma.with_problem(run, said), 'failed');
  elsif run.phase = 'guests' and failure ->> 'status' = '404' and not run.is_dry then
    -- The event has gone since it was listed.
    perform luma.request_look(run.guests_of[1], tags => false);
    run.to_read := run.to_read + 1;
    run.guests_of := run.guests_of[2:];
    run := luma.started_list(run);
  else
    -- Of one event: the rest goes on.
    run := luma.with_problem(run, said);
    if run.phase = 'details' then
      run.details := run.details[2:];
    else
      run.guests_of := run.guests_of[2:];
      run := luma.started_list(run);
    end if;
    run.failures := 0;
  end if;
  return run;
end
$function$
  -- The run after a call that failed (as luma_fail takes it): tried again, left out, or the end.

CREATE OR REPLACE FUNCTION luma.fields_told(news jsonb)
 RETURNS TABLE(field text, value jsonb, columns jsonb)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select f.key, f.value -> 'value', f.value -> 'columns' from jsonb_each(news -> 'fields') f
  union all
  select 'culture', coalesce(to_jsonb(c.slug), 'null'),
    -- Without a fitting tag the culture is the app's "Other", where it has that one.
    jsonb_build_object('culture', coalesce(c.slug, (select d.slug from public.event_cultures d where d.slug = 'default')))
  from (select luma.culture_of(news -> 'tags') as slug) c
  where news ? 'tags'
$function$
  -- The fields that news tells (from_luma.ts, EventNews), with the culture that its tags stand for.

CREATE OR REPLACE FUNCTION luma.find_companions(lead luma.sync_outbox, kind text, wanted text, email text, most integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  due record;
  need record;
  taken text[] := array[find_companions.email];
  companions jsonb[] := '{}';
begin
  for due in
    select d.entity_id, d.version from luma.due_jobs d
    where d.entity = 'rsvp' and d.event_id = lead.event_id and d.calendar = lead.calendar and d.lease is null
      -- Nobody is mailed about a backfill.
      and (d.priority = 4) = (lead.priority = 4)
      -- What killed drains before goes alone, so that it takes no other with it again.
      and d.crashes < 2 and lead.crashes < 2
    -- A few more than wanted, because not all of them want the same: this runs while other drains wait.
    order by d.due_at limit 4 * (most + 1)
  loop
    exit when cardinality(companions) >= most;
    select * into need from luma.guest_need(due.entity_id);
    if need.event_id = lead.event_id and need.kind = find_companions.kind
      and (need.kind = 'change' or need.wanted = find_companions.wanted)
      and not need.busy and need.email <> all (taken)
    then
      taken := taken || need.email;
      companions := companions
        || (jsonb_build_object('rsvp_id', due.entity_id, 'version', due.version) || to_jsonb(need));
    end if;
  end loop;
  return to_jsonb(companions);
end
$function$
  -- At most so many due RSVPs that can go with a leased one: what luma.guest_need() says of them, rsvp_id and version.

CREATE OR REPLACE FUNCTION luma.find_rsvp(guest luma.guests, OUT rsvp_id uuid, OUT user_id text)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  link luma.guest_links;
begin
  select * into link from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email limit 1;
  -- Its row was deleted here, and the guest has come back on Luma since; or who it is has to be found out.
  user_id := coalesce(
    (select u.id from public.users u where u.id = link.user_id),
    (luma.match_user(guest.email, guest.news ->> 'phone')).user_id
  );
  select r.id into rsvp_id from public.event_rsvps r where r.event_id = guest.event_id and r.user_id = find_rsvp.user_id;
  if exists (
    select from luma.guest_links l
    where l.rsvp_id = find_rsvp.rsvp_id and (l.event_id, l.email) <> (guest.event_id, guest.email)
  ) then
    -- That user is another guest already: whose second registration this is, nobody can tell.
    rsvp_id := null;
    user_id := null;
  end if;
end
$function$
  -- The user that a guest is, and that user's RSVP if there is one. Both null for an external guest.

CREATE OR REPLACE FUNCTION luma.finish(o luma.sync_outbox, outcome text, calls jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.log_attempt(o, outcome, null, calls);
  update luma.sync_outbox s
  set done_version = case when outcome = 'dry_run' then s.done_version else o.lease_version end,
      dry_version = greatest(s.dry_version, o.lease_version),
      lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null,
      -- A change that came in during the call leaves the row due; an edit waits for those that follow it.
      due_at = case when s.entity = 'event' and s.priority = 1 or outcome = 'nothing_to_do' then now()
        else now() + make_interval(secs => (select t.edit_spacing_ms from luma.settings t) / 1000.0) end,
      changed_at = case when s.version > o.lease_version then o.leased_at else s.changed_at end,
      attempts = 0, crashes = 0, last_error = null
  where s.entity = o.entity and s.entity_id = o.entity_id;
end
$function$
  -- Marks the leased version as done (or as logged, in dry_run). The row stays due when a newer version exists.

CREATE OR REPLACE FUNCTION luma.finish_rsvp(o luma.sync_outbox, moved boolean, outcome text, calls jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if moved and luma.unlink_moved(o.entity_id) then
    perform luma.log_attempt(o, outcome, null, calls);
    perform luma.put_back(o, now(), false, null);
  else
    perform luma.finish(o, outcome, calls);
  end if;
end
$function$
  -- Like luma.finish(); an RSVP whose row is gone or somebody else's stays due as long as there is more to send of it.

CREATE OR REPLACE FUNCTION luma.finished_list(run luma.pull_runs)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  listed_event_id uuid := run.guests_of[1];
begin
  if run.phase = 'events' then
    -- Those that were new or changed are there already: lists tell neither descriptions nor hosts.
    run.details := array(select d from unnest(run.details || luma.plan_details(run)) with ordinality u (d, n) group by d order by min(n));
    run.phase := 'details';
  else
    if run.is_whole and not run.is_dry then
      run.to_read := run.to_read + luma.look_for_vanished(listed_event_id, run.seen, run.listed_from);
      if run.errors = run.errors_before then
        insert into luma.reads as r (event_id, guests_read_at) values (listed_event_id, run.listed_from)
        on conflict (event_id) do update set guests_read_at = greatest(r.guests_read_at, excluded.guests_read_at);
      end if;
      perform luma.settle_adoption(listed_event_id);
    elsif run.is_dry then
      perform luma.report_rsvps(run);
      if run.is_whole then
        perform luma.report_vanished(run);
      end if;
    end if;
    run.guests_of := run.guests_of[2:];
  end if;
  return luma.started_list(run);
end
$function$
  -- The run after the last page of a list was applied.

CREATE OR REPLACE FUNCTION luma.forget_deliveries(emails text[], phones text[], since timestamp with time zone)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- What waits to be applied goes next time.
  with told as materialized (
    select w.webhook_id, c as contact
    from luma.webhook_inbox w cross join lateral luma.contacts_in(w.payload) c
    where w.due_at is null and w.received_at >= since and w.payload -> 'data' <> '{}'
  ), known as materialized (
    -- First by the hash alone: of hundreds of thousands of addresses a few are left to look at.
    select t.webhook_id, t.contact from told t join luma.forgotten f on f.address_hash = luma.address_hash(t.contact)
  ), of_them as (
    select t.webhook_id from told t join unnest(emails) e on e = t.contact
    union
    select t.webhook_id from told t
    join unnest(phones) p on luma.phone_tail(p) = luma.phone_tail(t.contact) and luma.phone_fits(p, t.contact)
    where t.contact !~ '@'
    union
    select k.webhook_id from known k where luma.is_forgotten(k.contact)
  )
  update luma.webhook_inbox w
  set payload = jsonb_build_object('type', w.type, 'data', '{}'::jsonb), news = null
  from of_them o where w.webhook_id = o.webhook_id
$function$
  -- Empties the webhook deliveries that tell of these people, or of anybody who was forgotten.

CREATE OR REPLACE FUNCTION luma.forget_due()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  due luma.erasures[];
  -- Addresses and numbers that are theirs alone.
  addresses text[];
  phones text[];
begin
  -- What the trigger missed.
  insert into luma.erasures (user_id, emails)
  select l.user_id, array_agg(distinct l.email) from luma.guest_links l
  where not exists (select from public.users u where u.id = l.user_id)
    and not exists (select from luma.erasures e where e.user_id = l.user_id)
  group by l.user_id;
  due := array(select e from luma.erasures e order by e.id limit 1000 for update skip locked);
  if due = '{}' and not exists (select from luma.forgotten) then
    return 0;
  end if;
  -- What a living user has too is that user's.
  addresses := array(
    select distinct m from unnest(due) e cross join lateral unnest(e.emails) m
    where not exists (select from luma.users_by_email(m))
  );
  phones := array(
    select distinct e.phone from unnest(due) e
    where length(luma.phone_digits(e.phone)) >= 7 and not exists (select from luma.users_by_phone(e.phone))
  );
  insert into luma.forgotten (address_hash) select luma.address_hash(m) from unnest(addresses) m
  on conflict (address_hash) do update set told_at = excluded.told_at;
  delete from luma.guest_links l
  where (l.user_id in (select e.user_id from unnest(due) e) or l.email = any (addresses))
    and not exists (select from public.event_rsvps r where r.id = l.rsvp_id and r.event_id = l.event_id and r.user_id = l.user_id)
    and not luma.owes_decline(l);
  perform luma.forget_guests(addresses, phones);
  -- Of those who were forgotten before only what came since the last times.
  perform luma.forget_deliveries(addresses, phones, case when due = '{}' then now() - interval '2 days' else '-infinity' end);
  perform luma.forget_names(array(select e.name from unnest(due) e where length(e.name) >= 3));
  delete from luma.rechecks r where r.user_id in (select e.user_id from unnest(due) e);
  delete from luma.drift d where d.who in (select e.user_id from unnest(due) e) or lower(d.who) = any (addresses);
  delete from luma.erasures x
  where x.id in (select e.id from unnest(due) e)
    and not exists (select from luma.guest_links l where l.user_id = x.user_id)
    and not exists (
      select from unnest(x.emails) m where m = any (addresses) and (
        exists (select from luma.guest_links l where l.email = m) or exists (select from luma.guests g where g.email = m)
      )
    );
  delete from luma.forgotten f
  where f.told_at < now() - make_interval(days => (select greatest(s.webhook_days, 30) from luma.settings s));
  return (select count(*) from luma.erasures);
end
$function$
  -- Forgets whom luma.erasures names. Answers how many are left, of whom Luma still has to be told something. Run by pg_cron with luma.clean_up().

CREATE OR REPLACE FUNCTION luma.forget_event(forgotten_event_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into luma.removed_events (luma_event_id)
  select l.luma_event_id from luma.event_links l where l.event_id = forgotten_event_id and l.luma_event_id is not null
  on conflict do nothing;
  -- Approved again, the event is a new one on Luma: a fresh slug keeps late news of the old one away from it.
  update luma.event_links l
  set luma_event_id = null, create_lease = null, create_state = null, row_base = null, luma_base = null, warning = null, url = null,
      unseen = '{}', maybe_told = null, maybe_state = null, tags_heard = false, look = false, look_tags = false,
      is_adopting = false, pulled_at = null,
      slug = left(l.slug, -12) || left(replace(gen_random_uuid()::text, '-', ''), 12)
  where l.event_id = forgotten_event_id;
  delete from luma.reads r where r.event_id = forgotten_event_id;
  -- Its guests went with it.
  delete from luma.guests g where g.event_id = forgotten_event_id;
  delete from luma.guest_links k where k.event_id = forgotten_event_id;
  -- What was given up because the event had gone.
  update luma.sync_outbox o set done_version = o.version, dead_at = null, last_error = null, attempts = 0
  where o.event_id = forgotten_event_id and o.entity <> 'event' and o.dead_at is not null;
  perform luma.count_external_guests(forgotten_event_id);
end
$function$
  -- After Luma has deleted an event: nothing of it is on Luma any more.

CREATE OR REPLACE FUNCTION luma.forget_guest()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if tg_op = 'INSERT' or new.email is distinct from old.email then
    -- Not before its RSVP has been declined, which goes by the address.
    new.forgotten := luma.is_forgotten(new.email) and not exists (
      select from luma.guest_links l where l.event_id = new.event_id and l.email = new.email
    );
    if new.forgotten then
      update luma.forgotten f set told_at = clock_timestamp()
      where f.address_hash = luma.address_hash(new.email) and f.told_at < clock_timestamp() - interval '1 day';
    end if;
  end if;
  if new.forgotten then
    -- As one without an address is known: by the id.
    new.email := coalesce(new.luma_guest_id, 'forgotten-' || new.id);
    new.news := new.news - '{name,phone}'::text[];
  end if;
  return new;
end
$function$
  -- Trigger: what Luma tells of a forgotten person is kept without saying who it is.

CREATE OR REPLACE FUNCTION luma.forget_guests(emails text[], phones text[])
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update luma.guests g set forgotten = true
  where g.id in (
    select m.id from luma.guests m
    where m.id in (
        select b.id from unnest(emails) e join luma.guests b on b.email = e
        union
        select b.id from unnest(phones) p
        join luma.guests b on luma.phone_tail(b.news ->> 'phone') = luma.phone_tail(p) and luma.phone_fits(p, b.news ->> 'phone')
      )
      and not exists (select from luma.guest_links l where l.event_id = m.event_id and l.email = m.email)
      and not exists (select from luma.sync_outbox o where o.lease = m.lease)
    for update skip locked
  );
  -- Whose place is not taken needs no line.
  delete from luma.guests g
  where g.forgotten and g.id in (
    select m.id from luma.guests m
    where m.forgotten and not exists (select from luma.sync_outbox o where o.lease = m.lease)
      and (coalesce(m.luma_base, 'declined') = 'declined' or not exists (
        select from public.canonical_events e where e.id = m.event_id and not luma.is_over(e)
      ))
    for update skip locked
  )
$function$
  -- Takes out of luma.guests who these people are, and the lines that nothing is counted by.

CREATE OR REPLACE FUNCTION luma.forget_names(names text[])
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update luma.attempts a set error = 'Taken out: it named somebody who was forgotten.'
  where a.error is not null and exists (select from unnest(names) n where strpos(a.error, n) > 0);
  update luma.sync_outbox o set last_error = 'Taken out: it named somebody who was forgotten.'
  where (o.entity, o.entity_id) in (
    select s.entity, s.entity_id from luma.sync_outbox s
    where s.last_error is not null and exists (select from unnest(names) n where strpos(s.last_error, n) > 0)
    for update skip locked
  )
$function$
  -- Takes out errors that name these people: Luma may have quoted a guest whose name was not at hand any more.

CREATE OR REPLACE FUNCTION luma.forget_person(person text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  wanted text := btrim(person);
  living text := (select u.id from public.users u where u.id = wanted union select u from luma.users_by_email(wanted) u limit 1);
begin
  if coalesce(wanted, '') = '' then
    raise exception 'luma.forget_person: give an e-mail address, or the id that a deleted user had'
      using errcode = 'invalid_parameter_value';
  elsif living is not null then
    raise exception 'luma.forget_person: % is user %', luma.redacted(wanted), living
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'Delete the row of public.users: then the user is forgotten here too.';
  end if;
  insert into luma.erasures (user_id, emails)
  values (case when wanted !~ '@' then wanted end, case when wanted ~ '@' then array[lower(wanted)] else array(
    select distinct l.email from luma.guest_links l where l.user_id = wanted
  ) end);
  perform luma.forget_due();
  -- That it was done, not to whom.
  perform luma.log_admin('forget_person', '{}');
  return not exists (
    select from luma.erasures e where e.user_id = wanted or lower(wanted) = any (e.emails)
  );
end
$function$
  -- Forgets somebody who is no user: a guest on Luma by e-mail address, or a deleted user by id. True: nothing is kept. False: Luma still has to be told that they do not come; what is kept for that goes with the clean-up afterwards. What Luma itself keeps is deleted on Luma.

CREATE OR REPLACE FUNCTION luma.forget_versions()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  forgotten integer := 0;
begin
  -- Else `supabase db push` would take what it applied for being there. Not there where psql was used.
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations m where m.version ~ '^202611(22|24|26|27|28|29|30)00[0-9]{4}$';
    get diagnostics forgotten = row_count;
  end if;
  return forgotten;
end
$function$
  -- Takes this project's files out of the Supabase CLI's list of applied migrations.

CREATE OR REPLACE FUNCTION luma.give_back_calendars()
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 UPDATE public.calendars c SET is_active = true
    FROM luma.calendar_state s
   WHERE ((s.luma_key = c.luma_key) AND s.was_active);
 UPDATE luma.calendar_state s SET was_active = false
   WHERE s.was_active;
END
  -- The app's iCal worker reads again what it read before this project did.

CREATE OR REPLACE FUNCTION luma.go_on(run_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  floors jsonb := (
    select r.floors from luma.drain_runs r where r.id = run_id and r.looked_at > clock_timestamp() - interval '1 second'
  );
begin
  perform set_config('luma.floors', coalesce(floors, '{}')::text, true);
  return coalesce(floors, '{}') <> '{}';
end
$function$
  -- Lets a claim go on from where the last one of its run was. False when it has to look at all that is due.

CREATE OR REPLACE FUNCTION luma.guest_address(news jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN COALESCE(luma.usable_email((news ->> 'email'::text)), NULLIF((news ->> 'email'::text), ''::text), (news ->> 'luma_guest_id'::text))
  -- guests.email of a guest that Luma tells of.

CREATE OR REPLACE FUNCTION luma.guest_lines(run luma.pull_runs, news jsonb, rows_before jsonb, conflicts_from bigint)
 RETURNS SETOF luma.drift
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  line luma.drift;
  event public.canonical_events;
  rsvp public.event_rsvps;
  c record;
begin
  select * into event from public.canonical_events e where e.id = run.guests_of[1];
  line.event_id := event.id;
  line.luma_event_id := news ->> 'luma_event_id';
  line.title := event.title;
  line.entity := 'rsvp';
  for rsvp in
    select r.* from luma.guest_links l join public.event_rsvps r on r.id = l.rsvp_id
    where l.event_id = event.id and l.email = luma.guest_address(news)
  loop
    line.who := rsvp.user_id;
    if rows_before -> rsvp.id::text is null then
      line.field := '*';
      line.luma_value := jsonb_build_object('status', rsvp.status, 'checked_in', rsvp.checked_in, 'rsvp_type', rsvp.rsvp_type);
      line.ahead := 'luma';
      line.action := 'an RSVP is inserted';
      return next line;
    end if;
    for c in
      select * from luma.changed_columns(rows_before -> rsvp.id::text, to_jsonb(rsvp), '{updated_at,luma_synced_at,luma_guest_id}')
      where rows_before -> rsvp.id::text is not null
    loop
      line.field := c.field;
      line.app_value := c.app_value;
      line.luma_value := c.luma_value;
      line.ahead := case when exists (select from luma.conflicts k where k.id > conflicts_from and k.entity_id = rsvp.id) then 'both' else 'luma' end;
      line.action := 'the RSVP is written';
      return next line;
    end loop;
    for c in select k.app_value, k.luma_value from luma.conflicts k where k.id > conflicts_from and k.entity_id = rsvp.id and k.winner = 'app' loop
      line.field := 'status';
      line.app_value := c.app_value;
      line.luma_value := c.luma_value;
      line.ahead := 'both';
      line.action := 'the app''s value is sent, Luma''s is kept in luma.conflicts';
      return next line;
    end loop;
    return;
  end loop;
  line.entity := 'guest';
  line.who := luma.guest_address(news);
  line.field := 'status';
  line.luma_value := news -> 'status';
  line.ahead := 'luma';
  line.action := 'is kept in luma.external_guests: nobody''s RSVP';
  return next line;
end
$function$
  -- What applying a guest has just done to the RSVPs of its event (rows_before: as they were, by id).

CREATE OR REPLACE FUNCTION luma.guest_need(rsvp_id uuid, OUT event_id uuid, OUT user_id text, OUT email text, OUT name text, OUT wanted text, OUT agreed text, OUT in_doubt boolean, OUT luma_guest_id text, OUT busy boolean, OUT moved boolean, OUT kind text)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  rsvp public.event_rsvps;
  member public.users;
  link luma.guest_links;
  guest luma.guests;
begin
  select * into rsvp from public.event_rsvps r where r.id = guest_need.rsvp_id;
  select * into link from luma.guest_links l where l.rsvp_id = guest_need.rsvp_id;
  select * into member from public.users u where u.id = rsvp.user_id;
  -- The row is gone, or is another person's or event's now: the guest that it was has to leave first. Another user
  -- with the same address, after accounts were merged say, is the same guest.
  moved := link.rsvp_id is not null and (rsvp.event_id, rsvp.user_id) is distinct from (link.event_id, link.user_id)
    and (rsvp.event_id, luma.usable_email(member.email)) is distinct from (link.event_id, link.email);
  if moved then
    event_id := link.event_id;
    user_id := link.user_id;
    wanted := 'declined';
  elsif rsvp.id is null then
    return;
  else
    event_id := rsvp.event_id;
    user_id := rsvp.user_id;
    name := member.name;
    -- An RSVP whose user is gone is as good as deleted.
    wanted := case when member.id is null then 'declined' else luma.guest_status(rsvp.status) end;
  end if;

  select * into guest from luma.guests g where g.event_id = link.event_id and g.email = link.email;
  email := link.email;
  if not moved and guest.row_base is null and guest.luma_base is null and not coalesce(guest.in_doubt, false) then
    -- Luma has never heard of this guest, so the address can still be corrected.
    email := luma.usable_email(member.email);
    select * into guest from luma.guests g where g.event_id = guest_need.event_id and g.email = guest_need.email;
  end if;
  in_doubt := coalesce(guest.in_doubt, false);
  -- Who registered on Luma is there, though nothing was agreed on with this row yet.
  agreed := case
    when in_doubt then null
    else coalesce(guest.row_base, case when luma.status_rank(guest.luma_base) is not null then guest.luma_base end)
  end;
  luma_guest_id := guest.luma_guest_id;
  -- Also when the lease has run out but is not freed yet: only then it is known whether the guest is in doubt.
  busy := exists (
    select from luma.sync_outbox o where o.lease = guest.lease and o.entity_id <> guest_need.rsvp_id
  ) or (
    -- Luma has said otherwise: what is to be sent is known when it has been read.
    coalesce(guest.look, false) and exists (
      select from luma.sync_outbox o
      where o.entity = 'guest' and o.entity_id = guest.id and o.version > o.done_version and o.dead_at is null
    )
  );

  -- Who shares the address, or was this user's row before it was made again: the guest stays as long as one
  -- of them wants to come.
  select w.status into wanted
  from (
    select guest_need.wanted as status
    union all
    select luma.guest_status(r.status) from public.event_rsvps r
    where r.event_id = guest_need.event_id and r.user_id = guest_need.user_id and r.id <> guest_need.rsvp_id
    union all
    select luma.guest_status(r.status)
    from luma.guest_links k
    join public.event_rsvps r on r.id = k.rsvp_id and r.event_id = k.event_id and r.user_id = k.user_id
    where k.event_id = guest_need.event_id and k.email = guest_need.email and k.rsvp_id <> guest_need.rsvp_id
  ) w
  order by luma.status_rank(w.status) desc limit 1;

  kind := case
    when email is null then null
    when agreed = wanted then null
    when agreed is not null then 'change'
    when wanted <> 'declined' then 'add'
    -- Declined only if Luma has the guest.
    when in_doubt then 'change'
  end;
end
$function$
  -- What Luma should hold of an RSVP (also of one that was deleted) while its event takes guests: wanted; agreed is what both sides last agreed on. kind: add (Luma may not have the guest), change, or null when nothing is to be done. busy: another RSVP of the same guest is being sent. moved: the row is gone or is somebody else's now.

CREATE OR REPLACE FUNCTION luma.guest_status(rsvp_status text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
begin
  return case
    when rsvp_status in ('going', 'approved') then 'approved'
    -- 'interested' is the app's word for waiting for the host's approval.
    when rsvp_status in ('interested', 'pending') then 'pending_approval'
    when rsvp_status = 'waitlist' then 'waitlist'
    else 'declined'
  end;
end
$function$
  -- Luma's word for a status of event_rsvps: approved, pending_approval, waitlist, or declined for everybody who does not want or may not come.

CREATE OR REPLACE FUNCTION luma.guests_due(run luma.pull_runs, event public.canonical_events, link luma.event_links)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select (run).is_full or r.guests_read_at is null
    -- Webhooks were missed since.
    or r.guests_read_at < (select s.missed_at from luma.calendar_state s where s.luma_key = (link).calendar)
    or r.guests_read_at + luma.guests_read_every((event).starts_at) <= now()
    -- Something was told or heard since: where there is movement, some of it may have been lost.
    or (link).heard_at > r.guests_read_at or (link).told_at > r.guests_read_at
    or exists (
      select from luma.guests g where g.event_id = (event).id and greatest(g.heard_at, g.synced_at) > r.guests_read_at
    )
  from (select) one left join luma.reads r on r.event_id = (event).id
$function$
  -- True when a run has to read the guest list of an event: all of them when it was asked for, those that never were, soon, busy and just changed ones, and the others now and then.

CREATE OR REPLACE FUNCTION luma.guests_job(o luma.sync_outbox, free integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  settings luma.settings;
  link luma.event_links;
  need record;
  companions jsonb;
  batch jsonb;
begin
  if not luma.takes_guests(o.event_id) then
    -- It closed since these were routed.
    perform luma.postpone(o, now());
    update luma.sync_outbox s set calendar = null where (s.entity, s.entity_id) in (
      select d.entity, d.entity_id from luma.due_jobs d
      where d.entity = 'rsvp' and d.event_id = o.event_id and d.lease is null limit 2000 for update skip locked
    );
    return null;
  end if;
  select * into need from luma.guest_need(o.entity_id);
  if need.event_id <> o.event_id then
    -- The row went over to another event. Its guest leaves the first one, if that can be told there, and joins the
    -- second.
    if need.moved and not luma.takes_guests(need.event_id) then
      delete from luma.guest_links l where l.rsvp_id = o.entity_id;
    else
      update luma.sync_outbox s set event_id = need.event_id, calendar = null where s.lease = o.lease;
    end if;
    perform luma.postpone(o, now());
    return null;
  end if;
  if (need.busy or need.kind is null and need.agreed is not null) and not need.moved then
    -- Who shares a guest has to be known before the other one leaves.
    insert into luma.guest_links (rsvp_id, event_id, user_id, email)
    values (o.entity_id, need.event_id, need.user_id, need.email)
    on conflict (rsvp_id) do update set event_id = excluded.event_id, user_id = excluded.user_id, email = excluded.email;
  end if;
  if need.busy then
    -- An RSVP that waits for a look at its guest lets it go before others.
    update luma.sync_outbox s set priority = o.priority
    where s.priority > o.priority and (s.entity, s.entity_id) in (
      select c.entity, c.entity_id from luma.sync_outbox c
      join luma.guests g on g.id = c.entity_id and g.look and g.event_id = need.event_id and g.email = need.email
      where c.entity = 'guest' for update of c skip locked
    );
    -- First of all: what is being sent may be older than this change, so not even "nothing to do" can be told.
    perform luma.postpone(o, clock_timestamp() + interval '1 second');
    return null;
  elsif need.kind is null then
    perform luma.finish_rsvp(o, need.moved, 'nothing_to_do', '[]');
    return null;
  end if;

  select * into settings from luma.settings;
  select * into link from luma.event_links l where l.event_id = o.event_id;
  companions := luma.find_companions(
    o, need.kind, need.wanted, need.email,
    -- A change needs a permit for each guest.
    least(luma.batch_size(need.kind), case when need.kind = 'change' then free end) - 1
  );
  if need.kind = 'add' then
    if link.guests_due_at > now() and jsonb_array_length(companions) + 1 < luma.batch_size('add') then
      perform luma.hold_batch(o, companions, link.guests_due_at);
      return null;
    end if;
    update luma.event_links l
    set guests_due_at = clock_timestamp() + make_interval(secs => settings.edit_spacing_ms / 1000.0)
    where l.event_id = o.event_id;
  end if;
  select jsonb_build_array(jsonb_build_object('rsvp_id', o.entity_id, 'lease', o.lease) || to_jsonb(need))
    || coalesce(jsonb_agg(c.guest || jsonb_build_object('lease', leased.lease) order by c.place), '[]')
  into batch
  from luma.lease_companions(o, companions) leased
  join jsonb_array_elements(companions) with ordinality c (guest, place) on (c.guest ->> 'rsvp_id')::uuid = leased.entity_id;
  update luma.sync_outbox s set lease_state = g
  from jsonb_array_elements(batch) g where s.lease = (g ->> 'lease')::uuid;
  if luma.mode() = 'live' then
    perform luma.remember_guests(batch);
  end if;
  return jsonb_build_object(
    'entity', 'guests', 'id', o.event_id, 'calendar', o.calendar, 'luma_event_id', link.luma_event_id,
    'send_email', settings.send_email and o.priority < 4,
    'permits', case when need.kind = 'change' then jsonb_array_length(batch) else 1 end,
    'guests', batch
  );
end
$function$
  -- What the drain needs to know of a leased RSVP and of those that go with it, for at most so many calls, or null when there is nothing to send now. permits: how many calls it is good for.

CREATE OR REPLACE FUNCTION luma.guests_read_every(starts_at timestamp with time zone)
 RETURNS interval
 LANGUAGE sql
 STABLE
 SET search_path TO ''
RETURN CASE WHEN (starts_at < (now() + '2 days'::interval)) THEN '00:00:00'::interval WHEN (starts_at < (now() + '7 days'::interval)) THEN '01:00:00'::interval WHEN (starts_at < (now() + '30 days'::interval)) THEN '06:00:00'::interval ELSE '1 day'::interval END
  -- How often the guests of an event are read though nothing says that they changed: webhooks tell changes, so this only bounds what a lost one can cost.

CREATE OR REPLACE FUNCTION luma.has_claimable(calendars text[] DEFAULT NULL::text[])
 RETURNS boolean
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  select exists (
    select from luma.due_jobs o
    where (o.calendar = any (calendars) or o.calendar is null or calendars is null)
      and (o.calendar is null or luma.calendar_ready(o.calendar))
  )
  or (luma.mode() <> 'off' and exists (select from luma.rechecks r where r.due_at <= clock_timestamp() and not r.promote))
  or luma.deliveries_due()
$function$
  -- True when a drain with keys for these calendars (null: for all) would find work.

CREATE OR REPLACE FUNCTION luma.heard_from(calendar text)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (select max(i.received_at) from luma.webhook_inbox i where i.calendar = heard_from.calendar);
end
$function$
  -- When the last webhook of a calendar came, or null.

CREATE OR REPLACE FUNCTION luma.history(event_id uuid)
 RETURNS TABLE(at timestamp with time zone, what text, entity text, who text, outcome text, detail text, took interval, calls jsonb)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  with link as (
    select l.luma_event_id, l.calendar, l.slug, l.create_lease, l.created_at from luma.event_links l where l.event_id = history.event_id
  ),
  entities as (
    select 'event' as entity, history.event_id as entity_id, null::text as who
    union
    select o.entity, o.entity_id, coalesce(r.user_id, g.user_id)
    from luma.sync_outbox o
    left join public.event_rsvps r on o.entity = 'rsvp' and r.id = o.entity_id
    left join luma.guest_links g on o.entity = 'rsvp' and g.rsvp_id = o.entity_id
    where o.event_id = history.event_id and o.entity <> 'event'
    union
    -- Their finished jobs may have been cleaned up, their history not yet.
    select 'rsvp', r.id, r.user_id from public.event_rsvps r where r.event_id = history.event_id
  ),
  attempts as (
    select a.*, e.who from entities e join luma.attempts a on a.entity = e.entity and a.entity_id = e.entity_id
  ),
  lines as (
    select min(a.id) as id, a.changed_at as at, 'committed' as what, a.entity, a.who, null as outcome, null as detail,
      null::interval as took, '[]'::jsonb as calls
    from attempts a where a.changed_at is not null
    group by a.entity, a.entity_id, a.changed_at, a.who
    union all
    -- Waits for its first attempt, or for the next one.
    select null, o.changed_at, 'committed', o.entity, e.who, 'waiting', o.last_error, null, '[]'
    from entities e join luma.sync_outbox o on o.entity = e.entity and o.entity_id = e.entity_id
    where o.version > o.done_version and o.changed_at not in (select a.changed_at from attempts a where a.entity_id = o.entity_id)
    union all
    select a.id, a.settled_at, 'attempt', a.entity, a.who, a.outcome, a.error, a.settled_at - coalesce(a.leased_at, a.settled_at), a.calls
    from attempts a
    union all
    select 0, l.created_at, 'slug chosen', 'event', null, l.calendar, 'https://luma.com/' || l.slug, null, '[]'
    from link l where l.create_lease is not null
    union all
    select 0, i.received_at, 'webhook', split_part(i.type, '.', 1), null, coalesce(i.outcome, i.state), concat_ws(': ', i.type, i.error),
      i.applied_at - i.received_at, '[]'
    from link l join luma.webhook_inbox i on i.news #>> '{event,luma_event_id}' = l.luma_event_id
    union all
    select 0, coalesce(r.ended_at, r.started_at, r.requested_at), 'pull', 'event', null, coalesce(r.outcome, 'under way'),
      array_to_string(r.problems, '; '), r.ended_at - r.started_at, '[]'
    from link l join luma.pull_runs r on r.luma_event_id = l.luma_event_id
    union all
    select c.id, c.noticed_at, 'conflict', c.entity, r.user_id, c.winner || ' stayed',
      format('%s: app %s, Luma %s', c.field, coalesce(c.app_value #>> '{}', 'nothing'), coalesce(c.luma_value #>> '{}', 'nothing')), null, '[]'
    from luma.conflicts c left join public.event_rsvps r on r.id = c.entity_id
    where c.event_id = history.event_id
  )
  select l.at, l.what, l.entity, l.who, l.outcome, nullif(l.detail, ''), l.took, l.calls
  from lines l
  -- What was committed and settled in one microsecond was committed first.
  order by l.at, l.what = 'attempt', l.id
$function$
  -- What happened with an event of the app's and its RSVPs, oldest first, as far back as luma.settings keeps it: commits, attempts with every call to Luma and its answer, webhooks, pulls of it, conflicts. who: the user of an RSVP.

CREATE OR REPLACE FUNCTION luma.hold_batch(lead luma.sync_outbox, companions jsonb, until timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.postpone(lead, until);
  update luma.sync_outbox o set due_at = until
  where o.entity = 'rsvp' and o.entity_id in (
    select s.entity_id from jsonb_to_recordset(companions) c (rsvp_id uuid)
    join luma.sync_outbox s on s.entity = 'rsvp' and s.entity_id = c.rsvp_id
    where s.lease is null for update of s skip locked
  );
end
$function$
  -- Lets a leased RSVP and its companions wait for others.

CREATE OR REPLACE FUNCTION luma.insert_event(calendar text, news jsonb, source text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  luma_id text := news ->> 'luma_event_id';
  event public.canonical_events := luma.adoptable_row(news);
  told jsonb;
  base jsonb;
  link luma.event_links;
begin
  -- Luma tells of a new event twice at the same moment: whoever comes second finds the first one's link a moment later.
  if not pg_try_advisory_xact_lock(hashtext('luma'), hashtext(luma_id))
    or exists (select from luma.event_links l where l.luma_event_id = luma_id)
  then
    perform luma.busy(luma_id);
  end if;
  select jsonb_object_agg(t.field, t.value) into base from luma.fields_told(news) t;
  select coalesce(jsonb_object_agg(c.key, c.value), '{}') into told
  from luma.fields_told(news) t cross join lateral jsonb_each(t.columns) c where c.value <> 'null';
  insert into luma.event_links as l (event_id, calendar, slug, luma_event_id, url, luma_base, heard_at, pulled_at, is_adopting)
  values (
    coalesce(event.id, gen_random_uuid()), insert_event.calendar, 'luma-' || md5(luma_id), luma_id, news ->> 'url',
    case when event.id is null then base else '{}' end,
    case when source = 'webhook' then clock_timestamp() end,
    -- Of what is older than the sync no webhook came.
    case when source <> 'webhook' and (news #>> '{rest,created_at}')::timestamptz > (select s.live_since from luma.settings s)
      then clock_timestamp() end,
    event.id is not null
  )
  -- Of a row that was linked before, or was to be created; whoever is inserting it just now has waited for nobody.
  on conflict (event_id) do update
  set calendar = excluded.calendar, slug = excluded.slug, luma_event_id = excluded.luma_event_id, url = excluded.url,
      luma_base = excluded.luma_base, heard_at = excluded.heard_at, pulled_at = excluded.pulled_at, is_adopting = true
  where l.luma_event_id is null
  returning * into link;
  if link.event_id is null then
    perform luma.busy(luma_id);
  end if;
  if event.id is null then
    perform set_config('luma.applying', 'on', true);
    event := jsonb_populate_record(
      null::public.canonical_events,
      '{"tz": "UTC", "visibility": "public", "geocode_status": "pending", "location_type": "custom"}' || told
    );
    event := jsonb_populate_record(event, luma.location_type_of(event, told));
    insert into public.canonical_events as e (
      id, canonical_uid, source_type, submission_status, title, description, starts_at, ends_at, tz, lat, lng, geocode_status,
      location_raw, location_name, meeting_point, location_type, meeting_url, cover_image_url, visibility, culture, external_rsvp_url,
      luma_event_id, luma_sync_status, luma_synced_at, source_refs, raw_payload
    )
    select link.event_id, 'luma-' || luma_id, 'luma', 'approved', event.title, event.description, event.starts_at, event.ends_at,
      event.tz, event.lat, event.lng, event.geocode_status, event.location_raw, event.location_name, event.meeting_point, event.location_type,
      event.meeting_url, event.cover_image_url, event.visibility, event.culture, news ->> 'url', luma_id, 'pulled', now(),
      jsonb_build_array(jsonb_build_object('source', 'luma', 'event_url', news ->> 'url', 'luma_event_id', luma_id, 'calendar', insert_event.calendar)),
      news -> 'rest'
    returning e.* into event;
    perform set_config('luma.applying', '', true);
    update luma.event_links l set row_base = luma.event_state(event), synced_at = now() where l.event_id = event.id;
  else
    perform luma.adopt_event(event, link, news, source);
  end if;
  if source = 'webhook' then
    -- It tells no hosts, and calendar.event.added little else.
    perform luma.request_look(link.event_id, tags => not news ? 'tags');
  end if;
  return case when event.id = link.event_id and link.is_adopting then 'adopted' else 'inserted' end;
end
$function$
  -- A Luma event that is new here becomes a row, source_type luma, approved; or the row that shows it already is adopted. What a webhook left out is read from Luma.

CREATE OR REPLACE FUNCTION luma.insert_rsvp(guest luma.guests, rsvp_user_id text)
 RETURNS uuid
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  inserted uuid;
  told jsonb := guest.news;
begin
  perform set_config('luma.applying', 'on', true);
  insert into public.event_rsvps (
    event_id, user_id, status, rsvp_type, checked_in, checked_in_at, metadata, created_at, luma_guest_id, luma_synced_at
  ) values (
    guest.event_id, rsvp_user_id, luma.rsvp_status_of(guest.luma_base), coalesce(told ->> 'rsvp_type', 'standard'),
    told ->> 'checked_in_at' is not null, (told ->> 'checked_in_at')::timestamptz,
    jsonb_build_object('luma_tickets', coalesce(told -> 'tickets', '[]')),
    coalesce((told ->> 'registered_at')::timestamptz, now()), guest.luma_guest_id, now()
  )
  on conflict do nothing returning id into inserted;
  perform set_config('luma.applying', '', true);
  if inserted is null then
    perform luma.busy(format('the RSVP of user %s', rsvp_user_id));
  end if;
  return inserted;
end
$function$
  -- The RSVP of a user who came by Luma.

CREATE OR REPLACE FUNCTION luma.is_alike(e public.canonical_events, title text, starts_at timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select coalesce(
    luma.loosely(to_jsonb((e).title)) = luma.loosely(to_jsonb(title))
    or (e).starts_at between starts_at - interval '1 day' and starts_at + interval '1 day', false
  )
$function$
  -- True when a row can be this event, by its title or its day.

CREATE OR REPLACE FUNCTION luma.is_counted(guest luma.guests)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select coalesce((guest).luma_base in ('approved', 'session'), false) and luma.is_external(guest)
$function$
  -- True for an external guest who is going.

CREATE OR REPLACE FUNCTION luma.is_deaf(calendar text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return coalesce(
    (select s.missed_at from luma.calendar_state s where s.luma_key = is_deaf.calendar)
      > coalesce(luma.heard_from(calendar), '-infinity'),
    false
  );
end
$function$
  -- True from when webhooks were noticed to be missing until one comes: meanwhile an event is read before anything is sent to it, because a host may have changed it unheard.

CREATE OR REPLACE FUNCTION luma.is_early(link luma.event_links, field text, value jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select field = 'culture' and value = 'null' and field = any ((link).unseen) and not (link).tags_heard
$function$
  -- True for the missing tag of an event that has just been made: a tag is put on after that, so the first news has none.

CREATE OR REPLACE FUNCTION luma.is_external(guest luma.guests)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select (guest).luma_base is not null and not exists (
    select from luma.guest_links l where l.event_id = (guest).event_id and l.email = (guest).email
  )
$function$
  -- True for a guest whom Luma has and who is nobody's RSVP.

CREATE OR REPLACE FUNCTION luma.is_forgotten(address text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select exists (select from luma.forgotten f where f.address_hash = luma.address_hash(address))
    -- Who has come back is somebody again.
    and not exists (select from luma.users_by_email(address))
$function$
  -- True for the e-mail address of somebody who was forgotten and is no user.

CREATE OR REPLACE FUNCTION luma.is_known(link luma.event_links, news jsonb)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select not coalesce((news ->> 'gone')::boolean, false)
    and news ->> 'url' is not distinct from coalesce((link).url, 'https://luma.com/' || (link).slug)
    and not exists (
      select from luma.fields_told(news) t
      where (link).luma_base -> t.field is distinct from t.value or t.field = any ((link).unseen)
    )
    and exists (
      select from public.canonical_events e
      where e.id = (link).event_id and luma.details_told(e, link, news) = '{}'
    )
$function$
  -- True when Luma tells nothing new of an event.

CREATE OR REPLACE FUNCTION luma.is_known_guest(of_event_id uuid, news jsonb)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
RETURN (EXISTS (SELECT FROM luma.guests g WHERE ((g.event_id = is_known_guest.of_event_id) AND (g.luma_guest_id = (is_known_guest.news ->> 'luma_guest_id'::text)) AND (g.email = luma.guest_address(is_known_guest.news)) AND (g.luma_base = (is_known_guest.news ->> 'status'::text)) AND (g.news = (is_known_guest.news - '{luma_event_id,luma_guest_id,email,status}'::text[])) AND (NOT g.unseen) AND (NOT g.in_doubt))))
  -- True when Luma tells nothing new of a guest.

CREATE OR REPLACE FUNCTION luma.is_list_unheard(o luma.sync_outbox)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select luma.mode() = 'live' and luma.is_deaf((o).calendar) and luma.takes_guests((o).event_id)
    -- Should nobody pull, RSVPs do not wait for ever.
    and (o).changed_at > now() - interval '2 minutes'
    and not exists (select from luma.reads r where r.event_id = (o).event_id and r.guests_read_at >= (o).changed_at)
$function$
  -- True when the guest list of its event has to be read before a leased RSVP is sent.

CREATE OR REPLACE FUNCTION luma.is_luma_address(address text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN COALESCE((address ~* '^[[:space:]]*(https?://)?(www\.)?(lu\.ma|luma\.com)/[^[:space:]/?#]'::text), false)
  -- True for the address of a page on Luma, in any of its forms.

CREATE OR REPLACE FUNCTION luma.is_over(e public.canonical_events)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  -- Without an end Luma shows two hours (mapping.ts), so it runs that long here too.
  return coalesce(e.ends_at, e.starts_at + interval '2 hours') <= now();
end
$function$
  -- True when the event has ended: nothing of it is sent any more.

CREATE OR REPLACE FUNCTION luma.is_same(field text, one jsonb, other jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN ((NOT (one IS DISTINCT FROM other)) OR ((field = ANY (ARRAY['description_md'::text, 'geo_address_json'::text])) AND COALESCE((luma.loosely(one) = luma.loosely(other)), false)) OR ((field = 'cover_url'::text) AND COALESCE((strpos((other #>> '{}'::text[]), regexp_replace((one #>> '{}'::text[]), '^.*/'::text, ''::text)) > 0), false)))
  -- True when the other value of a field can be what became of the one on Luma.

CREATE OR REPLACE FUNCTION luma.is_same_here(event public.canonical_events, field text, value jsonb, columns jsonb)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select not exists (
    select from jsonb_each(luma.event_state(jsonb_populate_record(event, columns))) told
    where columns ? told.key
      and case when field = 'description_md' then not luma.is_same(field, luma.event_state(event) -> told.key, told.value)
        else luma.event_state(event) -> told.key is distinct from told.value end
  )
  -- The app keeps an address in parts, which are one line on Luma.
  or field = 'geo_address_json' and coalesce(luma.loosely(value) in (
    luma.loosely(to_jsonb(concat(event.location_name, event.location_raw, 'Meeting point' || event.meeting_point))),
    luma.loosely(to_jsonb(concat(event.location_raw, 'Meeting point' || event.meeting_point)))
  ), false)
$function$
  -- True when a row says already what Luma tells of a field, perhaps in another form.

CREATE OR REPLACE FUNCTION luma.is_unheard(o luma.sync_outbox, link luma.event_links)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return luma.is_deaf(link.calendar) and link.row_base is not null
    -- Not a second time under one lease.
    and not exists (select from luma.reads r where r.event_id = link.event_id and r.read_at >= o.leased_at);
end
$function$
  -- True when a leased event has to be read before it is sent.

CREATE OR REPLACE FUNCTION luma.is_unset(columns jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN (NOT (EXISTS (SELECT FROM jsonb_each_text(is_unset.columns) c(key, value) WHERE (COALESCE(TRIM(BOTH FROM c.value), ''::text) <> ALL (ARRAY[''::text, 'default'::text])))))
  -- True when none of these columns says anything.

CREATE OR REPLACE FUNCTION luma.keep_former()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  -- Of so many values before: more than can change in the time that a webhook is late, unless somebody saves all day.
  kept constant integer := 20;
  f record;
begin
  if new.luma_base is null then
    new.former := '{}';
    new.ours := '{}';
    new.maybe_sent := '[]';
    new.unheard := '{}';
    return new;
  end if;
  for f in
    select b.key as field, b.value from jsonb_each(old.luma_base) b where b.value is distinct from new.luma_base -> b.key
    union all
    select m.key, m.value from jsonb_each(old.maybe_told) m where m.value is distinct from new.maybe_told -> m.key
  loop
    new.former := new.former || jsonb_build_object(f.field, (
      select jsonb_agg(t.value order by t.place) from (
        select luma.trace_of(f.field, f.value) as value, 0 as place
        union all
        select e.value, e.ordinality from jsonb_array_elements(new.former -> f.field) with ordinality e
        where e.ordinality < kept
      ) t
    ));
  end loop;
  new.ours := (
    select coalesce(jsonb_object_agg(b.key, w.at) filter (where w.at is not null), '{}')
    from jsonb_each(new.luma_base) b
    cross join lateral (
      select case
        when b.value is not distinct from old.luma_base -> b.key then old.ours -> b.key
        -- Told, or seen to have been told by a call that was never answered.
        when b.key = any (new.unseen) or luma.is_same(b.key, old.maybe_told -> b.key, b.value) then to_jsonb(clock_timestamp())
        -- Luma's form of it.
        when luma.is_same(b.key, old.luma_base -> b.key, b.value) then old.ours -> b.key
      end as at
    ) w
  );
  return new;
end
$function$
  -- Keeps what is replaced in luma_base, and whose word is there now.

CREATE OR REPLACE FUNCTION luma.keep_settings()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  raise exception 'luma.settings: its one row is what the sync runs by, and cannot be deleted'
    using errcode = 'object_not_in_prerequisite_state', hint = 'Change it with update; luma.uninstall() removes everything.';
end
$function$
  -- Trigger: refuses to delete the settings.

CREATE OR REPLACE FUNCTION luma.keep_updated_at()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  new.updated_at := old.updated_at;
  return new;
end
$function$
  -- Trigger: takes the app's time stamp back when only this project's columns were written.

CREATE OR REPLACE FUNCTION luma.kick()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  -- The lock first, then the look: see 20261122001500_drain_runs.sql. Above read committed the look could be older than
  -- the lock, so such a transaction always rings.
  if luma.try_lock_bell(exclusive => false) and current_setting('transaction_isolation') = 'read committed' then
    if luma.drain_expected() then
      return;
    end if;
    perform from luma.bell b for update skip locked;
    if not found or luma.drain_expected() then
      return;
    end if;
  end if;
  if luma.mode() <> 'off' then
    perform luma.ring();
  end if;
end
$function$
  -- Rings for luma-drain unless a run is active or expected.

CREATE OR REPLACE FUNCTION luma.kick_at_commit()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform luma.kick();
  return null;
exception when others then
  -- An empty Vault, a broken pg_net, a missing table: the app's commit goes on, pg_cron's sweep follows.
  raise warning 'luma: the drain could not be rung for: %', sqlerrm;
  return null;
end
$function$
  -- Trigger: rings for the drain as the last thing before a commit; never raises.

CREATE OR REPLACE FUNCTION luma.lags(since interval)
 RETURNS TABLE(direction text, entity text, calendar text, settled_at timestamp with time zone, ms numeric)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select 'to Luma', a.entity, a.calendar, a.settled_at, (1000 * extract(epoch from a.settled_at - a.changed_at))::numeric
  from luma.attempts a cross join luma.settings s
  -- What was there before the mode was live has waited for that.
  where a.outcome = 'done' and a.settled_at > now() - lags.since
    and (a.changed_at >= coalesce(s.live_since, '-infinity') or a.settled_at < s.live_since)
  union all
  select 'from Luma', split_part(i.type, '.', 1), i.calendar, i.applied_at, (1000 * extract(epoch from i.applied_at - i.received_at))::numeric
  from luma.webhook_inbox i
  where i.state = 'applied' and i.applied_at > now() - lags.since
$function$
  -- One row for each change that arrived within this time: milliseconds from the commit to the acknowledged call, or from the webhook to the row.

CREATE OR REPLACE FUNCTION luma.lease_companions(lead luma.sync_outbox, companions jsonb)
 RETURNS SETOF luma.sync_outbox
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  with free as (
    select s.entity_id
    from jsonb_to_recordset(companions) c (rsvp_id uuid, version bigint)
    -- The version that the verdict was passed on: with a newer one a change would count as sent that was not.
    join luma.sync_outbox s on s.entity = 'rsvp' and s.entity_id = c.rsvp_id and s.version = c.version
    where s.lease is null
    for update of s skip locked
  )
  update luma.sync_outbox o
  set lease = gen_random_uuid(), leased_by = (lead).leased_by, leased_at = clock_timestamp(), lease_version = o.version,
      due_at = (lead).due_at
  from free where o.entity = 'rsvp' and o.entity_id = free.entity_id
  returning o.*;
$function$
  -- Leases, with the lead's run, those companions that nobody has touched meanwhile.

CREATE OR REPLACE FUNCTION luma.link_created_event(calendar text, slug text, luma_event_id text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- Never overwrites: a link that has an id got it from Luma. The other conditions keep strangers out: without
  -- create_lease no create call of ours can have made this event, and one that was made by hand on another
  -- calendar, or belongs to a link that was removed since, would be called with the wrong key or not be there.
  update luma.event_links l
  set luma_event_id = link_created_event.luma_event_id
  where l.slug = link_created_event.slug and l.calendar = link_created_event.calendar
    and l.luma_event_id is null and l.create_lease is not null
$function$
  -- Links the Luma event that a create call of ours has just made, recognised by its slug, even before that call has answered.

CREATE OR REPLACE FUNCTION luma.link_keys(link luma.event_links)
 RETURNS SETOF text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select lower((link).slug)
  union select lower((link).luma_event_id) where (link).luma_event_id is not null
  union select luma.page_keys((link).url)
$function$
  -- The names under which a Luma event has its page, as luma.page_keys() puts them.

CREATE OR REPLACE FUNCTION luma.linked_rsvps(guest luma.guests)
 RETURNS SETOF public.event_rsvps
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select r.* from luma.guest_links l
  join public.event_rsvps r on r.id = l.rsvp_id and r.event_id = l.event_id and r.user_id = l.user_id
  where l.event_id = (guest).event_id and l.email = (guest).email
$function$
  -- The rows that this guest is: usually one, two when two users have one address.

CREATE OR REPLACE FUNCTION luma.location_type_of(event public.canonical_events, changes jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select (
    select case
      when not changes ?| '{lat,lng,location_raw,location_name,meeting_url}' then '{}'
      when is_place and n.location_type = 'online' then '{"location_type": "custom"}'
      when not is_place and nullif(trim(n.meeting_url), '') is not null and n.location_type is distinct from 'online'
        then '{"location_type": "online"}'
      else '{}'
    end::jsonb
    from jsonb_populate_record(event, changes) n
    cross join lateral (
      select n.lat is not null or nullif(trim(concat(n.location_raw, n.location_name)), '') is not null as is_place
    ) p
  )
$function$
  -- The change of location_type that goes with these changes: online without a place but with a meeting link.

CREATE OR REPLACE FUNCTION luma.lock_leased(lease uuid)
 RETURNS luma.sync_outbox
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  o luma.sync_outbox;
begin
  select * into o from luma.sync_outbox s where s.lease = lock_leased.lease;
  if o.entity = 'event' then
    perform from public.canonical_events e where e.id = o.entity_id for no key update;
  end if;
  select * into o from luma.sync_outbox s where s.lease = lock_leased.lease for update;
  return o;
end
$function$
  -- Locks the event and the outbox row of a lease, in this order. Null when nobody holds the lease any more.

CREATE OR REPLACE FUNCTION luma.lock_permits()
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
RETURN pg_advisory_xact_lock(hashtext('luma'::text), hashtext('permits'::text))
  -- Makes looking and taking one step. Held for the few milliseconds of a claim, by drains only.

CREATE OR REPLACE FUNCTION luma.lock_rsvp(locked_rsvp_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform from public.event_rsvps r where r.id = locked_rsvp_id for no key update skip locked;
  if not found and exists (select from public.event_rsvps r where r.id = locked_rsvp_id) then
    perform luma.busy(format('RSVP %s', locked_rsvp_id));
  end if;
  perform luma.lock_unleased('rsvp', locked_rsvp_id);
  -- A verdict that a claim has passed on what was here before must not be carried out.
  update luma.sync_outbox o
  set version = o.version + 1, done_version = o.done_version + (o.done_version = o.version)::integer,
      dry_version = o.dry_version + (o.dry_version = o.version)::integer
  where o.entity = 'rsvp' and o.entity_id = locked_rsvp_id;
end
$function$
  -- Locks an RSVP and keeps drains away from it; raises LM001 when the app or a drain has it.

CREATE OR REPLACE FUNCTION luma.lock_unleased(entity text, entity_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  lease uuid;
begin
  -- What is being sent just now may be what is being told: after the call it is known.
  select o.lease into lease from luma.sync_outbox o
  where o.entity = lock_unleased.entity and o.entity_id = lock_unleased.entity_id for update skip locked;
  if lease is not null or (not found and exists (
    select from luma.sync_outbox o where o.entity = lock_unleased.entity and o.entity_id = lock_unleased.entity_id
  )) then
    perform luma.busy(format('%s %s', entity, entity_id));
  end if;
end
$function$
  -- Keeps drains away from an entity until the end of the transaction; raises LM001 when one has it.

CREATE OR REPLACE FUNCTION luma.lock_waiting(of_entity text)
 RETURNS SETOF uuid
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- Whoever is changing one just now makes it live traffic.
  select o.entity_id from luma.sync_outbox o
  where o.entity = of_entity and o.version > o.done_version and o.dead_at is null and o.priority = 4
    and o.changed_at < (select s.live_since from luma.settings s)
    and (o.backfill_version is null or o.done_version >= o.backfill_version)
  for update skip locked
$function$
  -- What has waited since before the mode was live, and is no part of the backfill yet.

CREATE OR REPLACE FUNCTION luma.log_admin(what text, detail jsonb)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into luma.admin_log (who, via, what, detail)
  values (
    coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', session_user),
    nullif(current_setting('application_name', true), ''), log_admin.what, jsonb_strip_nulls(log_admin.detail)
  )
$function$
  -- Notes what an admin does, in the same transaction: what is rolled back was not done.

CREATE OR REPLACE FUNCTION luma.log_attempt(o luma.sync_outbox, outcome text, error text, calls jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into luma.attempts (entity, entity_id, version, calendar, run_id, changed_at, leased_at, outcome, error, calls)
  values (
    o.entity, o.entity_id, coalesce(o.lease_version, o.version), o.calendar, o.leased_by,
    o.changed_at, o.leased_at, log_attempt.outcome, log_attempt.error, coalesce(log_attempt.calls, '[]')
  );
end
$function$
  -- Writes one line of history about an outbox row as it was during the attempt.

CREATE OR REPLACE FUNCTION luma.log_settings()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  changed jsonb := (
    select jsonb_object_agg(n.key, jsonb_build_array(o.value, n.value))
    from jsonb_each(to_jsonb(new)) n join jsonb_each(to_jsonb(old)) o on o.key = n.key
    where o.value <> n.value and n.key not in ('live_since', 'updated_at')
  );
begin
  if changed is not null then
    perform luma.log_admin(case when changed ? 'mode' then 'set_mode' else 'settings' end, changed);
  end if;
  return null;
end
$function$
  -- Trigger: notes which settings were changed, the mode too.

CREATE OR REPLACE FUNCTION luma.look_at_guest(guest luma.guests, told_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update luma.guests g set look = true, look_told_at = greatest(case when g.look then g.look_told_at end, told_at) where g.id = guest.id;
  perform luma.enqueue('guest', guest.id, 4, guest.event_id);
end
$function$
  -- Has the drain read one guest; told_at as luma.changed_by().

CREATE OR REPLACE FUNCTION luma.look_for_vanished(of_event_id uuid, seen text[], listed_from timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  guest luma.guests;
  vanished integer := 0;
begin
  for guest in
    select g.* from luma.guests g
    where g.event_id = of_event_id and g.luma_base <> 'declined'
      and not coalesce(g.luma_guest_id = any (seen), false) and g.email <> all (seen)
      and not luma.was_guest_sent_since(g, listed_from)
  loop
    perform luma.look_at_guest(guest, listed_from);
    vanished := vanished + 1;
  end loop;
  return vanished;
end
$function$
  -- Has the drain read the guests that a whole list did not show. Answers how many.

CREATE OR REPLACE FUNCTION luma.looks_job(lead luma.sync_outbox)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  link luma.event_links;
  leases uuid[];
  batch jsonb;
begin
  select * into link from luma.event_links l where l.event_id = lead.event_id;
  if luma.mode() <> 'live' or link.luma_event_id is null then
    perform luma.finish(lead, case luma.mode() when 'live' then 'nothing_to_do' else 'dry_run' end, '[]');
    return null;
  end if;
  with free as (
    select s.entity_id from luma.due_jobs s
    where s.entity = 'guest' and s.event_id = lead.event_id and s.calendar = lead.calendar and s.lease is null
      and s.crashes < 2 and lead.crashes < 2
    order by s.due_at limit 99 for update skip locked
  ), leased as (
    update luma.sync_outbox o
    set lease = gen_random_uuid(), leased_by = lead.leased_by, leased_at = clock_timestamp(), lease_version = o.version,
        due_at = lead.due_at
    from free where o.entity = 'guest' and o.entity_id = free.entity_id
    returning o.lease
  )
  select coalesce(array_agg(l.lease), '{}') || lead.lease into leases from leased l;
  -- Read since, or of an event that is gone.
  perform luma.finish(o, 'nothing_to_do', '[]')
  from luma.sync_outbox o left join luma.guests g on g.id = o.entity_id
  where o.lease = any (leases) and not coalesce(g.look, false);
  -- One that is being sent just now is looked at afterwards.
  perform luma.postpone(o, clock_timestamp() + interval '1 second')
  from luma.sync_outbox o join luma.guests g on g.id = o.entity_id
  where o.lease = any (leases) and exists (select from luma.sync_outbox s where s.lease = g.lease);
  update luma.guests g set lease = o.lease
  from luma.sync_outbox o where o.lease = any (leases) and g.id = o.entity_id;
  select jsonb_agg(jsonb_build_object('lease', g.lease, 'email', g.email, 'luma_guest_id', g.luma_guest_id)) into batch
  from luma.guests g where g.lease = any (leases);
  if batch is null then
    return null;
  end if;
  return jsonb_build_object(
    'entity', 'looks', 'id', lead.event_id, 'calendar', lead.calendar, 'luma_event_id', link.luma_event_id,
    -- A few are read one by one, of many the guest list.
    'permits', least(jsonb_array_length(batch), 4), 'guests', batch
  );
end
$function$
  -- Guests of an event that have to be read from Luma, under leases of the same run; null when there are none after all.

CREATE OR REPLACE FUNCTION luma.loosely(value jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN lower(regexp_replace((value #>> '{}'::text[]), '[[:space:]!-/:-@\[-`{-~]+'::text, ''::text, 'g'::text))
  -- A value without spaces and ASCII marks: what is left of a text when it was turned into Luma's rich text and back.

CREATE OR REPLACE FUNCTION luma.mark_backfill(entity text, entity_id uuid, place bigint)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update luma.sync_outbox o
  set backfill_version = o.version, backfill_started_at = (select b.started_at from luma.backfill_state b),
      -- Within one priority what has been due the longest goes first.
      due_at = case when o.lease is null and o.attempts = 0 and o.due_at <= now()
        then now() - interval '1 second' + least(mark_backfill.place, 900000) * interval '1 microsecond' else o.due_at end
  where o.entity = mark_backfill.entity and o.entity_id = mark_backfill.entity_id
$function$
  -- Makes what was just enqueued a part of the backfill, at this place.

CREATE OR REPLACE FUNCTION luma.mark_calendars(keys text[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  differing text[] := array(
    -- Skipping rows that somebody is editing: the next run comes to them.
    select c.luma_key from public.calendars c
    where c.luma_key is not null and (c.has_api_key, c.sync_method = 'luma_api')
      is distinct from (c.luma_key = any (keys), c.luma_key = any (keys))
    for update skip locked
  );
begin
  if differing = '{}' then
    return;
  end if;
  update public.calendars c
  set has_api_key = c.luma_key = any (keys),
      sync_method = case when c.luma_key = any (keys) then 'luma_api' when c.sync_method = 'luma_api' then 'ical' else c.sync_method end,
      -- Without its key nobody would read it any more.
      is_active = c.is_active or c.luma_key <> all (keys) and exists (
        select from luma.calendar_state s where s.luma_key = c.luma_key and s.was_active
      )
  where c.luma_key = any (differing);
  update luma.calendar_state s set was_active = false
  where s.was_active and s.luma_key = any (differing) and s.luma_key <> all (keys);
end
$function$
  -- Shows in public.calendars which of them have an API key in the function secrets.

CREATE OR REPLACE FUNCTION luma.match_user(email text, phone text, OUT user_id text, OUT why text)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  by_email text[] := array(select luma.users_by_email(match_user.email));
  by_phone text[] := array(select luma.users_by_phone(match_user.phone));
  fitting text[] := case
    when by_email = '{}' then by_phone
    when by_phone = '{}' then by_email
    -- Both say something, so both have to be right.
    else array(select unnest(by_email) intersect select unnest(by_phone))
  end;
begin
  if cardinality(fitting) = 1 then
    user_id := fitting[1];
  else
    why := case
      when by_email = '{}' and by_phone = '{}' then 'no user has this e-mail address or phone number'
      when fitting = '{}' then format('the e-mail address is that of user %s, the phone number that of user %s', by_email[1], by_phone[1])
      else format('it can be any of %s users, such as %s and %s', cardinality(fitting), fitting[1], fitting[2])
    end;
  end if;
end
$function$
  -- The one user with this e-mail address and phone number, or with one of the two when nobody has the other; else null, and why. A name never matches.

CREATE OR REPLACE FUNCTION luma.may_be_late(at timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 SET search_path TO ''
RETURN COALESCE((at > (clock_timestamp() - make_interval(hours => (SELECT s.redelivery_hours FROM luma.settings s)))), false)
  -- True when news from then may still come, after what was said later.

CREATE OR REPLACE FUNCTION luma.may_have_sent(event public.canonical_events, link luma.event_links, field text, value jsonb, columns jsonb)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select exists (
    select from jsonb_array_elements((link).maybe_sent) sent
    where sent.value ?| array(select jsonb_object_keys(columns))
      and luma.is_same_here(jsonb_populate_record(event, sent.value), field, may_have_sent.value, columns)
  )
$function$
  -- True when an attempt of which nobody heard more may have told Luma this value of the field.

CREATE OR REPLACE FUNCTION luma.merge_event(event public.canonical_events, link luma.event_links, news jsonb, source text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  luma_leads boolean := event.source_type is not distinct from 'luma';
  state jsonb := luma.event_state(event);
  is_hidden boolean := not (state ->> 'shown')::boolean;
  changes jsonb := '{}';
  base jsonb := coalesce(link.luma_base, '{}');
  agreed text[] := '{}';
  f record;
  mine jsonb;
  changed_here boolean;
  app_won boolean := false;
begin
  for f in select t.* from luma.fields_told(news) t where luma.differs_there(link, news, t.field, t.value) loop
    -- What the row says of the field.
    select coalesce(jsonb_object_agg(s.key, s.value), '{}') into mine from jsonb_each(state) s where f.columns ? s.key;
    changed_here := exists (select from jsonb_each(mine) m where m.value is distinct from link.row_base -> m.key);
    if not luma_leads and link.is_adopting and link.row_base is not null and not base ? f.field then
      -- What the row says goes to Luma, what it leaves open comes from there. Who finds the event was never asked here.
      if luma.is_same_here(event, f.field, f.value, f.columns) then
        agreed := agreed || array(select jsonb_object_keys(mine));
      elsif luma.is_unset(mine) or f.field = 'visibility' then
        changes := changes || f.columns;
        agreed := agreed || array(select jsonb_object_keys(mine));
      else
        if nullif(f.value #>> '{}', '') is not null then
          perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');
        end if;
        app_won := true;
      end if;
    elsif not luma_leads and (link.row_base is null or not base ? f.field and not luma.was_empty(base, f.field, f.value)) then
      -- Heard for the first time of an event of ours: nothing says that it was changed there.
      null;
    elsif f.field = 'visibility' and is_hidden then
      -- The app hides it and Luma does not, any more.
      if f.value = '"private"' or coalesce(link.row_base ->> 'shown' = 'true', false) then
        null;
      elsif luma_leads then
        changes := changes || f.columns || '{"submission_status": "approved"}';
        agreed := agreed || '{shown,visibility}'::text[];
      else
        perform luma.note_conflict('event', event.id, event.id, f.field, to_jsonb(event.submission_status), f.value, 'app');
        link.row_base := link.row_base - 'shown';
        app_won := true;
      end if;
    elsif changed_here and luma.is_same_here(event, f.field, f.value, f.columns) then
      -- The same on both sides, perhaps in Luma's form: what the row says stays.
      agreed := agreed || array(select jsonb_object_keys(mine));
    elsif changed_here and not luma_leads then
      perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');
      -- From here on Luma differs from what both had agreed on: should the app go back to that, it has to be sent.
      link.row_base := link.row_base || f.columns;
      app_won := true;
    else
      if changed_here and link.row_base is not null then
        perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'luma');
      end if;
      changes := changes || f.columns;
      agreed := agreed || array(select jsonb_object_keys(mine));
    end if;
  end loop;

  -- Everything told is what Luma was seen to hold.
  select base || coalesce(jsonb_object_agg(t.field, t.value), '{}') into base
  from luma.fields_told(news) t
  where not luma.is_early(link, t.field, t.value);
  changes := changes || luma.location_type_of(event, changes);
  changes := changes || luma.details_told(event, link, news);
  agreed := agreed || array(select jsonb_object_keys(changes));
  if jsonb_populate_record(event, changes) is distinct from event then
    event := luma.write_event(event, changes);
  else
    changes := '{}';
  end if;
  select l.row_base || coalesce(jsonb_object_agg(s.key, s.value) filter (where s.key is not null), '{}') into link.row_base
  from (select coalesce(link.row_base, case when luma_leads then '{}'::jsonb end) as row_base) l
  left join jsonb_each(luma.event_state(event)) s on s.key = any (agreed)
  group by l.row_base;
  update luma.event_links l
  set luma_base = base, row_base = link.row_base, url = coalesce(news ->> 'url', l.url),
      unseen = array(
        select u from unnest(link.unseen) u
        where u not in (select t.field from luma.fields_told(news) t where not luma.is_early(link, t.field, t.value))
      ),
      maybe_told = nullif(l.maybe_told - array(select t.field from luma.fields_told(news) t), '{}'),
      heard_at = case when source = 'webhook' then clock_timestamp() else l.heard_at end, tags_heard = l.tags_heard or news ? 'tags',
      look = l.look and source <> 'read', look_tags = l.look_tags and not news ? 'tags',
      -- What is read for the first time no webhook had to tell, and of tags Luma sends none.
      pulled_at = case when source <> 'webhook' and changes <> '{}' and exists (
        select from luma.fields_told(news) t
        where t.field <> 'culture' and link.luma_base ? t.field and luma.differs_there(link, news, t.field, t.value)
      ) then clock_timestamp() else l.pulled_at end,
      synced_at = now()
  where l.event_id = event.id;
  if app_won then
    -- Also when nothing was waiting: Luma has to follow.
    perform luma.enqueue('event', event.id, case when link.is_adopting then 4 else 3 end, event.id);
  end if;
  return case when changes = '{}' then 'unchanged' else 'updated' end;
end
$function$
  -- Merges what Luma told of an event into its row. source: webhook; read (events/get) or list, when it was asked and nothing of ours was on its way.

CREATE OR REPLACE FUNCTION luma.merge_rsvps(guest luma.guests, before luma.guests, sent_at timestamp with time zone, just_linked boolean, is_read boolean)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  told text := case guest.luma_base when 'session' then 'approved' else guest.luma_base end;
  said text;
  written_at timestamptz;
  outcome text := 'unchanged';
  rsvp public.event_rsvps;
  changes jsonb;
  luma_won boolean := false;
begin
  select (array_agg(luma.guest_status(r.status) order by luma.status_rank(luma.guest_status(r.status)) desc))[1],
    max(coalesce(r.updated_at, r.created_at))
  into said, written_at from luma.linked_rsvps(guest) r;
  if told = said and guest.in_doubt and not is_read
    and (told is not distinct from before.luma_base or told is distinct from guest.maybe_sent[cardinality(guest.maybe_sent)])
  then
    -- Not the echo of the last call that may have had its effect: what that has told may come yet. Its own job looks it up.
    null;
  elsif told = said then
    guest.row_base := said;
    guest.in_doubt := false;
  elsif luma.status_rank(told) is null then
    -- Invited says nothing about who has an RSVP already.
    null;
  elsif guest.in_doubt then
    -- Its own job looks it up, and sends the app's. That overwrites what Luma says, which may be what a call of ours has told,
    -- or what was changed there since: nobody can know.
    if told is distinct from before.luma_base then
      perform luma.note_guest_conflict(guest, told);
    end if;
  elsif told = before.luma_base and not just_linked then
    -- Changed here alone: it is on its way.
    null;
  elsif guest.row_base is distinct from said
    -- Changed on both sides: the later change stays (the integration plan's rule for RSVPs).
    and written_at > (
      case when told is distinct from before.luma_base then sent_at
      else coalesce((guest.news ->> 'registered_at')::timestamptz, sent_at) end
    )
  then
    perform luma.note_conflict('rsvp', r.id, guest.event_id, 'status', to_jsonb(r.status), to_jsonb(told), 'app')
    from luma.linked_rsvps(guest) r;
    -- From here on Luma differs from what both had agreed on: should the app go back to that, it has to be sent.
    guest.row_base := told;
    perform luma.enqueue('rsvp', r.id, 1, guest.event_id) from luma.linked_rsvps(guest) r;
  else
    if guest.row_base is distinct from said then
      perform luma.note_conflict('rsvp', r.id, guest.event_id, 'status', to_jsonb(r.status), to_jsonb(told), 'luma')
      from luma.linked_rsvps(guest) r;
    end if;
    luma_won := true;
    guest.row_base := told;
    guest.in_doubt := false;
  end if;

  -- Of two users with one address the one whose row was written last comes back; nobody stays in above the guest.
  for rsvp in select * from luma.linked_rsvps(guest) r order by coalesce(r.updated_at, r.created_at) desc loop
    changes := luma.ticket_columns(rsvp, guest.news, before.news);
    if luma_won and (
      luma.status_rank(luma.guest_status(rsvp.status)) > luma.status_rank(told)
      or not exists (select from luma.linked_rsvps(guest) r where luma.guest_status(r.status) = told)
    ) then
      changes := changes || jsonb_build_object('status', luma.rsvp_status_of(told));
    end if;
    if changes <> '{}' then
      perform luma.write_rsvp(rsvp, changes, guest);
      outcome := 'updated';
    end if;
  end loop;
  update luma.guests g
  set row_base = guest.row_base, in_doubt = guest.in_doubt, synced_at = case when outcome = 'updated' then now() else g.synced_at end
  where g.id = guest.id;
  return outcome;
end
$function$
  -- Merges what Luma told of a guest (before: as it was known until then) into the RSVPs that the guest is.

CREATE OR REPLACE FUNCTION luma.mode()
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (select s.mode from luma.settings s);
end
$function$
  -- off, dry_run or live.

CREATE OR REPLACE FUNCTION luma.most_urgent(calendar text)
 RETURNS smallint
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return (
    select p.priority
    from unnest('{1,2,3,4}'::smallint[]) with ordinality p (priority, place)
    cross join lateral (
      select from luma.due_jobs d
      where d.calendar = most_urgent.calendar and d.priority = p.priority
        and d.due_at >= luma.due_floor(most_urgent.calendar, p.priority)
      order by d.due_at limit 1
    ) first
    limit 1
  );
end
$function$
  -- Priority of the most urgent due job of a calendar; null when there is none.

CREATE OR REPLACE FUNCTION luma.needs_push(e public.canonical_events, l luma.event_links)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return case
    when l.luma_event_id is null and l.create_lease is null then luma.why_not_created(e) is null
    -- A create may or may not have taken effect: somebody has to look.
    when l.luma_event_id is null then true
    when e.submission_status = 'approved' then l.row_base is distinct from luma.event_state(e)
    -- While it is hidden Luma need not follow: the edits are still missing from the base when it is shown again.
    else coalesce(l.row_base ->> 'shown' <> 'false', true)
  end;
end
$function$
  -- True when Luma does not hold what it should of this row. Either may be null: a deleted row, an event without a link.

CREATE OR REPLACE FUNCTION luma.new_link(o luma.sync_outbox, event public.canonical_events)
 RETURNS luma.event_links
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into luma.event_links as l (event_id, calendar, slug)
  values ((event).id, (o).calendar, luma.slug_for((event).id, (event).title))
  -- Linked before but never created, so the calendar is still open.
  on conflict (event_id) do update set calendar = excluded.calendar
  returning l;
$function$
  -- The link of an event that is about to be created, with its slug.

CREATE OR REPLACE FUNCTION luma.note_conflict(entity text, entity_id uuid, event_id uuid, field text, app_value jsonb, luma_value jsonb, winner text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO luma.conflicts (entity, entity_id, event_id, field, app_value, luma_value, winner)
   VALUES (note_conflict.entity, note_conflict.entity_id, note_conflict.event_id, note_conflict.field, note_conflict.app_value, note_conflict.luma_value, note_conflict.winner);
END
  -- Keeps the value that lost, and the one that won.

CREATE OR REPLACE FUNCTION luma.note_delivery_failure(id text, what text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 UPDATE luma.webhook_inbox w SET attempts = (w.attempts + 1), error = note_delivery_failure.what, outcome = NULL::text, state =
         CASE
             WHEN ((w.attempts + 1) >= s.webhook_attempts) THEN 'failed'::text
             ELSE 'stored'::text
         END, due_at =
         CASE
             WHEN ((w.attempts + 1) < s.webhook_attempts) THEN (clock_timestamp() + luma.retry_delay(w.attempts))
             ELSE NULL::timestamp with time zone
         END
    FROM luma.settings s
   WHERE (w.webhook_id = note_delivery_failure.id);
END
  -- A delivery could not be read or applied: it is tried again with growing delays, and given up after luma.settings.webhook_attempts.

CREATE OR REPLACE FUNCTION luma.note_erasure()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  insert into luma.erasures (user_id, name, emails, phone)
  values (old.id, btrim(old.name), array(
    select luma.usable_email(old.email) where luma.usable_email(old.email) is not null
    union select l.email from luma.guest_links l where l.user_id = old.id
  ), old.phone);
  return null;
exception when others then
  -- luma.forget_due() finds those who were guests.
  raise warning 'luma: a deleted user is not forgotten before the next clean-up: %', sqlerrm;
  return null;
end
$function$
  -- Trigger: a user was deleted and is to be forgotten here too. One line in a list; never raises.

CREATE OR REPLACE FUNCTION luma.note_guest_conflict(guest luma.guests, luma_value text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.note_conflict('rsvp', r.id, guest.event_id, 'status', to_jsonb(r.status), to_jsonb(luma_value), 'app')
  from luma.linked_rsvps(guest) r;
  if not found then
    perform luma.note_conflict('guest', guest.id, guest.event_id, 'status', null, to_jsonb(luma_value), 'app');
  end if;
end
$function$
  -- Keeps what Luma said of a guest and ours has overwritten, or will.

CREATE OR REPLACE FUNCTION luma.note_missed(calendar text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  noted timestamptz := coalesce((select s.missed_at from luma.calendar_state s where s.luma_key = note_missed.calendar), '-infinity');
  heard timestamptz := luma.heard_from(calendar);
  is_missed boolean;
begin
  is_missed :=
    -- A pull found what no webhook has told since, though it had its time.
    exists (
      select from luma.event_links l
      where l.calendar = note_missed.calendar and l.pulled_at > noted and l.pulled_at < clock_timestamp() - interval '30 seconds'
        and coalesce(l.heard_at < l.pulled_at, true)
    ) or exists (
      select from luma.guests g join luma.event_links l on l.event_id = g.event_id
      where l.calendar = note_missed.calendar and g.pulled_at > noted and g.pulled_at < clock_timestamp() - interval '30 seconds'
        and coalesce(g.heard_at < g.pulled_at, true)
    )
    -- What we tell Luma comes back as a webhook, where there are any.
    or exists (
      select from luma.event_links l
      where l.calendar = note_missed.calendar and l.told_at > greatest(noted, heard + interval '10 seconds', clock_timestamp() - interval '1 day')
        and l.told_at < clock_timestamp() - interval '1 minute' and heard is not null
    )
    -- Nobody was there: Luma gives a delivery up after a while.
    or (
      select max(r.started_at) > noted and max(r.ended_at) < clock_timestamp() - interval '40 minutes'
        and (select s.scheduled_pulls from luma.settings s)
      from luma.pull_runs r
      where r.calendar = note_missed.calendar and r.luma_event_id is null and not r.is_dry and r.outcome = 'done'
    );
  if is_missed then
    insert into luma.calendar_state as s (luma_key, missed_at) values (note_missed.calendar, clock_timestamp())
    on conflict (luma_key) do update set missed_at = excluded.missed_at;
  end if;
end
$function$
  -- Notes in luma.calendar_state.missed_at when webhooks were missed: then whatever was not read since has to be.

CREATE OR REPLACE FUNCTION luma.note_missed_change(entity text, entity_id uuid, error text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  insert into luma.missed_changes (entity, entity_id, error)
  values (note_missed_change.entity, note_missed_change.entity_id, note_missed_change.error);
exception when others then
  -- Even this table is broken. The sweep also compares rows with what Luma has, so nothing is lost.
  raise warning 'luma: % % was not enqueued (%), nor could that be recorded (%)', entity, entity_id, error, sqlerrm;
end
$function$
  -- Records a change that a trigger could not enqueue; never raises.

CREATE OR REPLACE FUNCTION luma.note_missed_changes(entity text, seen text, error text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.note_missed_change(entity, left(s, 36)::uuid, error) from string_to_table(trim(seen), ' ') s;
exception when others then
  raise warning 'luma: % % were not enqueued (%), nor could that be recorded (%)', entity, left(seen, 100), error, sqlerrm;
end
$function$
  -- Records what luma.enqueue_seen() could not enqueue; never raises.

CREATE OR REPLACE FUNCTION luma.note_missing_keys(keys text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  missing text;
  problems jsonb := '[]';
  problem text;
begin
  for missing in
    select distinct o.calendar from luma.due_jobs o
    where o.calendar <> all (keys) and luma.calendar_ready(o.calendar)
  loop
    problem := format('LUMA_%s_API_KEY is not set in the function secrets: no call can be made for calendar %s.', upper(missing), missing);
    problems := problems || to_jsonb(problem);
    perform luma.note_problem(missing, problem, stop => false);
    -- Look again in a minute rather than at every tick.
    perform luma.pause_calendar(missing, now() + interval '1 minute', 'luma');
  end loop;
  update luma.calendar_state s set problem = null, updated_at = now()
  where s.luma_key = any (keys) and s.stopped_at is null and s.problem like 'LUMA\_%\_API\_KEY is not set%';
  return problems;
end
$function$
  -- Keeps, and answers, one message for each calendar that has due jobs but no key.

CREATE OR REPLACE FUNCTION luma.note_overwritten(event public.canonical_events, link luma.event_links, news jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  f record;
begin
  if link.unheard = '{}' then
    return;
  end if;
  for f in
    select t.field, t.columns, lost.value from luma.fields_told(news) t
    cross join lateral jsonb_array_elements(link.unheard -> t.field) lost
    -- What Luma shows is ours. Where a host said something else again, that is the host's last word.
    where (
        -- What was told longer ago than a webhook can be late has overwritten nothing that comes now.
        luma.may_be_late((link.ours ->> t.field)::timestamptz)
        or coalesce(luma.is_same(t.field, link.maybe_told -> t.field, t.value), false)
        or luma.may_have_sent(event, link, t.field, t.value, t.columns)
      )
      and not luma.differs_there(link, news, t.field, t.value) and not luma.is_same(t.field, lost.value, t.value)
  loop
    perform luma.note_conflict(
      'event', event.id, event.id, f.field,
      (select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(luma.event_state(event)) s where f.columns ? s.key),
      f.value, 'app'
    );
  end loop;
  update luma.event_links l set unheard = l.unheard - array(select t.field from luma.fields_told(news) t)
  where l.event_id = event.id;
end
$function$
  -- A reading is there: what webhooks have told that ours has overwritten goes to luma.conflicts. The app's value stays on both sides, of events from Luma too: Luma tells no time of an edit, so nobody can know which of the two was later.

CREATE OR REPLACE FUNCTION luma.note_problem(calendar text, what text, stop boolean)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO luma.calendar_state AS s (luma_key, problem, stopped_at)
   VALUES (note_problem.calendar, note_problem.what,
         CASE
             WHEN note_problem.stop THEN now()
             ELSE NULL::timestamp with time zone
         END) ON CONFLICT(luma_key) DO UPDATE SET problem = excluded.problem, stopped_at = COALESCE(s.stopped_at, excluded.stopped_at), updated_at = now()
   WHERE ((s.problem IS DISTINCT FROM excluded.problem) OR (note_problem.stop AND (s.stopped_at IS NULL)));
END
  -- Keeps what is wrong with a calendar for luma.health; with stop, no more calls are made for it until luma.resume().

CREATE OR REPLACE FUNCTION luma.note_read(read_event_id uuid, at timestamp with time zone)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO luma.reads AS r (event_id, read_at)  SELECT l.event_id,
             note_read.at AS at
            FROM luma.event_links l
           WHERE ((l.event_id = note_read.read_event_id) AND (l.luma_event_id IS NOT NULL)) ON CONFLICT(event_id) DO UPDATE SET read_at = GREATEST(r.read_at, excluded.read_at);
END
  -- The event was read whole; asked for at that time.

CREATE OR REPLACE FUNCTION luma.owes_decline(link luma.guest_links)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select exists (
    select from luma.guests g
    join luma.event_links k on k.event_id = g.event_id and k.luma_event_id is not null
    join public.canonical_events e on e.id = g.event_id and not luma.is_over(e)
    where g.event_id = (link).event_id and g.email = (link).email
      and (
        g.in_doubt or coalesce(g.row_base, g.luma_base) <> 'declined'
        -- Being sent: whatever becomes of it, they may be there afterwards.
        or exists (select from luma.sync_outbox o where o.lease = g.lease)
      )
  ) and not exists (
    -- Given up, and nobody tried again for as long as history is kept.
    select from luma.sync_outbox o
    where o.entity = 'rsvp' and o.entity_id = (link).rsvp_id
      and o.dead_at < now() - make_interval(days => (select s.log_days from luma.settings s))
  )
$function$
  -- True while Luma has to be told that the guest of a deleted RSVP does not come.

CREATE OR REPLACE FUNCTION luma.page_keys(source text)
 RETURNS SETOF text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  -- luma.com, lu.ma and www are the same, and so is what stands around the slug. /event/evt-… is a page too, and
  -- /event/manage/evt-… the one that its host sees.
  select distinct lower(m[1])
  from regexp_matches(
    source,
    '(?:^|[^a-z0-9.-])(?:www\.)?(?:lu\.ma|luma\.com)/(?:event/(?:manage/)?)?([a-z0-9](?:[a-z0-9_.%-]*[a-z0-9])?)',
    'gi'
  ) m
$function$
  -- The slugs (or evt-… ids), in lower case, of the pages on Luma whose addresses stand in a text.

CREATE OR REPLACE FUNCTION luma.pages_shown(e public.canonical_events)
 RETURNS TABLE(page text, is_certain boolean)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select k, true from luma.page_keys((e).external_rsvp_url) k
  union
  -- The app's iCal worker keeps a JSON array, or one in a JSON string.
  select k, true from luma.page_keys((e).source_refs::text) k
  union
  select k, (e).source_type = 'ical' from luma.page_keys((e).description) k
$function$
  -- The pages on Luma that a row names. A page that only the description names is certain for rows of feeds; others may name somebody else's event.

CREATE OR REPLACE FUNCTION luma.pause(calendar text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.check_calendar(calendar);
  perform luma.pause_calendar(calendar, 'infinity', 'admin');
  perform luma.log_admin('pause', jsonb_build_object('calendar', calendar));
end
$function$
  -- Makes no more calls for this calendar until luma.resume(). Jobs are kept.

CREATE OR REPLACE FUNCTION luma.pause_calendar(calendar text, until timestamp with time zone, paused_by text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO luma.calendar_state AS s (luma_key, paused_until, paused_by)
   VALUES (pause_calendar.calendar, pause_calendar.until, pause_calendar.paused_by) ON CONFLICT(luma_key) DO UPDATE SET paused_by =
         CASE
             WHEN (excluded.paused_until >= COALESCE(s.paused_until, '-infinity'::timestamp with time zone)) THEN excluded.paused_by
             ELSE s.paused_by
         END, paused_until = GREATEST(s.paused_until, excluded.paused_until), updated_at = now();
END
  -- Pauses a calendar; the longer of two pauses wins.

CREATE OR REPLACE FUNCTION luma.permit_ms()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN 1500
  -- A permit must be used within this many milliseconds after it was given. The later a call may be made, the longer its permit has to count, so this is short: after a burst the next one may follow 61.5 s later, which uses 97.5 % of the limit.

CREATE OR REPLACE FUNCTION luma.permits_free(calendar text)
 RETURNS integer
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  select greatest(0, least(
    least(s.calls_per_minute, c.rate_limit - 20) - coalesce(sum(p.permits) filter (where p.calendar = permits_free.calendar), 0),
    s.calls_per_minute_total - coalesce(sum(p.permits), 0)
  ))::integer
  from luma.settings s
  left join luma.calendar_state c on c.luma_key = permits_free.calendar
  left join luma.rate_permits p on p.free_at > clock_timestamp()
  group by s.calls_per_minute, s.calls_per_minute_total, c.rate_limit
$function$
  -- Calls that may be made for a calendar now. Stays 20 below the limit that Luma tells. Only true under luma.lock_permits().

CREATE OR REPLACE FUNCTION luma.permits_wait_ms(calendar text)
 RETURNS integer
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- While the total has room it is the calendar's own permits that have to come back, else anybody's.
  select greatest(50, coalesce(ceil(1000 * extract(epoch from min(p.free_at) - clock_timestamp())), 0))::integer
  from luma.rate_permits p
  where p.free_at > clock_timestamp()
    and (p.calendar = permits_wait_ms.calendar or (
      select sum(q.permits) >= (select s.calls_per_minute_total from luma.settings s)
      from luma.rate_permits q where q.free_at > clock_timestamp()
    ))
$function$
  -- Milliseconds until a permit may be free again, 50 at the least.

CREATE OR REPLACE FUNCTION luma.phone_digits(phone text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN NULLIF(ltrim(regexp_replace(phone, '[^0-9]'::text, ''::text, 'g'::text), '0'::text), ''::text)
  -- The digits of a phone number without leading zeros, or null.

CREATE OR REPLACE FUNCTION luma.phone_fits(users_phone text, guests_phone text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select coalesce(case
    when length(u) < 7 or length(g) < 7 then false
    -- Both with a country: all digits count.
    when users_phone ~ '^[^0-9]*(\+|00)' then u = g
    -- The app keeps national numbers. A country code has one to three digits; none is missing if somebody wrote it
    -- without the +.
    else right(g, length(u)) = u and length(g) - length(u) between 0 and 3
  end, false)
  from (select luma.phone_digits(users_phone) as u, luma.phone_digits(guests_phone) as g) digits
$function$
  -- True when a number as the app keeps it (98765 43210, +91 98765 43210) can be the guest's (+919876543210).

CREATE OR REPLACE FUNCTION luma.phone_tail(phone text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN "right"(regexp_replace(phone, '[^0-9]'::text, ''::text, 'g'::text), 7)
  -- The last seven digits, which all ways to write a number have in common.

CREATE OR REPLACE FUNCTION luma.pick_job(run_id uuid, calendar text, oldest boolean)
 RETURNS luma.sync_outbox
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  -- One index range for each priority: neither leased rows nor ones in a retry delay are walked over.
  priorities smallint[] := case when oldest then array(
    select p.priority
    from unnest('{1,2,3,4}'::smallint[]) p (priority)
    cross join lateral (
      select d.due_at from luma.due_jobs d
      where d.calendar = pick_job.calendar and d.priority = p.priority
        and d.due_at >= luma.due_floor(pick_job.calendar, p.priority)
      order by d.due_at limit 1
    ) first
    order by first.due_at
  ) else '{1,2,3,4}' end;
  o luma.sync_outbox;
begin
  select j.* into o
  from unnest(priorities) with ordinality p (priority, place)
  cross join lateral (
    select * from luma.due_jobs d
    where d.calendar = pick_job.calendar and d.priority = p.priority and d.lease is null
      and d.due_at >= luma.due_floor(pick_job.calendar, p.priority)
    order by d.due_at limit 1
    for update skip locked
  ) j
  limit 1;
  if not found then
    return null;
  end if;
  perform luma.raise_floor(calendar, o.priority, o.due_at);
  o.lease := gen_random_uuid();
  o.leased_by := run_id;
  o.leased_at := clock_timestamp();
  o.lease_version := o.version;
  o.due_at := o.leased_at + make_interval(secs => (select t.lease_seconds from luma.settings t));
  return o;
end
$function$
  -- Locks the most urgent due job of a calendar, or the one that has been due the longest, and says how it is to be leased. Null when there is none.

CREATE OR REPLACE FUNCTION luma.place_guest(guest luma.guests, before luma.guests, sent_at timestamp with time zone, is_read boolean)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  outcome text;
  found_rsvp record;
begin
  perform luma.lock_rsvp(l.rsvp_id) from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email;
  if exists (select from luma.linked_rsvps(guest)) then
    return luma.merge_rsvps(guest, before, sent_at, just_linked => false, is_read => is_read);
  elsif exists (select from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email)
    and (
      guest.luma_base = 'declined' or guest.luma_base is not distinct from before.luma_base
      or guest.in_doubt and guest.luma_base = any (guest.maybe_sent)
    )
  then
    -- The row was deleted here, and its guest leaves Luma, or has left. This may be the echo of an earlier call, or a
    -- registration since then, which ours will overwrite: nobody can know.
    if guest.in_doubt and guest.luma_base not in ('declined', coalesce(before.luma_base, '')) then
      perform luma.note_guest_conflict(guest, guest.luma_base);
    end if;
    return 'unchanged';
  elsif guest.luma_base = 'declined' and before.luma_base = 'declined' then
    -- Said before: the echo of a row's deletion that has been told by now, say.
    return 'unchanged';
  elsif luma.rsvp_status_of(guest.luma_base) is null then
    return 'status unknown';
  end if;
  found_rsvp := luma.find_rsvp(guest);
  if found_rsvp.user_id is null then
    return 'external';
  end if;
  if found_rsvp.rsvp_id is not null then
    perform luma.lock_rsvp(found_rsvp.rsvp_id);
    outcome := 'linked';
  else
    found_rsvp.rsvp_id := luma.insert_rsvp(guest, found_rsvp.user_id);
    outcome := 'inserted';
  end if;
  -- Those of rows that are gone have nothing to send any more.
  delete from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email;
  insert into luma.guest_links (rsvp_id, event_id, user_id, email)
  values (found_rsvp.rsvp_id, guest.event_id, found_rsvp.user_id, guest.email)
  on conflict (rsvp_id) do update set event_id = excluded.event_id, user_id = excluded.user_id, email = excluded.email;
  if outcome = 'inserted' then
    update luma.guests g
    set row_base = luma.guest_status(luma.rsvp_status_of(guest.luma_base)), in_doubt = false, synced_at = now()
    where g.id = guest.id;
  else
    perform luma.merge_rsvps(guest, before, sent_at, just_linked => true, is_read => is_read);
  end if;
  return outcome;
end
$function$
  -- Finds or makes the RSVP of a guest, and merges. Answers updated, unchanged, inserted, linked or external.

CREATE OR REPLACE FUNCTION luma.plan_details(run luma.pull_runs)
 RETURNS text[]
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select array(
    select (c.link).luma_event_id
    from luma.coming_events(run) c
    left join luma.reads r on r.event_id = (c.event).id
    where (
      -- Not listed: gone, moved out of sight, or made private. That one was read lately is no reason to hurry again.
      (run).is_whole and (c.link).luma_event_id <> all ((run).seen)
      and greatest((c.event).starts_at, ((c.link).luma_base ->> 'start_at')::timestamptz) >= (run).listed_after
      and ((run).is_full or r.read_at is null or r.read_at < now() - interval '1 hour')
      -- It may be younger than the pages that were read.
      and not coalesce((c.link).told_at >= (run).started_at, false)
    ) or (
      -- Lists tell no descriptions.
      (run).is_full and coalesce(r.read_at < (run).requested_at, true)
    ) or (
      -- Nobody has read it yet: the pull that brought it could not.
      r.read_at is null and (c.event).source_type = 'luma'
    ) or coalesce(r.read_at, (c.link).created_at) < (
      select s.missed_at from luma.calendar_state s where s.luma_key = (run).calendar
    )
    order by (c.event).starts_at
  )
$function$
  -- Luma events that a run has to read one by one after it has listed them: those that are missing, and those whose description may have changed unheard.

CREATE OR REPLACE FUNCTION luma.plan_guests(run luma.pull_runs)
 RETURNS uuid[]
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select array(
    select (c.event).id from luma.coming_events(run) c
    where luma.guests_due(run, c.event, c.link)
    order by (c.event).starts_at
  )
$function$
  -- Events whose guest lists a run has to read, the next one to begin first.

CREATE OR REPLACE FUNCTION luma.postpone(o luma.sync_outbox, due_at timestamp with time zone)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- Unlike after an attempt the crashes still count, or what kills its drains would be sent with others again.
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, due_at = postpone.due_at
  where s.entity = (o).entity and s.entity_id = (o).entity_id;
$function$
  -- Gives back a job that was leased and not tried.

CREATE OR REPLACE FUNCTION luma.promote_due(enough timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  recheck luma.rechecks;
begin
  for recheck in
    select * from luma.rechecks r where r.promote and r.due_at <= clock_timestamp() order by r.id limit 20 for update skip locked
  loop
    -- The line stays for luma.recheck_rsvps(): the user's other RSVPs may have waited for the address.
    if luma.promote_guests(recheck.user_id) then
      update luma.rechecks r set promote = false where r.id = recheck.id;
    else
      update luma.rechecks r set due_at = clock_timestamp() + interval '1 second' where r.id = recheck.id;
    end if;
    exit when clock_timestamp() > enough;
  end loop;
end
$function$
  -- Makes external guests RSVPs whose users have come, until then.

CREATE OR REPLACE FUNCTION luma.promote_guest(guest luma.guests)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  was_counted boolean;
begin
  perform from public.canonical_events e where e.id = guest.event_id for no key update skip locked;
  if not found then
    return not exists (select from public.canonical_events e where e.id = guest.event_id);
  end if;
  was_counted := luma.is_counted(guest);
  perform luma.place_guest(guest, guest, clock_timestamp(), is_read => false);
  perform luma.count_guest(guest, was_counted);
  return true;
exception
  when sqlstate 'LM001' or lock_not_available then
    return false;
  when others then
    -- luma.sweep() tries again in five minutes.
    raise warning 'luma: guest % of event % could not become an RSVP: %', guest.id, guest.event_id, luma.redacted(sqlerrm);
    return true;
end
$function$
  -- Looks again who an external guest is. False when the event or the RSVP is being written just now.

CREATE OR REPLACE FUNCTION luma.promote_guests(of_user text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '20ms'
AS $function$
declare
  member public.users;
  guest luma.guests;
  complete boolean := true;
begin
  select * into member from public.users u where u.id = of_user;
  for guest in
    select g.* from luma.guests g
    where (g.email = luma.usable_email(member.email) or luma.phone_tail(g.news ->> 'phone') = luma.phone_tail(member.phone))
      -- Nobody is told of a no from before they came.
      and g.luma_base <> 'declined' and luma.is_external(g)
  loop
    complete := luma.promote_guest(guest) and complete;
  end loop;
  return complete;
end
$function$
  -- Makes external guests RSVPs who are this user, who has just come or has another address or number. False when one of them is being written just now.

CREATE OR REPLACE FUNCTION luma.pull_now(calendar text DEFAULT NULL::text, event text DEFAULT NULL::text)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  asked integer := luma.ask_pulls(calendar, event, is_dry => false);
begin
  perform luma.log_admin('pull_now', jsonb_build_object('calendar', calendar, 'event', event, 'asked', asked));
  perform luma.ring_pull();
  return asked;
end
$function$
  -- Reads Luma now, all of it: every calendar, one of them (luma_key), or one event (id of its row, or Luma's evt-… id). Answers how many pulls were asked for; luma.pulls shows what becomes of them.

CREATE OR REPLACE FUNCTION luma.pull_now(event uuid)
 RETURNS integer
 LANGUAGE sql
 SET search_path TO ''
RETURN luma.pull_now(NULL::text, (event)::text)
  -- Reads one event now, with its guests: luma.pull_now(event => (select id from canonical_events where …)).

CREATE OR REPLACE FUNCTION luma.pull_problem()
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select format('luma-pull was rung for %s times without starting: is it deployed (supabase functions deploy)?', b.pull_unanswered)
  from luma.bell b where b.pull_unanswered >= 3
$function$
  -- Why nothing is pulled, as far as the database can tell, or null.

CREATE OR REPLACE FUNCTION luma.pulled_since(at timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select not exists (
    select from public.calendars c
    where c.luma_key is not null and c.has_api_key and luma.calendar_ready(c.luma_key)
      and not exists (
        select from luma.pull_runs r
        where r.calendar = c.luma_key and r.luma_event_id is null and r.outcome in ('done', 'incomplete')
          and r.started_at > pulled_since.at and (not r.is_dry or luma.mode() = 'dry_run')
      )
  )
$function$
  -- True when every calendar was pulled since then: whatever was on Luma by then is known here.

CREATE OR REPLACE FUNCTION luma.put_back(o luma.sync_outbox, due_at timestamp with time zone, failed boolean, error text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, crashes = 0,
      due_at = put_back.due_at, attempts = s.attempts + failed::integer, last_error = put_back.error
  where s.entity = (o).entity and s.entity_id = (o).entity_id;
$function$
  -- Gives a leased job back, to be claimed again from due_at on.

CREATE OR REPLACE FUNCTION luma.raise_floor(queue text, priority integer, due_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform set_config('luma.floors', (
    coalesce(nullif(current_setting('luma.floors', true), ''), '{}')::jsonb || jsonb_build_object(concat(queue, ' ', priority), due_at)
  )::text, true);
end
$function$
  -- From now on this claim looks only for what is due later, of a priority of a calendar.

CREATE OR REPLACE FUNCTION luma.read_later(run luma.pull_runs, entry jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  link luma.event_links;
  guest luma.guests;
begin
  if run.phase = 'guests' then
    select * into guest from luma.guests g
    where g.event_id = run.guests_of[1] and g.email = luma.guest_address(entry -> 'news');
    if guest.id is null then
      return false;
    end if;
    update luma.guests g set look = true where g.id = guest.id;
    return luma.try_enqueue('guest', guest.id, 4, guest.event_id);
  end if;
  update luma.event_links l set look = true where l.luma_event_id = entry ->> 'id' returning * into link;
  return link.event_id is not null and luma.try_enqueue('event', link.event_id, 4, link.event_id);
end
$function$
  -- Leaves an entry whose row is locked to the drain. False when nothing is known of it, or its outbox row is locked too.

CREATE OR REPLACE FUNCTION luma.recheck_rsvps()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  recheck luma.rechecks;
  -- Far below the 8 s that a call through the Data API may take: the rest is for the next claim.
  enough timestamptz := clock_timestamp() + interval '1 second';
begin
  for recheck in
    select * from luma.rechecks r where r.due_at <= clock_timestamp() and not r.promote order by r.id limit 100 for update skip locked
  loop
    if (luma.enqueue_diverged_rsvps(recheck.event_id, recheck.user_id, recheck.priority)).complete then
      delete from luma.rechecks r where r.id = recheck.id;
    else
      update luma.rechecks r set due_at = clock_timestamp() + interval '1 second' where r.id = recheck.id;
    end if;
    exit when clock_timestamp() > enough;
  end loop;
end
$function$
  -- Enqueues what luma.rechecks asks for. Called under luma.lock_permits(), like every verdict "nothing to do": a verdict that was passed before an event opened is followed by its recheck.

CREATE OR REPLACE FUNCTION luma.recheck_user()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  is_guest boolean;
begin
  -- Somebody who has just come, or has another number, matters only to a guest on Luma who is nobody's RSVP yet.
  is_guest := exists (
    select from luma.guests g
    where (g.email = luma.usable_email(new.email) or luma.phone_tail(g.news ->> 'phone') = luma.phone_tail(new.phone))
      and luma.is_external(g)
  );
  if is_guest or (tg_op = 'UPDATE' and new.email is distinct from old.email and new.email is not null) then
    insert into luma.rechecks (user_id, promote, wake) values (new.id, is_guest, luma.wakes_drain());
  end if;
  return null;
exception when others then
  -- luma.sweep() compares every RSVP of coming events, and every such guest, so nothing is lost.
  raise warning 'luma: the RSVPs of user % are not compared with Luma until the next sweep: %', new.id, sqlerrm;
  return null;
end
$function$
  -- Trigger: an e-mail address was added or corrected, so the user's waiting RSVPs may be sent now; or the user may be a guest on Luma who is nobody's RSVP. Never raises. Only a line in a list, because the outbox rows of the RSVPs may be locked by a writer who waits for this user's row.

CREATE OR REPLACE FUNCTION luma.recognise(link luma.event_links, news jsonb)
 RETURNS luma.event_links
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  f record;
begin
  for f in
    select t.field, t.columns from luma.fields_told(news) t
    where link.maybe_told ? t.field and luma.is_same(t.field, link.maybe_told -> t.field, t.value)
  loop
    link.luma_base := link.luma_base || jsonb_build_object(f.field, link.maybe_told -> f.field);
    link.unseen := link.unseen || f.field;
    link.row_base := link.row_base || (
      select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(link.maybe_state) s where f.columns ? s.key
    );
  end loop;
  for f in
    select distinct on (t.field) t.field, t.value, (
      select jsonb_object_agg(s.key, s.value) from jsonb_each(sent.value) s where t.columns ? s.key
    ) as columns, not exists (
      select from jsonb_array_elements(link.maybe_sent) with ordinality n (value, age)
      where n.age < sent.age and n.value ?& array(select jsonb_object_keys(t.columns))
    ) as is_last
    from public.canonical_events e
    cross join luma.fields_told(news) t
    cross join jsonb_array_elements(link.maybe_sent) with ordinality sent (value, age)
    -- Only what is in doubt: what both sides have agreed on since, a host may set back.
    where e.id = link.event_id and link.luma_base ? t.field
      and not link.row_base ?| array(select jsonb_object_keys(t.columns))
      and sent.value ?& array(select jsonb_object_keys(t.columns))
      and luma.is_same_here(jsonb_populate_record(e, sent.value), t.field, t.value, t.columns)
    order by t.field, sent.age
  loop
    link.luma_base := link.luma_base || jsonb_build_object(f.field, f.value);
    -- What was sent after it may be there by now, or come yet: that stays in doubt.
    if f.is_last then
      link.row_base := link.row_base || f.columns;
    end if;
  end loop;
  return link;
end
$function$
  -- The link as it would be if an update call of which nobody heard more had been answered, as far as the news shows that it had its effect.

CREATE OR REPLACE FUNCTION luma.reconcile(dry boolean DEFAULT true, calendar text DEFAULT NULL::text)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  asked integer := luma.ask_pulls(calendar, null, is_dry => coalesce(dry, true));
begin
  perform luma.log_admin('reconcile', jsonb_build_object('dry', coalesce(dry, true), 'calendar', calendar, 'asked', asked));
  perform luma.ring_pull();
  return asked;
end
$function$
  -- Compares both sides, field by field and guest by guest. dry: luma.drift tells what differs, which side is ahead and what would be done, and nothing else is written. Not dry: repairs it, as luma.pull_now() does. Answers how many pulls were asked for; luma.pulls shows when they are over.

CREATE OR REPLACE FUNCTION luma.record_push(o luma.sync_outbox, result jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  pushed_event_id text := result ->> 'luma_event_id';
  agreed jsonb := case
    when (result ->> 'from_create')::boolean then (select l.create_state from luma.event_links l where l.event_id = o.entity_id)
    when (o.lease_state ->> 'shown')::boolean then o.lease_state
    -- Hiding says nothing about the other fields.
    else '{"shown": false}'
  end;
  -- What Luma does not have yet leaves the base, so that it counts as changed until it is agreed on.
  pending text[] := array(select jsonb_array_elements_text(result -> 'pending'));
  before jsonb := (select l.row_base from luma.event_links l where l.event_id = o.entity_id);
  told jsonb := coalesce(result -> 'sent', '{}') || case
    -- As a tag; "Other" is none. A create call alone tells no tags.
    when 'culture' = any (luma.changed_fields(agreed, before)) and 'culture' <> all (pending) then jsonb_build_object('culture', nullif(agreed ->> 'culture', 'default'))
    else '{}'
  end;
begin
  update luma.event_links l
  set luma_event_id = pushed_event_id, row_base = (coalesce(l.row_base, '{}') || agreed) - pending,
      luma_base = coalesce(l.luma_base, '{}') || told,
      unseen = array(select unnest(l.unseen) union select jsonb_object_keys(told)), told_at = now(),
      maybe_told = null, maybe_state = null,
      warning = result ->> 'warning', synced_at = now()
  where l.event_id = o.entity_id;
  update public.canonical_events e
  set luma_event_id = pushed_event_id,
      external_rsvp_url = coalesce(nullif(trim(e.external_rsvp_url), ''), 'https://luma.com/' || l.slug),
      luma_sync_status = case when e.luma_sync_status in ('pulled', 'synced') then 'synced' else 'pushed' end,
      luma_synced_at = now()
  from luma.event_links l
  where e.id = o.entity_id and l.event_id = e.id;
  if (result ->> 'look')::boolean then
    perform luma.request_look(o.entity_id, tags => true);
  end if;
  -- It takes guests from now on, or again, or for longer: RSVPs may have waited for that.
  if (agreed ->> 'shown')::boolean
    and luma.changed_fields(agreed, before) && '{shown,starts_at,ends_at}'
  then
    insert into luma.rechecks (event_id, priority)
    values (o.entity_id, case when o.priority = 4 then 4 else 1 end);
  end if;
end
$function$
  -- After success: the base has what was sent, and the app's row shows the Luma event. A host's own external_rsvp_url stays.

CREATE OR REPLACE FUNCTION luma.record_removal(o luma.sync_outbox)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.forget_event(o.entity_id);
  update public.canonical_events e
  set luma_event_id = null, luma_sync_status = 'pushed', luma_synced_at = now(),
      external_rsvp_url = case when not luma.is_luma_address(e.external_rsvp_url) then e.external_rsvp_url end
  where e.id = o.entity_id;
end
$function$
  -- After a real cancel, which deletes the Luma event: nothing is on Luma any more.

CREATE OR REPLACE FUNCTION luma.recount(of_event_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '20ms'
AS $function$
begin
  perform luma.count_external_guests(of_event_id);
exception when lock_not_available then
  -- The app is writing it; the next sweep comes in five minutes.
  null;
end
$function$
  -- Counts the external guests of an event anew, unless the app is writing the event.

CREATE OR REPLACE FUNCTION luma.redact_column()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  was jsonb := to_jsonb(new) -> tg_argv[0];
  cleaned jsonb := case jsonb_typeof(was)
    when 'array' then (select coalesce(jsonb_agg(luma.redacted(line)), '[]') from jsonb_array_elements_text(was) line)
    else to_jsonb(luma.redacted(was #>> '{}'))
  end;
begin
  if cleaned = was then
    return new;
  end if;
  return jsonb_populate_record(new, jsonb_build_object(tg_argv[0], cleaned));
end
$function$
  -- Trigger: luma.redacted() for the column that is its argument, a text or an array of texts.

CREATE OR REPLACE FUNCTION luma.redacted(message text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select regexp_replace(
    regexp_replace(
      regexp_replace(
        regexp_replace(
          message,
          '\y(sb_secret_|sb_publishable_|sbp_|whsec_|secret-)[\w-]{8,}', '\1…', 'g'
        ),
        -- zara@example.com becomes z…@example.com.
        '([^\s@<>"''`(),;:=\[\]{}\\|/?&])[^\s@<>"''`(),;:=\[\]{}\\|/?&]*(@|%40)([^\s@<>"''`(),;:=\[\]{}\\|/?&]+\.[^\s@<>"''`(),;:=\[\]{}\\|/?&]+)',
        '\1…\2\3', 'g'
      ),
      -- +91 98765 43210 becomes +…10. Without a + only ten digits by themselves, because ids have more.
      '(?<!\d)\+\d[\d\s().-]{5,}(\d\d)', '+…\1', 'g'
    ),
    '(?<![\w.-])\d{5}[ -]?\d{3}(\d\d)(?![\w-]|\.\d)', '…\1', 'g'
  )
$function$
  -- A text without e-mail addresses, phone numbers and secrets; what is left tells whose they may be to somebody who knows them. The same rules as in redact.ts.

CREATE OR REPLACE FUNCTION luma.rehearse_entry(run luma.pull_runs, entry jsonb)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  news jsonb := entry -> 'news';
  conflicts_from bigint := (select coalesce(max(c.id), 0) from luma.conflicts c);
  event public.canonical_events;
  rows_before jsonb;
  became text;
  lines luma.drift[];
  line luma.drift;
begin
  if run.phase = 'guests' then
    select jsonb_object_agg(r.id, to_jsonb(r)) into rows_before from public.event_rsvps r
    where r.event_id = run.guests_of[1] and (
      r.id in (select l.rsvp_id from luma.guest_links l where l.event_id = r.event_id and l.email = luma.guest_address(news))
      or r.user_id = (luma.match_user(news ->> 'email', news ->> 'phone')).user_id
    );
    rows_before := coalesce(rows_before, '{}');
  else
    select e.* into event from public.canonical_events e
    where e.id = (select l.event_id from luma.event_links l where l.luma_event_id = news ->> 'luma_event_id');
    if event.id is null then
      event := luma.adoptable_row(news);
    end if;
  end if;
  begin
    became := luma.apply_entry(run, entry);
    if became not in ('unchanged', 'over') then
      lines := case when run.phase = 'guests'
        then array(select l from luma.guest_lines(run, news, rows_before, conflicts_from) l)
        else array(select l from luma.event_lines(event, news ->> 'luma_event_id', conflicts_from) l)
      end;
    end if;
    -- All of it was to look at only.
    raise exception using errcode = 'LM002', message = 'rehearsed';
  exception when sqlstate 'LM002' then
    null;
  end;
  foreach line in array coalesce(lines, '{}') loop
    -- Of two readings of an event the later, whole one stands.
    delete from luma.drift d where d.run_id = run.id and d.luma_event_id = line.luma_event_id and d.entity = line.entity
      and d.who is not distinct from line.who and d.field = line.field;
    perform luma.report(run, line);
  end loop;
  return became;
end
$function$
  -- Applies an entry, writes down in luma.drift what that did, and takes it back.

CREATE OR REPLACE FUNCTION luma.remember_claim(run_id uuid, jobs integer, looked_at timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update luma.drain_runs r
  set jobs = r.jobs + remember_claim.jobs, alive_until = clock_timestamp() + interval '15 seconds',
      looked_at = coalesce(remember_claim.looked_at, r.looked_at),
      floors = coalesce(nullif(current_setting('luma.floors', true), ''), '{}')::jsonb
  where r.id = run_id;
end
$function$
  -- Prolongs a run that has claimed, and remembers where it is and when it last looked at all.

CREATE OR REPLACE FUNCTION luma.remember_guest(of_event_id uuid, news jsonb)
 RETURNS luma.guests
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  address text := luma.guest_address(remember_guest.news);
  guest luma.guests;
  known_id uuid := (
    select g.id from luma.guests g
    where g.event_id = of_event_id and (g.luma_guest_id = remember_guest.news ->> 'luma_guest_id' or g.email = address)
    -- The id is more the guest than the address, which can be changed on Luma.
    order by g.luma_guest_id = remember_guest.news ->> 'luma_guest_id' desc nulls last limit 1
  );
begin
  if known_id is null then
    insert into luma.guests as g (event_id, email) values (of_event_id, address) on conflict do nothing returning g.* into guest;
  else
    select * into guest from luma.guests g where g.id = known_id for update skip locked;
  end if;
  if guest.id is null then
    perform luma.busy(format('a guest of event %s', of_event_id));
  end if;
  return guest;
end
$function$
  -- The line of a guest, locked, made if this is the first that is heard of it.

CREATE OR REPLACE FUNCTION luma.remember_guests(batch jsonb)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO luma.guests (event_id, email, lease)  SELECT g.event_id,
             g.email,
             g.lease
            FROM jsonb_to_recordset(remember_guests.batch) g(event_id uuid, email text, lease uuid) ON CONFLICT(event_id, email) DO UPDATE SET lease = excluded.lease;
 INSERT INTO luma.guest_links (rsvp_id, event_id, user_id, email)  SELECT g.rsvp_id,
             g.event_id,
             g.user_id,
             g.email
            FROM jsonb_to_recordset(remember_guests.batch) g(rsvp_id uuid, event_id uuid, user_id text, email text) ON CONFLICT(rsvp_id) DO UPDATE SET event_id = excluded.event_id, user_id = excluded.user_id, email = excluded.email;
END
  -- Writes down which guests a batch is about, and under which leases.

CREATE OR REPLACE FUNCTION luma.remember_unheard(event public.canonical_events, link luma.event_links, news jsonb, differing text[])
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update luma.event_links l
  set unheard = l.unheard || (
    select coalesce(jsonb_object_agg(t.field, coalesce(l.unheard -> t.field, '[]') || jsonb_build_array(t.value)), '{}')
    from luma.fields_told(news) t
    where t.field = any (differing) and not luma.was_known(event, link, t.field, t.value, t.columns)
      and not coalesce(l.unheard -> t.field @> jsonb_build_array(t.value), false)
      and coalesce(jsonb_array_length(l.unheard -> t.field), 0) < 20
  )
  where l.event_id = (link).event_id
$function$
  -- Remembers what a webhook tells of these fields while it has to be seen whether it still holds.

CREATE OR REPLACE FUNCTION luma.remove_all(keep_columns boolean)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '500ms'
 SET client_min_messages TO 'warning'
AS $function$
declare
  answer text;
  statement text;
begin
  -- In the order in which an RSVP of the app's takes them.
  lock table public.event_rsvps, public.users, public.canonical_events, public.calendars in access exclusive mode;
  perform luma.give_back_calendars();
  delete from cron.job_run_details d using cron.job j where j.jobid = d.jobid and j.jobname like 'luma-%';
  perform cron.unschedule(j.jobname) from cron.job j where j.jobname like 'luma-%';
  delete from vault.secrets s where s.name in ('luma_functions_url', 'luma_sync_secret', 'luma_alert_url');
  answer := format(
    'Removed, with %s entries of the CLI''s list of migrations. Events stay on Luma as they are; docs/uninstall.md says what is left to do there and with the functions.',
    luma.forget_versions()
  );
  -- This function is among what is dropped, and runs to its end all the same.
  foreach statement in array luma.drops(keep_columns) loop
    execute statement;
  end loop;
  return answer;
end
$function$
  -- Does what luma.uninstall() says.

CREATE OR REPLACE FUNCTION luma.rename_guest(guest luma.guests, address text)
 RETURNS luma.guests
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if exists (select from luma.guests g where g.event_id = guest.event_id and g.email = address) then
    -- Another guest has it by now; calls about this one go by its id.
    return guest;
  end if;
  update luma.guest_links l set email = address where l.event_id = guest.event_id and l.email = guest.email;
  update luma.guests g set email = address where g.id = guest.id returning g.* into guest;
  return guest;
end
$function$
  -- Follows a guest who has changed the address on Luma.

CREATE OR REPLACE FUNCTION luma.report(run luma.pull_runs, line luma.drift)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, who, field, app_value, luma_value, ahead, action)
  values ((run).id, (run).calendar, (line).entity, (line).event_id, (line).luma_event_id, (line).title, (line).who, (line).field,
          (line).app_value, (line).luma_value, (line).ahead, (line).action);
$function$
  -- Writes a line of the report.

CREATE OR REPLACE FUNCTION luma.report_app_side(run luma.pull_runs)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  delete from luma.drift d
  where d.calendar = run.calendar and d.run_id <> run.id and (run.luma_event_id is null or d.luma_event_id = run.luma_event_id);
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, field, app_value, luma_value, ahead, action)
  select run.id, run.calendar, 'event', coalesce(e.id, l.event_id), l.luma_event_id, e.title, f.field,
    case when f.field = '*' then luma.event_state(e) else luma.event_state(e) -> f.field end, l.row_base -> f.field, 'app',
    case when e.id is null then 'the row is deleted: the Luma event is made private'
      when l.luma_event_id is null then 'the event is created on Luma' else 'the app''s value is sent' end
  from public.canonical_events e
  full join luma.event_links l on l.event_id = e.id
  cross join lateral unnest(case
    when l.luma_event_id is null or e.id is null then '{*}'::text[]
    when l.row_base is null then '{*}'
    else luma.changed_fields(case when e.submission_status = 'approved' then luma.event_state(e) else '{"shown": false}' end, l.row_base)
  end) f (field)
  where (e.id is null or not luma.is_over(e)) and luma.needs_push(e, l)
    and coalesce(l.calendar, luma.route_event(e.lat, e.lng)) = run.calendar
    and (run.luma_event_id is null or l.luma_event_id = run.luma_event_id)
    -- What Luma has changed too is told of already, with what becomes of it.
    and not exists (select from luma.drift d where d.run_id = run.id and d.event_id = coalesce(e.id, l.event_id) and d.entity = 'event' and d.ahead = 'both' and d.app_value ? f.field);
end
$function$
  -- Ends a report: the events that the app is ahead of, and away with the lines of the report before.

CREATE OR REPLACE FUNCTION luma.report_rsvps(run luma.pull_runs)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, who, field, app_value, luma_value, ahead, action)
  select (run).id, (run).calendar, 'rsvp', l.event_id, l.luma_event_id, e.title, n.user_id, 'status', to_jsonb(n.wanted), to_jsonb(n.agreed), 'app',
    case n.kind when 'add' then 'the guest is added on Luma' else 'the app''s status is sent' end
  from luma.event_links l
  join public.canonical_events e on e.id = l.event_id
  cross join lateral luma.rsvps_of_event(l.event_id) i (id)
  cross join lateral luma.guest_need(i.id) n
  where l.event_id = (run).guests_of[1] and luma.takes_guests(l.event_id) and n.kind is not null
    -- What Luma has changed too is told of already, with what becomes of it.
    and not exists (
      select from luma.drift d
      where d.run_id = (run).id and d.event_id = l.event_id and d.who = n.user_id and d.field = 'status'
    )
$function$
  -- Reports the RSVPs of the event whose guests were just listed that the app is ahead of.

CREATE OR REPLACE FUNCTION luma.report_vanished(run luma.pull_runs)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, who, field, app_value, ahead, action)
  select (run).id, (run).calendar, 'guest', e.id, e.luma_event_id, e.title, g.email, 'status', to_jsonb(g.luma_base), 'luma',
    'is not on the guest list any more: the guest is read, and if Luma has nobody counts as having declined'
  from luma.guests g join public.canonical_events e on e.id = g.event_id
  where g.event_id = (run).guests_of[1] and g.luma_base <> 'declined'
    and not coalesce(g.luma_guest_id = any ((run).seen), false) and g.email <> all ((run).seen)
    and not luma.was_guest_sent_since(g, (run).listed_from);
$function$
  -- Reports guests whom a whole list did not show.

CREATE OR REPLACE FUNCTION luma.request_look(event_id uuid, tags boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update luma.event_links l set look = true, look_tags = l.look_tags or tags where l.event_id = request_look.event_id;
  -- Many requests are one read, and everything else goes first.
  perform luma.enqueue('event', request_look.event_id, 4, request_look.event_id);
end
$function$
  -- Has the drain read an event from Luma, with its tags if need be.

CREATE OR REPLACE FUNCTION luma.request_pull(calendar text, luma_event_id text, is_full boolean, is_dry boolean, is_asked boolean)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 INSERT INTO luma.pull_runs AS r (calendar, luma_event_id, is_full, is_dry, is_asked)
   VALUES (request_pull.calendar, request_pull.luma_event_id, request_pull.is_full, (request_pull.is_dry OR (luma.mode() = 'dry_run'::text)), request_pull.is_asked) ON CONFLICT(calendar, (COALESCE(luma_event_id, ''::text)), is_dry)
   WHERE ((started_at IS NULL) AND (ended_at IS NULL)) DO UPDATE SET is_full = (r.is_full OR excluded.is_full), is_asked = (r.is_asked OR excluded.is_asked);
END
  -- Asks for a pull. One that waits to begin becomes this one too.

CREATE OR REPLACE FUNCTION luma.restrict_access()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  f record;
begin
  for f in
    select p.oid::regprocedure as name, n.nspname = 'public' as is_called, coalesce(p.proconfig, '{}') as settings
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'luma' or (n.nspname = 'public' and p.proname like 'luma\_%')
  loop
    -- A new function may be executed by everybody until that is taken back.
    execute format('revoke all on function %s from public, anon, authenticated', f.name);
    if f.is_called then
      execute format('grant execute on function %s to service_role', f.name);
      if not f.settings @> '{enable_seqscan=off,jit=off}' then
        execute format('alter function %s set enable_seqscan = off set jit = off', f.name);
      end if;
    end if;
  end loop;
  revoke all on all tables in schema luma from public, anon, authenticated;
end
$function$
  -- Takes back every right on the schema but the calls of the Edge Functions, which service_role may make and which read by index. Each migration ends with it.

CREATE OR REPLACE FUNCTION luma.resume(calendar text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  perform luma.check_calendar(calendar);
  perform luma.log_admin('resume', (
    select jsonb_build_object('calendar', calendar, 'was_paused_by', s.paused_by, 'problem', s.problem)
    from (select calendar as luma_key) c left join luma.calendar_state s on s.luma_key = c.luma_key
  ));
  update luma.calendar_state s
  set paused_until = null, paused_by = null, stopped_at = null, problem = null, updated_at = now()
  where s.luma_key = resume.calendar;
  perform luma.tick();
end
$function$
  -- Calls for this calendar go on: after luma.pause(), or after a refused key was replaced.

CREATE OR REPLACE FUNCTION luma.retry(entity_id uuid DEFAULT NULL::uuid)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  revived integer := luma.revive(entity_id);
begin
  if entity_id is null then
    revived := revived + luma.retry_deliveries(null);
  elsif revived = 0 then
    raise exception 'luma.retry: nothing of % waits to be sent', entity_id
      using errcode = 'no_data_found', hint = 'See luma.dead_letters for what can be retried, luma.event_status and luma.rsvp_status for what happened to an event or an RSVP.';
  end if;
  perform luma.log_admin('retry', jsonb_build_object('id', entity_id, 'revived', revived));
  return revived;
end
$function$
  -- Tries again, now: one event or RSVP by its id, or every dead letter, webhook deliveries included. Answers how many.

CREATE OR REPLACE FUNCTION luma.retry(webhook_id text)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  revived integer;
begin
  -- An id in quotes comes here, whatever it is the id of.
  if webhook_id is null or webhook_id ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then
    return luma.retry(webhook_id::uuid);
  end if;
  revived := luma.retry_deliveries(webhook_id);
  if revived = 0 then
    raise exception 'luma.retry: there is no webhook delivery %', quote_literal(webhook_id)
      using errcode = 'no_data_found', hint = 'See luma.dead_letters and luma.deliveries; an event or RSVP is retried by its id, a uuid.';
  end if;
  perform luma.log_admin('retry', jsonb_build_object('id', webhook_id, 'revived', revived));
  return revived;
end
$function$
  -- Tries again, now: a webhook delivery by its id, also one that was applied before; or an event or RSVP by its id. Answers how many.

CREATE OR REPLACE FUNCTION luma.retry_delay(attempts integer)
 RETURNS interval
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- Full jitter: jobs that failed together do not come back together. 2^30 is far beyond any cap.
  select make_interval(secs => (greatest(0.2, random()
    * least(s.retry_cap_seconds, s.retry_base_seconds * 2 ^ least(attempts, 30))))::double precision)
  from luma.settings s
$function$
  -- How long to wait after so many failed attempts in a row.

CREATE OR REPLACE FUNCTION luma.retry_deliveries(id text)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  revived integer;
begin
  update luma.webhook_inbox w set state = 'stored', attempts = 0, due_at = clock_timestamp()
  where case when id is null then w.state = 'failed' else w.webhook_id = id end;
  get diagnostics revived = row_count;
  if revived > 0 then
    perform luma.kick();
  end if;
  return revived;
end
$function$
  -- Applies a delivery again, whatever became of it before; null: those that were given up. Answers how many.

CREATE OR REPLACE FUNCTION luma.revive(entity_id uuid)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  revived integer;
begin
  update luma.sync_outbox o
  set dead_at = null, attempts = 0, crashes = 0, due_at = now(), wake = true
  where (o.entity, o.entity_id) in (
    select s.entity, s.entity_id from luma.sync_outbox s
    where s.version > s.done_version and s.lease is null
      and case when revive.entity_id is null then s.dead_at is not null else s.entity_id = revive.entity_id end
    -- One that is locked is being changed just now, which tries it again as well.
    for update skip locked
  );
  get diagnostics revived = row_count;
  return revived;
end
$function$
  -- Makes a waiting or dead job due now, null: every dead one. Answers how many.

CREATE OR REPLACE FUNCTION luma.ring()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  functions_url text := luma.secret('luma_functions_url');
  sync_secret text := luma.secret('luma_sync_secret');
  posted bigint;
  missing text := concat_ws(' and ',
    case when functions_url is null then 'luma_functions_url' end,
    case when sync_secret is null then 'luma_sync_secret' end);
  -- Above read committed a row that others have changed meanwhile cannot be locked at all: then ring unasked.
  asks boolean := current_setting('transaction_isolation') = 'read committed';
begin
  if asks then
    -- Who finds the row locked leaves the ring to its holder, who is committing right now.
    perform from luma.bell b for update skip locked;
    if not found then
      return;
    end if;
  end if;
  if missing <> '' then
    -- pg_net refuses a null address with an error, which must not reach the app's transaction.
    update luma.bell set problem = format(
      'The Vault has no entry %s: add it with vault.create_secret(value, name).', missing
    ) where id and asks;
    return;
  end if;
  posted := net.http_post(
    url := rtrim(functions_url, '/') || '/luma-drain',
    body := '{}'::jsonb,
    headers := jsonb_build_object('content-type', 'application/json', 'x-luma-sync-secret', sync_secret),
    -- luma-drain answers at once; one slow call would hold up every other pg_net call of the project.
    timeout_milliseconds := 5000
  );
  update luma.bell b
  set rung_at = clock_timestamp(), unanswered = b.unanswered + 1, request_id = posted, problem = null
  where b.id and asks;
end
$function$
  -- Has pg_net call luma-drain after this transaction commits, unless another transaction is doing so.

CREATE OR REPLACE FUNCTION luma.ring_pull()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  functions_url text := luma.secret('luma_functions_url');
  sync_secret text := luma.secret('luma_sync_secret');
begin
  -- Without the two luma.ring() says what is missing. And a ring without an answer counts as lost after five seconds,
  -- later after more: the function may not be there.
  if functions_url is null or sync_secret is null
    or exists (select from luma.bell b where b.pull_rung_at > clock_timestamp() - interval '5 seconds' * 2 ^ least(b.pull_unanswered - 1, 6))
  then
    return;
  end if;
  perform net.http_post(
    url := rtrim(functions_url, '/') || '/luma-pull',
    body := '{}'::jsonb,
    headers := jsonb_build_object('content-type', 'application/json', 'x-luma-sync-secret', sync_secret),
    timeout_milliseconds := 5000
  );
  update luma.bell b set pull_rung_at = clock_timestamp(), pull_unanswered = b.pull_unanswered + 1
  where b.id in (select c.id from luma.bell c for update skip locked);
end
$function$
  -- Has pg_net call luma-pull after this transaction commits, unless it was just rung for.

CREATE OR REPLACE FUNCTION luma.route_event(lat double precision, lng double precision)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
RETURN (SELECT c.luma_key FROM (public.calendars c LEFT JOIN LATERAL (SELECT luma.distance_km(route_event.lat, route_event.lng, c.fence_lat, c.fence_lng) AS km WHERE (((route_event.lat >= ('-90'::integer)::double precision) AND (route_event.lat <= (90)::double precision)) AND ((route_event.lng >= ('-180'::integer)::double precision) AND (route_event.lng <= (180)::double precision)))) d ON (true)) WHERE ((c.luma_key IS NOT NULL) AND ((d.km < c.fence_radius_km) OR c.luma_is_default)) ORDER BY (d.km < c.fence_radius_km) DESC NULLS LAST, d.km LIMIT 1)
  -- luma_key of the calendar for an event at this place (either may be null), or null when no calendar takes it.

CREATE OR REPLACE FUNCTION luma.route_jobs()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  kind text;
  jobs luma.sync_outbox[];
  part record;
begin
  foreach kind in array '{event,rsvp,guest}'::text[] loop
    jobs := array(select j from luma.unrouted_jobs(kind, case kind when 'event' then 100 else 2000 end) j);
    for part in
      select e.calendar, array_agg(id) as ids
      from (
        select luma.destination(kind, j.event_id) as calendar, array_agg(j.entity_id) as ids from unnest(jobs) j group by j.event_id
      ) e
      cross join unnest(e.ids) id
      group by e.calendar
    loop
      update luma.sync_outbox o
      set calendar = part.calendar,
          -- Done until their event opens (see luma.rechecks).
          done_version = case when part.calendar is null and kind <> 'event' then o.version else o.done_version end,
          due_at = case when part.calendar is null and kind = 'event' then now() + interval '1 minute' else o.due_at end,
          last_error = case
            when kind <> 'event' then case when part.calendar is not null then o.last_error end
            when part.calendar is null then
              'No calendar takes this event: set luma_is_default on a row of public.calendars that has a luma_key.'
          end
      where o.entity = kind and o.entity_id = any (part.ids);
    end loop;
    perform luma.raise_floor('unrouted ' || kind, j.priority, max(j.due_at)) from unnest(jobs) j group by j.priority;
  end loop;
end
$function$
  -- Gives due jobs that have none their calendar. RSVPs and guests whose event takes none have nothing to do until it opens, so they are done.

CREATE OR REPLACE FUNCTION luma.rows_of_page(keys text[], title text, starts_at timestamp with time zone)
 RETURNS TABLE(event_id uuid, is_certain boolean)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select e.id, bool_or(p.is_certain)
  from public.canonical_events e
  left join luma.event_links l on l.event_id = e.id
  cross join lateral luma.pages_shown(e) p
  where (e.external_rsvp_url ~* '(lu\.ma|luma\.com)/' or e.source_refs::text ~* '(lu\.ma|luma\.com)/' or e.description ~* '(lu\.ma|luma\.com)/')
    and l.luma_event_id is null and p.page = any (keys)
    and (p.is_certain or luma.is_alike(e, rows_of_page.title, rows_of_page.starts_at))
  group by e.id
$function$
  -- Rows that show this Luma event (its luma.link_keys()) and are not linked yet.

CREATE OR REPLACE FUNCTION luma.rsvp_status_of(guest_status text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN CASE WHEN (guest_status = ANY (ARRAY['approved'::text, 'session'::text])) THEN 'going'::text WHEN (guest_status = 'pending_approval'::text) THEN 'pending'::text WHEN (guest_status = 'invited'::text) THEN 'interested'::text WHEN (guest_status = 'declined'::text) THEN 'rejected'::text WHEN (guest_status = 'waitlist'::text) THEN 'waitlist'::text ELSE NULL::text END
  -- The app's word for a guest's status on Luma, or null for one that nobody knows.

CREATE OR REPLACE FUNCTION luma.rsvps_of_event(event_id uuid)
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select r.id from public.event_rsvps r where r.event_id = rsvps_of_event.event_id
  union
  select l.rsvp_id from luma.guest_links l where l.event_id = rsvps_of_event.event_id
$function$
  -- Ids of the RSVPs of an event, with those that were deleted while Luma has their guest.

CREATE OR REPLACE FUNCTION luma.save_run(run luma.pull_runs)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  update luma.pull_runs r
  set ended_at = (run).ended_at, outcome = (run).outcome, problems = (run).problems, lease = (run).lease,
      alive_until = (run).alive_until, due_at = (run).due_at, failures = (run).failures, phase = (run).phase,
      listed_after = (run).listed_after, cursor = (run).cursor, next_cursor = (run).next_cursor, pages = (run).pages,
      seen = (run).seen, asked_at = (run).asked_at, listed_from = (run).listed_from, entries = (run).entries,
      tries = (run).tries, details = (run).details, guests_of = (run).guests_of, is_whole = (run).is_whole,
      events = (run).events, guests = (run).guests, inserted = (run).inserted, updated = (run).updated,
      unchanged = (run).unchanged, to_read = (run).to_read, errors = (run).errors, errors_before = (run).errors_before, calls = (run).calls
  where r.id = (run).id;
$function$
  -- Writes back what a step has made of a run.

CREATE OR REPLACE FUNCTION luma.schedule_pull()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if luma.mode() = 'off' or not (select s.scheduled_pulls from luma.settings s) then
    return;
  end if;
  perform luma.request_pull(c.luma_key, null, is_full => false, is_dry => false, is_asked => false)
  from public.calendars c
  where c.luma_key is not null and not exists (
    -- The last one is still under way: it goes on rather than being followed at once.
    select from luma.pull_runs r
    where r.calendar = c.luma_key and r.luma_event_id is null and r.started_at is not null and r.ended_at is null
  );
  perform luma.ring_pull();
end
$function$
  -- Asks for a pull of every calendar. Run by pg_cron every 15 minutes.

CREATE OR REPLACE FUNCTION luma.secret(name text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select nullif(trim(s.decrypted_secret), '') from vault.decrypted_secrets s where s.name = secret.name
$function$
  -- A Vault entry, or null when it is missing or empty.

CREATE OR REPLACE FUNCTION luma.send_alerts()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  box luma.alert_outbox;
  address text := luma.secret('luma_alert_url');
  answer record;
begin
  if address is null then
    update luma.alert_outbox b set message = null, due_at = null, problem = null where b.id and b.message is not null;
    return;
  end if;
  update luma.alert_outbox b
  set sent_at = array(select t from unnest(b.sent_at) t where t > clock_timestamp() - interval '1 hour')
  where b.id returning * into box;
  -- A greeting that did not arrive holds nothing up.
  if box.message is null or box.alerts = '{}' and box.ends = '{}' and box.tries > 0 then
    if cardinality(box.sent_at) < (select s.alert_messages_per_hour from luma.settings s) then
      perform luma.compose_alerts();
    end if;
    select * into box from luma.alert_outbox;
  end if;
  if box.message is null or box.due_at > clock_timestamp() then
    return;
  end if;
  select r.status_code, coalesce(r.error_msg, r.status_code::text) as said into answer from net._http_response r where r.id = box.request_id;
  if answer.status_code between 200 and 299 then
    update luma.alert_states a set told_at = clock_timestamp() where a.id = any (box.alerts);
    update luma.alert_states a set end_told_at = clock_timestamp() where a.id = any (box.ends);
    update luma.alert_outbox b set message = null, due_at = null, problem = null where b.id;
    return;
  end if;
  -- No answer in time counts as lost, as pg_net loses what it holds in a crash: better twice than never.
  update luma.alert_outbox b
  set request_id = net.http_post(url := address, body := luma.alert_body(address, box.message), timeout_milliseconds := 5000),
      tries = box.tries + 1,
      -- When it is looked for the answer, later and later.
      due_at = clock_timestamp() + least(interval '30 seconds' * 2 ^ box.tries, interval '5 minutes'),
      problem = case when box.tries > 0 then format('The address of luma.set_alert_url() did not take the message, %s times. The last answer: %s', box.tries, coalesce(answer.said, 'none')) end
  where b.id;
end
$function$
  -- Sends the message that waits, looks for its answer, and sends it again, later and later, until it was taken.

CREATE OR REPLACE FUNCTION luma.set_alert_url(url text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  entry uuid := (select s.id from vault.secrets s where s.name = 'luma_alert_url');
  wanted text := nullif(trim(url), '');
begin
  if wanted !~ '^https://[^/@[:space:]]+/?[^[:space:]]*$' and wanted !~ '^http://(127[.]0[.]0[.]1|localhost)(:[0-9]+)?/' then
    -- It may hold a token, so it is not shown.
    raise exception 'luma.set_alert_url: the address must begin with https:// and hold no blanks'
      using errcode = 'invalid_parameter_value', hint = 'An incoming webhook of Slack, Discord or the like, or https://api.telegram.org/bot<token>/sendMessage?chat_id=<id>. Null: no messages.';
  end if;
  if wanted is null then
    delete from vault.secrets s where s.id = entry;
  elsif entry is null then
    perform vault.create_secret(wanted, 'luma_alert_url');
  else
    perform vault.update_secret(entry, wanted);
  end if;
  perform luma.log_admin('set_alert_url', jsonb_build_object('host', substring(wanted from '^https?://([^/?#]+)')));
  if wanted is not null then
    update luma.alert_outbox b
    set message = 'Luma sync: alerts come here.', alerts = '{}', ends = '{}', tries = 0, request_id = null, due_at = clock_timestamp()
    where b.id and b.message is null;
    perform luma.send_alerts();
  end if;
end
$function$
  -- Where alerts are sent to: an address that takes a POST of {"text": …}, as Slack, Telegram and others do ({"content": …} for Discord). Sends a first message. Null: nowhere. Kept in the Vault.

CREATE OR REPLACE FUNCTION luma.set_mode(mode text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  before text := luma.mode();
begin
  if set_mode.mode is null or set_mode.mode not in ('off', 'dry_run', 'live') then
    raise exception 'luma.set_mode: the mode is off, dry_run or live, not %', coalesce(quote_literal(set_mode.mode), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if set_mode.mode = before then
    -- A change of the mode is noted by its trigger.
    perform luma.log_admin('set_mode', jsonb_build_object('mode', jsonb_build_array(before, before)));
  end if;
  if set_mode.mode = 'live' and before <> 'live' then
    -- What was written while nothing was sent is a backfill: nobody expects a mail about it any more. Only what is to
    -- be hidden on Luma does not wait for its turn.
    update luma.sync_outbox o set priority = 4
    where (o.entity, o.entity_id) in (
      select s.entity, s.entity_id from luma.sync_outbox s
      where s.version > s.done_version and (s.entity = 'rsvp' or s.entity = 'event' and exists (
        select from public.canonical_events e where e.id = s.entity_id and e.submission_status = 'approved'
      )) for update skip locked
    );
  end if;
  update luma.settings s
  set mode = set_mode.mode, updated_at = now(),
      live_since = case when set_mode.mode = 'live' and s.mode <> 'live' then now() else s.live_since end
  where s.id;
  if set_mode.mode <> 'live' then
    perform luma.give_back_calendars();
  end if;
  if set_mode.mode <> before then
    -- What was begun by the rules of another mode begins anew.
    delete from luma.pull_runs r where r.ended_at is null;
    delete from luma.drift d where d.id is not null;
  end if;
  if set_mode.mode <> 'off' then
    if set_mode.mode <> before and (select s.scheduled_pulls from luma.settings s) then
      perform luma.ask_pulls(null, null, is_dry => false);
      perform luma.ring_pull();
    end if;
    perform luma.start_backfill();
    -- For what has waited since before; what backfill enqueued rings by itself.
    perform luma.tick();
  end if;
  return set_mode.mode;
end
$function$
  -- off: nothing is sent, changes wait in the outbox. dry_run: luma.attempts tells what would be sent, luma.drift what would be written. live: everything is read and sent, what waited first, and about RSVPs that waited nobody is mailed.

CREATE OR REPLACE FUNCTION luma.settle_adoption(adopted_event_id uuid)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 WITH settled AS (
          UPDATE luma.event_links l SET is_adopting = false
           WHERE ((l.event_id = settle_adoption.adopted_event_id) AND l.is_adopting)
           RETURNING l.event_id
         ), quiet AS (
          UPDATE luma.sync_outbox o SET priority = 4
           WHERE ((o.entity, o.entity_id) IN ( SELECT s.entity,
                     s.entity_id
                    FROM luma.sync_outbox s
                   WHERE ((s.entity = 'rsvp'::text) AND (s.event_id IN ( SELECT settled.event_id
                            FROM settled)) AND (s.version > s.done_version))
                  FOR UPDATE OF s SKIP LOCKED))
         )
  INSERT INTO luma.rechecks (event_id, priority, wake)  SELECT s.event_id,
             4,
             luma.wakes_drain() AS wakes_drain
            FROM settled s;
END
  -- The guests of an adopted event are known: its RSVPs may be sent.

CREATE OR REPLACE FUNCTION luma.settle_failure(o luma.sync_outbox, failure jsonb)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  error text := failure ->> 'message';
  outcome text := luma.sort_failure(failure ->> 'kind', (failure ->> 'status')::integer, o.attempts);
begin
  perform luma.log_attempt(o, outcome, error, failure -> 'calls');
  if outcome = 'dead' then
    perform luma.bury(o, error);
  elsif outcome = 'retry' then
    perform luma.put_back(o, clock_timestamp() + luma.retry_delay(o.attempts), true, error);
  else
    -- The calendar's trouble, not the job's: it does not count as an attempt.
    if outcome = 'rate_limited' then
      perform luma.pause_calendar(
        o.calendar, now() + make_interval(secs => coalesce((failure ->> 'retry_after')::double precision, 60)), 'luma'
      );
    else
      perform luma.note_problem(o.calendar, error, stop => true);
    end if;
    perform luma.put_back(o, now(), false, error);
  end if;
  return outcome;
end
$function$
  -- Makes of a failed job what luma.sort_failure() says, and answers that. failure: {kind, status, message, retry_after (seconds), calls}.

CREATE OR REPLACE FUNCTION luma.settle_guest(o luma.sync_outbox, result jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  outcome text := result ->> 'outcome';
  is_gone boolean;
  moved boolean := coalesce((o.lease_state ->> 'moved')::boolean, false);
begin
  if outcome = 'dry_run' then
    perform luma.finish(o, outcome, result -> 'calls');
  elsif outcome = 'done' then
    update luma.guests g
    set row_base = result ->> 'status', luma_base = result ->> 'status', unseen = true, in_doubt = false, lease = null,
        former = case when g.luma_base = result ->> 'status' then g.former else g.luma_base end, ours = true,
        synced_at = now(), luma_guest_id = result ->> 'luma_guest_id'
    where g.lease = o.lease;
    perform luma.finish_rsvp(o, moved, 'done', result -> 'calls');
  elsif outcome = 'read' then
    perform luma.settle_look(o, result);
  elsif outcome = 'failed' then
    is_gone := not exists (select from luma.guests g where g.lease = o.lease);
    if coalesce((result ->> 'maybe_applied')::boolean, true) then
      perform luma.doubt(o);
    end if;
    update luma.guests g set lease = null where g.lease = o.lease;
    if is_gone then
      -- Its event was cancelled on Luma while the call was under way, and no failure of the RSVP's: whether anything is
      -- left to do, and where, the next claim sees.
      perform luma.log_attempt(o, 'retry', result #>> '{failure,message}', result -> 'calls');
      perform luma.put_back(o, clock_timestamp() + luma.retry_delay(o.attempts), true, result #>> '{failure,message}');
    else
      perform luma.settle_failure(o, result -> 'failure' || jsonb_build_object('calls', result -> 'calls'));
    end if;
  else
    -- released: no call that changes anything was made.
    update luma.guests g set lease = null where g.lease = o.lease;
    perform luma.put_back(o, now(), false, o.last_error);
  end if;
end
$function$
  -- Settles one guest of a batch; see luma_settle_guests().

CREATE OR REPLACE FUNCTION luma.settle_look(o luma.sync_outbox, result jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  guest luma.guests;
begin
  select * into guest from luma.guests g where g.lease = o.lease;
  if guest.id is not null then
    perform luma.apply_guest(
      o.event_id,
      -- Luma has no such guest (any more): that is a no.
      coalesce(nullif(result -> 'news', 'null'), coalesce(guest.news, '{}') || jsonb_build_object(
        'email', guest.email, 'luma_guest_id', guest.luma_guest_id, 'status', 'declined'
      )),
      least((result ->> 'read_at')::timestamptz, guest.look_told_at), is_read => true
    );
    update luma.guests g set lease = null, look = false where g.id = guest.id;
  end if;
  perform luma.finish(o, 'done', result -> 'calls');
end
$function$
  -- A guest was read: what Luma said is applied. Raises LM001 when the app is writing the guest's RSVP.

CREATE OR REPLACE FUNCTION luma.show_status(shown_event_id uuid, status text)
 RETURNS void
 LANGUAGE sql
 SET search_path TO ''
AS $function$
  -- Skips a row that the app has locked: its holder may be waiting for an outbox row that we hold.
  update public.canonical_events e set luma_sync_status = status
  where e.luma_sync_status is distinct from status and e.id in (
    select c.id from public.canonical_events c where c.id = shown_event_id for no key update skip locked
  )
$function$
  -- Sets luma_sync_status unless the row is locked; luma.sweep() makes up for that.

CREATE OR REPLACE FUNCTION luma.show_synced(shown_event_id uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  count_before integer;
  external integer;
begin
  -- Only if nobody has the event: the app's count trigger updates it for every row that is written here.
  select e.current_rsvp_count,
    coalesce((select l.external_count from luma.event_links l where l.event_id = e.id and e.luma_event_id is not null), 0)
  into count_before, external
  from public.canonical_events e where e.id = shown_event_id for no key update skip locked;
  if not found then
    return;
  end if;
  perform set_config('luma.applying', 'on', true);
  update public.event_rsvps r
  set luma_guest_id = s.luma_guest_id, luma_synced_at = s.synced_at
  from (
    select x.id, coalesce(g.luma_guest_id, x.luma_guest_id) as luma_guest_id, g.synced_at
    from luma.guest_links l
    join luma.guests g on g.event_id = l.event_id and g.email = l.email
    join public.event_rsvps x on x.id = l.rsvp_id and x.event_id = l.event_id and x.user_id = l.user_id
    where l.event_id = shown_event_id and g.synced_at is not null
      and (x.luma_synced_at is distinct from g.synced_at or (g.luma_guest_id is not null and x.luma_guest_id is distinct from g.luma_guest_id))
    limit luma.batch_size('add')
    for no key update of x skip locked
  ) s
  where r.id = s.id;
  -- The app also counts by a rule of its own; what it wrote last stays. External guests are added by a trigger.
  update public.canonical_events e set current_rsvp_count = count_before - external
  where e.id = shown_event_id and e.current_rsvp_count is distinct from count_before;
  perform set_config('luma.applying', '', true);
end
$function$
  -- Writes luma_guest_id and luma_synced_at to the RSVPs of an event whose guests were settled, where nobody has a lock on them.

CREATE OR REPLACE FUNCTION luma.slug_for(event_id uuid, title text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN concat_ws('-'::text, NULLIF(TRIM(BOTH '-'::text FROM "left"(regexp_replace(lower(title), '[^a-z0-9]+'::text, '-'::text, 'g'::text), 37)), ''::text), "left"(replace((event_id)::text, '-'::text, ''::text), 12))
  -- The slug of a new Luma event: a readable part of the title and 12 hex digits of the row's id.

CREATE OR REPLACE FUNCTION luma.sort_failure(kind text, status integer, attempts integer)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN CASE WHEN (kind = ANY (ARRAY['invalid_row'::text, 'refused'::text])) THEN 'dead'::text WHEN (kind = 'internal'::text) THEN CASE WHEN (attempts >= 8) THEN 'dead'::text ELSE 'retry'::text END WHEN (kind = ANY (ARRAY['timeout'::text, 'network'::text, 'invalid_response'::text])) THEN 'retry'::text WHEN (status = 429) THEN 'rate_limited'::text WHEN (status = ANY (ARRAY[401, 403])) THEN 'stopped'::text WHEN ((status = ANY (ARRAY[408, 425])) OR (status >= 500)) THEN 'retry'::text ELSE 'dead'::text END
  -- What a failure means: retry, rate_limited (calendar pauses), stopped (calendar stops until luma.resume()) or dead. refused: Luma refused this one event though the key is good.

CREATE OR REPLACE FUNCTION luma.start_backfill()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  diverged record;
  enqueued integer := 0;
begin
  perform luma.begin_backfill();
  for diverged in
    select d.event_id, d.is_waiting
    from (
      select d as event_id, false as is_waiting from luma.diverged_events() d
      union all
      select w, true from luma.lock_waiting('event') w
    ) d
    left join public.canonical_events e on e.id = d.event_id
    left join luma.event_links l on l.event_id = d.event_id
    -- Not what waits only to be read.
    where luma.needs_push(e, l)
    order by e.starts_at, d.event_id
  loop
    if diverged.is_waiting or luma.try_enqueue('event', diverged.event_id, 4, diverged.event_id) then
      enqueued := enqueued + 1;
      perform luma.mark_backfill('event', diverged.event_id, enqueued);
    end if;
  end loop;
  for diverged in
    select w as rsvp_id
    from luma.lock_waiting('rsvp') w
    left join public.event_rsvps r on r.id = w
    left join public.canonical_events e on e.id = r.event_id
    order by e.starts_at, r.created_at, w
  loop
    enqueued := enqueued + 1;
    perform luma.mark_backfill('rsvp', diverged.rsvp_id, enqueued);
  end loop;
  enqueued := enqueued + (luma.enqueue_diverged_rsvps(null, null, 4)).enqueued;
  -- For those that waited while it was stopped.
  perform luma.tick();
  return enqueued;
end
$function$
  -- What luma.backfill() and luma.set_mode() do. Answers how many it enqueued.

CREATE OR REPLACE FUNCTION luma.start_of_list(calendar text)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select least(
    now() - make_interval(days => (select s.pull_lookback_days from luma.settings s)),
    (
      select min(e.starts_at) - interval '1 second'
      from luma.event_links l join public.canonical_events e on e.id = l.event_id
      where l.calendar = start_of_list.calendar and l.luma_event_id is not null and not luma.is_over(e)
    )
  )
$function$
  -- From which start on events are listed, so that those that are running are among them.

CREATE OR REPLACE FUNCTION luma.started_list(run luma.pull_runs)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  run.cursor := null;
  run.next_cursor := null;
  run.pages := 0;
  run.seen := '{}';
  run.asked_at := null;
  run.listed_from := null;
  run.is_whole := true;
  run.failures := 0;
  run.errors_before := run.errors;
  return run;
end
$function$
  -- The run at the beginning of a list.

CREATE OR REPLACE FUNCTION luma.state_to_send(job jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  -- Before it was read nothing is sent, so there will be nothing to doubt.
  select case when not (job ->> 'look')::boolean then job -> 'state' end
$function$
  -- What Luma may hold from now on because of this job of an event: its state, or null.

CREATE OR REPLACE FUNCTION luma.status_rank(guest_status text)
 RETURNS integer
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
begin
  return array_position('{declined,waitlist,pending_approval,approved}'::text[], guest_status);
end
$function$
  -- Where a guest status stands between declined (1) and approved (4).

CREATE OR REPLACE FUNCTION luma.stop_backfill()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update luma.backfill_state b set stopped_at = coalesce(b.stopped_at, clock_timestamp()) where b.started_at is not null;
  perform luma.log_admin('stop_backfill', '{}');
  return (select p.waiting from luma.backfill_progress p);
end
$function$
  -- Sends nothing more of the backfill, until luma.backfill(); live changes go on. Calls under way end. Answers how many wait.

CREATE OR REPLACE FUNCTION luma.sweep()
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  missed record;
  swept integer := 0;
begin
  for missed in
    with deleted as (delete from luma.missed_changes m where m.id is not null returning m.entity, m.entity_id)
    select d.entity_id from deleted d where d.entity = 'event'
    union
    select luma.diverged_events()
  loop
    swept := swept + luma.try_enqueue('event', missed.entity_id, 3, missed.entity_id)::integer;
  end loop;
  -- Also what the RSVP trigger missed: of an event that takes no guests there is nothing to enqueue.
  swept := swept + (luma.enqueue_diverged_rsvps(null, null, 1)).enqueued;
  perform luma.sweep_news();
  perform luma.show_status(o.entity_id, 'push_failed')
  from luma.sync_outbox o where o.dead_at is not null and o.entity = 'event';
  perform luma.show_synced(g.event_id)
  from (
    select distinct l.event_id
    from luma.guest_links l
    join luma.guests g on g.event_id = l.event_id and g.email = l.email
    join public.event_rsvps r on r.id = l.rsvp_id and r.user_id = l.user_id
    where g.synced_at is not null and (
      r.luma_synced_at is distinct from g.synced_at
      -- Told by a webhook, after the guest was added.
      or (g.luma_guest_id is not null and r.luma_guest_id is distinct from g.luma_guest_id)
    )
  ) g;
  return swept;
end
$function$
  -- Enqueues what a trigger missed. Run by pg_cron; answers how many it enqueued.

CREATE OR REPLACE FUNCTION luma.sweep_news()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  miscounted uuid;
begin
  if luma.mode() <> 'live' then
    return;
  end if;
  -- Looks that were asked for and are not waiting any more: the mode was not live, or they were given up before.
  perform luma.try_enqueue('event', l.event_id, 4, l.event_id)
  from luma.event_links l
  where l.look and not exists (
    select from luma.sync_outbox o where o.entity = 'event' and o.entity_id = l.event_id and o.version > o.done_version
  );
  perform luma.try_enqueue('guest', g.id, 4, g.event_id)
  from luma.guests g
  where g.look and not exists (
    select from luma.sync_outbox o where o.entity = 'guest' and o.entity_id = g.id and o.version > o.done_version
  );
  -- Who somebody is can become clear by a change of somebody else.
  insert into luma.rechecks (user_id, promote)
  select distinct m.user_id, true
  from luma.guests g
  join public.canonical_events e on e.id = g.event_id
  cross join lateral luma.match_user(g.email, g.news ->> 'phone') m
  where g.luma_base <> 'declined' and not luma.is_over(e) and luma.is_external(g) and m.user_id is not null
    -- Not whoever is another guest of the event already.
    and (luma.find_rsvp(g)).user_id is not null
    and not exists (select from luma.rechecks r where r.user_id = m.user_id and r.promote);
  for miscounted in
    -- Of what is over the count stays, though the guests are forgotten after a while.
    select l.event_id from luma.event_links l join public.canonical_events e on e.id = l.event_id and not luma.is_over(e)
    where l.luma_event_id is not null and l.external_count <> (
      select count(*) from luma.guests g where g.event_id = l.event_id and luma.is_counted(g)
    )
  loop
    perform luma.recount(miscounted);
  end loop;
end
$function$
  -- Part of luma.sweep(): reads that were missed, external guests who can be matched now, counts.

CREATE OR REPLACE FUNCTION luma.take_lease(o luma.sync_outbox)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  update luma.sync_outbox s
  set lease = o.lease, leased_by = o.leased_by, leased_at = o.leased_at, lease_version = o.lease_version,
      lease_state = o.lease_state, calendar = o.calendar, due_at = o.due_at
  where s.entity = o.entity and s.entity_id = o.entity_id;
end
$function$
  -- Writes down the lease of a job that luma.pick_job() has locked.

CREATE OR REPLACE FUNCTION luma.take_over_calendar(calendar text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if luma.mode() <> 'live' or not (select s.skip_ical from luma.settings s) then
    return;
  end if;
  -- One that somebody is editing is left to the next pull.
  update public.calendars c set is_active = false
  where c.luma_key in (
    select d.luma_key from public.calendars d where d.luma_key = take_over_calendar.calendar and d.is_active for update skip locked
  );
  if found then
    insert into luma.calendar_state as s (luma_key, was_active) values (take_over_calendar.calendar, true)
    on conflict (luma_key) do update set was_active = true;
  end if;
end
$function$
  -- After a whole pull: the app's iCal worker need not read this calendar.

CREATE OR REPLACE FUNCTION luma.take_permits(calendar text, wanted integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  granted integer;
begin
  perform luma.lock_permits();
  granted := least(wanted, luma.permits_free(calendar));
  if granted > 0 then
    delete from luma.rate_permits p where p.free_at <= clock_timestamp();
    insert into luma.rate_permits (calendar, permits, free_at)
    values (take_permits.calendar, granted, clock_timestamp() + make_interval(secs => 60 + luma.permit_ms() / 1000.0));
  end if;
  return greatest(granted, 0);
end
$function$
  -- Takes up to so many permits and says how many it got.

CREATE OR REPLACE FUNCTION luma.take_pull_permit(calendar text, is_asked boolean, OUT granted boolean, OUT wait_ms integer)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  most numeric;
  share numeric;
  used integer;
begin
  perform luma.lock_permits();
  select least(s.calls_per_minute, c.rate_limit - 20), case when is_asked then 2 / 3.0 else s.pull_share end into most, share
  from luma.settings s left join luma.calendar_state c on c.luma_key = take_pull_permit.calendar;
  select coalesce(sum(p.permits), 0) into used from luma.rate_permits p
  where p.calendar = take_pull_permit.calendar and p.is_pull and p.free_at > clock_timestamp();
  -- Pulls are the least urgent: a third of the minute is kept for whatever comes.
  granted := used + 1 <= greatest(1, most * share) and luma.permits_free(calendar) > least(most, (select s.calls_per_minute_total from luma.settings s)) / 3;
  wait_ms := 0;
  if granted then
    granted := luma.take_permits(calendar, 1) = 1;
    update luma.rate_permits p set is_pull = true
    where p.id = (select max(n.id) from luma.rate_permits n where n.calendar = take_pull_permit.calendar);
  end if;
  if not granted then
    wait_ms := coalesce((
      select greatest(50, ceil(1000 * extract(epoch from min(p.free_at) - clock_timestamp())))::integer
      from luma.rate_permits p where p.calendar = take_pull_permit.calendar and p.free_at > clock_timestamp()
    ), 1000);
  end if;
end
$function$
  -- Takes a permit for one call of a pull: a share of the calendar's limit, and never the last third. Not granted: ask again after wait_ms.

CREATE OR REPLACE FUNCTION luma.takes_guests(event_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  return exists (
    select from luma.event_links l
    join public.canonical_events e on e.id = l.event_id
    where l.event_id = takes_guests.event_id and l.luma_event_id is not null
      -- Shown on Luma, not only here: an event that is approved again is still hidden there for a moment.
      and (l.row_base ->> 'shown')::boolean
      and e.submission_status = 'approved' and not luma.is_over(e) and not l.is_adopting
  );
end
$function$
  -- True while RSVPs of this event are sent: it is on Luma, approved, and not over.

CREATE OR REPLACE FUNCTION luma.tick()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if luma.has_claimable() then
    perform luma.kick();
  end if;
  if exists (select from luma.waiting_pulls()) then
    perform luma.ring_pull();
  end if;
end
$function$
  -- Rings for the drain when something is due (retries, expired leases, lost rings), and for the pull when one waits or was left by its function. Run by pg_cron.

CREATE OR REPLACE FUNCTION luma.ticket_columns(rsvp public.event_rsvps, told jsonb, before jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  -- Only what changed there since it was last told, so that what the app has set since stays.
  select case
      when told -> 'checked_in_at' is distinct from before -> 'checked_in_at' and told ->> 'checked_in_at' is not null
        then jsonb_build_object('checked_in', true, 'checked_in_at', told -> 'checked_in_at')
      when told ->> 'checked_in_at' is null and (before ->> 'checked_in_at')::timestamptz = rsvp.checked_in_at
        then '{"checked_in": false, "checked_in_at": null}'
      else '{}'
    end
    || case
      when told ->> 'rsvp_type' <> coalesce(before ->> 'rsvp_type', 'standard')
        and coalesce(rsvp.rsvp_type, 'standard') in ('standard', before ->> 'rsvp_type')
        then jsonb_build_object('rsvp_type', told -> 'rsvp_type')
      else '{}'
    end
    || case
      -- What our own RSVPs get on Luma is its standard ticket, which says nothing.
      when told -> 'tickets' is distinct from before -> 'tickets' and (before is not null or told ->> 'rsvp_type' <> 'standard')
        then jsonb_build_object('metadata', coalesce(rsvp.metadata, '{}') || jsonb_build_object('luma_tickets', told -> 'tickets'))
      else '{}'
    end
$function$
  -- Changes of an RSVP's columns by what Luma tells of the guest's tickets now and told before.

CREATE OR REPLACE FUNCTION luma.took_page(run luma.pull_runs, result jsonb)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  next text := result ->> 'next_cursor';
  ids text[] := array(
    select x from jsonb_array_elements(result -> 'entries') e
    cross join lateral unnest(array[e ->> 'id', e #>> '{news,email}']) x where x is not null
  );
begin
  run.pages := run.pages + 1;
  run.entries := result -> 'entries';
  run.listed_from := coalesce(run.listed_from, run.asked_at);
  if exists (select from jsonb_array_elements(run.entries) e where e ->> 'id' is null) then
    -- Whatever it is: it may be what seems to be missing in the end.
    run.is_whole := false;
  end if;
  -- Without an end a list would be read for ever. Each page has to bring something that the others had not,
  -- and no calendar has 100,000 events.
  if next is not null and (ids <@ run.seen or run.pages >= 2000) then
    run := luma.with_problem(run, format('%s: page %s %s and is not the last one; the list was left there.',
      result ->> 'route', run.pages, case when ids <@ run.seen then 'brings nothing new' else 'is one of very many' end));
    run.is_whole := false;
    next := null;
  end if;
  run.next_cursor := next;
  run.seen := run.seen || ids;
  return run;
end
$function$
  -- The run with a page to apply. result: {route, entries: [{id, news | error}], next_cursor}.

CREATE OR REPLACE FUNCTION luma.took_result(run luma.pull_runs, result jsonb)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  kind text := result ->> 'kind';
begin
  if kind in ('calendar', 'page', 'event', 'failed') then
    run.calls := run.calls + 1;
  end if;
  if kind in ('calendar', 'page', 'event') then
    run.failures := 0;
  end if;
  if kind = 'calendar' then
    run := luma.checked_calendar(run, result ->> 'calendar_id');
  elsif kind = 'page' then
    run := luma.took_page(run, result);
  elsif kind = 'event' then
    run.entries := result -> 'entries';
  elsif kind = 'failed' then
    run := luma.failed_call(run, result -> 'failure');
  elsif kind = 'late' then
    -- Its permit was too old to be used.
    perform public.luma_return_permits(run.calendar, 1);
    run.asked_at := null;
  end if;
  return run;
end
$function$
  -- The run with the result of its last step.

CREATE OR REPLACE FUNCTION luma.trace_of(field text, value jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
RETURN CASE WHEN (field = 'description_md'::text) THEN COALESCE(to_jsonb(md5(luma.loosely(value))), 'null'::jsonb) ELSE value END
  -- What of a field's value is kept to know it again.

CREATE OR REPLACE FUNCTION luma.traffic(since interval DEFAULT '03:00:00'::interval, bucket interval DEFAULT '00:01:00'::interval)
 RETURNS TABLE(bucket_at timestamp with time zone, calendar text, calls bigint, failed bigint, rate_limited bigint, p50_ms numeric, p99_ms numeric)
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  with made as (
    -- RSVPs that went in one call each have it.
    select distinct a.calendar, a.run_id, (c.call ->> 'at')::timestamptz as at, c.call - 'at' as call, 1 as calls, (c.call ->> 'status')::integer as status
    from luma.attempts a cross join lateral jsonb_array_elements(a.calls) c(call)
    where a.settled_at > now() - traffic.since and a.outcome <> 'dry_run'
    union all
    -- A pull keeps its calls as a number.
    select r.calendar, r.id, coalesce(r.ended_at, now()), null, r.calls, 200
    from luma.pull_runs r
    where coalesce(r.ended_at, now()) > now() - traffic.since and r.calls > 0
  ),
  counted as (
    select date_bin(traffic.bucket, m.at, '2000-01-01') as bucket_at, m.calendar, sum(m.calls)::bigint as calls,
      -- A 404 answers a look-up as well as anything.
      count(*) filter (where m.status is null or m.status >= 400 and m.status not in (404, 429)) as failed,
      count(*) filter (where m.status = 429) as rate_limited
    from made m
    group by 1, 2
  ),
  lagged as (
    select date_bin(traffic.bucket, l.settled_at, '2000-01-01') as bucket_at, l.calendar,
      percentile_cont(array[0.5, 0.99]) within group (order by l.ms) as ms
    from luma.lags(traffic.since) l
    where l.direction = 'to Luma'
    group by 1, 2
  )
  select coalesce(c.bucket_at, l.bucket_at), coalesce(c.calendar, l.calendar), coalesce(c.calls, 0), coalesce(c.failed, 0),
    coalesce(c.rate_limited, 0), round(l.ms[1]::numeric, 1), round(l.ms[2]::numeric, 1)
  from counted c
  full join lagged l on l.bucket_at = c.bucket_at and l.calendar is not distinct from c.calendar
  order by 1, 2
$function$
  -- Calls to Luma by calendar and time, how many failed or were rate-limited (429), and the lag of what was sent meanwhile. Buckets without calls are left out.

CREATE OR REPLACE FUNCTION luma.try_enqueue(entity text, entity_id uuid, priority integer, event_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
 SET lock_timeout TO '1ms'
AS $function$
declare
  is_free boolean;
begin
  select true into is_free
  from luma.sync_outbox o where o.entity = try_enqueue.entity and o.entity_id = try_enqueue.entity_id
  for update skip locked;
  if is_free is null and exists (
    select from luma.sync_outbox o where o.entity = try_enqueue.entity and o.entity_id = try_enqueue.entity_id
  ) then
    -- Whoever holds it is enqueueing it.
    return false;
  end if;
  perform luma.enqueue(entity, entity_id, priority, event_id);
  return true;
exception when lock_not_available then
  -- Somebody is enqueueing it for the first time.
  return false;
end
$function$
  -- Enqueues unless somebody else is doing so; for whoever enqueues many at once.

CREATE OR REPLACE FUNCTION luma.try_lock_bell(exclusive boolean)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return case when exclusive
    then pg_try_advisory_xact_lock(hashtext('luma'), hashtext('bell'))
    else pg_try_advisory_xact_lock_shared(hashtext('luma'), hashtext('bell'))
  end;
end
$function$
  -- Tries the advisory lock of the bell until the end of the transaction; never waits.

CREATE OR REPLACE FUNCTION luma.try_lock_permits()
 RETURNS boolean
 LANGUAGE sql
 SET search_path TO ''
RETURN pg_try_advisory_xact_lock(hashtext('luma'::text), hashtext('permits'::text))
  -- luma.lock_permits() for who has rows locked: false when somebody else is handing out permits.

CREATE OR REPLACE FUNCTION luma.uninstall(confirm text DEFAULT NULL::text, keep_columns boolean DEFAULT false)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  sentence constant text := 'remove luma while it is live';
  others text[] := luma.dependents();
begin
  if luma.mode() = 'live' and confirm is distinct from sentence then
    raise exception 'luma.uninstall: the mode is live: what waits would never be sent'
      using errcode = 'object_not_in_prerequisite_state',
        hint = format('select luma.set_mode(''off''); first, or: select luma.uninstall(confirm => %L);', sentence);
  elsif others <> '{}' then
    raise exception 'luma.uninstall: this is built on what would be removed: %', array_to_string(others, ', ')
      using errcode = 'dependent_objects_still_exist', hint = 'Drop or change it first. Nothing was removed.';
  end if;
  return luma.remove_all(keep_columns);
exception when lock_not_available then
  raise exception 'luma.uninstall: the database is busy, and nothing was removed'
    using errcode = 'lock_not_available', hint = 'Run it again. It waits for half a second only, so that the app does not.';
end
$function$
  -- Removes this project from the database: triggers, jobs, functions, schema luma, Vault entries, and its columns in the app's tables unless keep_columns. All or nothing; refused while live, unless confirmed. The app's rows stay.

CREATE OR REPLACE FUNCTION luma.unlink_moved(rsvp_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  link luma.guest_links;
begin
  select * into link from luma.guest_links l where l.rsvp_id = unlink_moved.rsvp_id;
  -- The user's row that was made anew takes the guest over, so that its own end is not missed.
  insert into luma.guest_links (rsvp_id, event_id, user_id, email)
  select r.id, r.event_id, r.user_id, link.email from public.event_rsvps r
  where r.event_id = link.event_id and r.user_id = link.user_id
  on conflict do nothing;
  if exists (
    select from luma.guests g
    where g.event_id = link.event_id and g.email = link.email and (g.in_doubt or g.row_base <> 'declined')
  ) and not exists (
    select from luma.guest_links l
    join public.event_rsvps r on r.id = l.rsvp_id and r.event_id = l.event_id and r.user_id = l.user_id
    where l.event_id = link.event_id and l.email = link.email
  ) then
    -- Who wanted the guest to stay has gone meanwhile: a guest that nobody is would never be declined.
    return true;
  end if;
  delete from luma.guest_links l where l.rsvp_id = unlink_moved.rsvp_id;
  return exists (select from public.event_rsvps r where r.id = unlink_moved.rsvp_id);
end
$function$
  -- Forgets which guest an RSVP was whose row is gone or somebody else's. True when there is more to send of it: the guest still has to leave, or the row has another guest now.

CREATE OR REPLACE FUNCTION luma.unread_deliveries()
 RETURNS jsonb
 LANGUAGE sql
 SET search_path TO ''
BEGIN ATOMIC
 WITH due AS (
          SELECT w.webhook_id
            FROM luma.webhook_inbox w
           WHERE ((w.due_at <= clock_timestamp()) AND (w.news IS NULL))
           ORDER BY w.received_at
          LIMIT 20
          FOR UPDATE OF w SKIP LOCKED
         ), taken AS (
          UPDATE luma.webhook_inbox w SET due_at = (clock_timestamp() + '00:00:30'::interval)
            FROM due
           WHERE (w.webhook_id = due.webhook_id)
           RETURNING w.webhook_id,
             w.calendar,
             w.type,
             w.payload,
             w.sent_at,
             w.received_at,
             w.times_received,
             w.state,
             w.attempts,
             w.error,
             w.news,
             w.due_at,
             w.applied_at,
             w.outcome
         )
  SELECT COALESCE(jsonb_agg(jsonb_build_object('webhook_id', t.webhook_id, 'type', t.type, 'data', (t.payload -> 'data'::text))), '[]'::jsonb) AS "coalesce"
    FROM taken t;
END
  -- Deliveries whose payload could not be read, for a function that may be newer than the one that received them. Theirs for 30 seconds.

CREATE OR REPLACE FUNCTION luma.unrouted_jobs(entity text, most integer)
 RETURNS SETOF luma.sync_outbox
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  return query
    select j.*
    from unnest('{1,2,3,4}'::smallint[]) p (priority)
    cross join lateral (
      select * from luma.due_jobs d
      where d.calendar is null and d.entity = unrouted_jobs.entity and d.priority = p.priority
        and d.due_at >= luma.due_floor('unrouted ' || unrouted_jobs.entity, p.priority)
      order by d.due_at limit most
      for update skip locked
    ) j
    limit most;
end
$function$
  -- Locks the most urgent due jobs of a kind that have no calendar yet, without those that somebody else has locked.

CREATE OR REPLACE FUNCTION luma.usable_email(email text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
-- The shape only; that a letter arrives there nobody can tell. The longest address has 254 characters, 64 of them before
-- the @ (RFC 5321, 4.5.3.1).
declare
  trimmed text := lower(btrim(email, E' \t\r\n\f\u00a0'));
begin
  return case when length(trimmed) <= 254 and position('@' in trimmed) <= 65
    and trimmed ~ '^[^[:space:][:cntrl:]@<>(),;:"\\\[\]]+@([^[:space:][:cntrl:]@<>(),;:"\\\[\].]+\.)+[^[:space:][:cntrl:]@<>(),;:"\\\[\].]{2,}$'
    and trimmed !~ '(^\.|\.\.|\.@)' then trimmed end;
end
$function$
  -- The address trimmed and in lower case, as Luma compares addresses, or null when it has not the shape of one.

CREATE OR REPLACE FUNCTION luma.users_by_email(email text)
 RETURNS SETOF text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select u.id from public.users u
  where lower(btrim(u.email, E' \t\r\n\f\u00a0')) = luma.usable_email(users_by_email.email)
$function$
  -- Users with this e-mail address, in any letter case and with spaces around it.

CREATE OR REPLACE FUNCTION luma.users_by_phone(phone text)
 RETURNS SETOF text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select u.id from public.users u
  where right(regexp_replace(u.phone, '[^0-9]', '', 'g'), 7) = luma.phone_tail(users_by_phone.phone)
    and luma.phone_fits(u.phone, users_by_phone.phone)
$function$
  -- Users whose phone number can be this one.

CREATE OR REPLACE FUNCTION luma.waiting_pulls()
 RETURNS SETOF luma.pull_runs
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select r.* from luma.pull_runs r
  where r.ended_at is null and r.due_at <= clock_timestamp() and luma.mode() <> 'off'
    -- Never begun, handed on, or left by a function that died.
    and (r.lease is null or r.alive_until < clock_timestamp())
    and luma.calendar_ready(r.calendar)
    and (r.started_at is not null or not exists (
      select from luma.pull_runs a
      where a.calendar = r.calendar and a.luma_event_id is not distinct from r.luma_event_id
        and a.started_at is not null and a.ended_at is null
    ))
$function$
  -- Pulls that a function may begin, or go on with, now: of each calendar, or event, one at a time.

CREATE OR REPLACE FUNCTION luma.wakes_drain()
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if current_setting('luma.woken', true) = 'yes' then
    return false;
  end if;
  perform set_config('luma.woken', 'yes', true);
  return true;
end
$function$
  -- True for the first row that a transaction enqueues: only that one wakes the drain, so that a bulk update does not queue a deferred trigger for each row. The setting is local: it ends with the transaction.

CREATE OR REPLACE FUNCTION luma.was_empty(base jsonb, field text, value jsonb)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select nullif(value #>> '{}', '') is not null and case
    when field in ('description_md', 'meeting_url') then true
    -- Of a place that it was told a part of, Luma finds the rest.
    when field in ('coordinate', 'geo_address_json') then not base ?| '{coordinate,geo_address_json}'
    else false
  end
$function$
  -- True when Luma was told nothing of a field, so had nothing there, and says something now: then somebody has put it there.

CREATE OR REPLACE FUNCTION luma.was_guest_sent_since(guest luma.guests, at timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select greatest((guest).heard_at, (guest).synced_at) >= at
    or exists (select from luma.sync_outbox o where o.lease = (guest).lease)
    or exists (
      select from luma.guest_links l
      where l.event_id = (guest).event_id and l.email = (guest).email and luma.was_sent_since('rsvp', l.rsvp_id, at)
    )
$function$
  -- True when something of a guest is being sent, was sent, or was heard of since then.

CREATE OR REPLACE FUNCTION luma.was_known(event public.canonical_events, link luma.event_links, field text, value jsonb, columns jsonb)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select exists (
    select from jsonb_array_elements((link).former -> field) f
    where luma.is_same(field, f.value, luma.trace_of(field, was_known.value))
  )
  or luma.may_have_sent(event, link, field, was_known.value, columns)
  -- What is paid for is closed until it has its ticket.
  or field = 'visibility' and was_known.value = '"private"'
    and (coalesce((event).is_ticketed, false) or (event).category is not distinct from 'ticketed')
$function$
  -- True when a field held this before, by our word or by Luma's, or may have.

CREATE OR REPLACE FUNCTION luma.was_sent_since(entity text, entity_id uuid, at timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
RETURN ((EXISTS (SELECT FROM luma.sync_outbox o WHERE ((o.entity = was_sent_since.entity) AND (o.entity_id = was_sent_since.entity_id) AND (o.lease IS NOT NULL)))) OR (EXISTS (SELECT FROM luma.attempts a WHERE ((a.entity = was_sent_since.entity) AND (a.entity_id = was_sent_since.entity_id) AND (a.settled_at >= was_sent_since.at) AND (a.outcome <> ALL (ARRAY['nothing_to_do'::text, 'dry_run'::text]))))))
  -- True when something of an entity is being sent, or was sent since then: what was read then may lack it.

CREATE OR REPLACE FUNCTION luma.watch()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  looked_at timestamptz := clock_timestamp();
begin
  -- The next run is a minute away.
  if not pg_try_advisory_xact_lock(hashtext('luma'), hashtext('alerts')) then
    return;
  end if;
  insert into luma.alert_states as a (kind, subject, message, level)
  select c.kind, c.subject, c.message, c.level from luma.alert_causes c
  on conflict (kind, subject) where over_at is null
  do update set message = excluded.message, level = excluded.level, seen_at = excluded.seen_at;
  update luma.alert_states a set over_at = clock_timestamp()
  where a.over_at is null and a.seen_at < looked_at - (select s.alert_calm from luma.settings s);
  delete from luma.alert_states a where a.over_at < now() - make_interval(days => (select s.log_days from luma.settings s));
  begin
    perform luma.send_alerts();
  exception when others then
    -- What was raised stays, whatever pg_net says of the address.
    update luma.alert_outbox b set problem = format('The message could not be sent: %s', sqlerrm) where b.id;
  end;
end
$function$
  -- Raises and ends alerts, and has somebody told. Run by pg_cron every minute.

CREATE OR REPLACE FUNCTION luma.went_on(run luma.pull_runs)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  if run.asked_at is not null then
    -- What was read has been applied.
    run.asked_at := null;
    if run.phase = 'details' then
      run.details := run.details[2:];
    elsif run.next_cursor is not null then
      run.cursor := run.next_cursor;
    else
      run := luma.finished_list(run);
    end if;
  end if;
  if run.phase = 'details' and run.details = '{}' then
    run.phase := 'guests';
    run.guests_of := luma.plan_guests(run);
  end if;
  -- Over, or gone, since it was planned.
  while run.phase = 'guests' and run.guests_of <> '{}' and not exists (
    select from luma.coming_events(run) c where (c.event).id = run.guests_of[1]
  ) loop
    run.guests_of := run.guests_of[2:];
  end loop;
  if run.phase = 'guests' and run.guests_of = '{}' then
    run := luma.ended_run(run, case when run.errors = 0 then 'done' else 'incomplete' end);
  end if;
  return run;
end
$function$
  -- The run at its next call, or at its end.

CREATE OR REPLACE FUNCTION luma.why_external(guest luma.guests)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select case
    when m.why is not null then m.why
    when exists (
      select from public.event_rsvps r join luma.guest_links l on l.rsvp_id = r.id
      where r.event_id = (guest).event_id and r.user_id = m.user_id
    ) then format('user %s is another guest of this event already', m.user_id)
    when (guest).luma_base = 'declined' then format('user %s has declined on Luma', m.user_id)
    -- A trigger of the app's refuses the row, say, or the app is writing it.
    else format('it is user %s, whose RSVP could not be written yet', m.user_id)
  end
  from luma.match_user((guest).email, (guest).news ->> 'phone') m
$function$
  -- Why a guest on Luma is nobody's RSVP, for an admin to read.

CREATE OR REPLACE FUNCTION luma.why_not_called(calendar text)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select coalesce(s.problem, case
    when s.paused_until = 'infinity' then format('the calendar is paused by %s until somebody runs: select luma.resume(%L);', s.paused_by, s.luma_key)
    when s.paused_until > now() then format('the calendar is paused by %s until %s UTC', s.paused_by, to_char(s.paused_until at time zone 'utc', 'HH24:MI:SS'))
  end)
  from luma.calendar_state s where s.luma_key = why_not_called.calendar
$function$
  -- What is wrong with a calendar, or why it is paused, or null.

CREATE OR REPLACE FUNCTION luma.why_not_created(e public.canonical_events)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select case
    when e.submission_status is distinct from 'approved'
      then format('not approved (submission_status %s)', coalesce(e.submission_status, 'null'))
    when e.source_type in ('ical', 'luma') then format('comes from Luma or a feed (source_type %s)', e.source_type)
    when luma.is_over(e) then 'over'
    when e.luma_event_id is not null and not exists (select from luma.event_links l where l.event_id = e.id)
      -- By something that was there before this project. A pull links it.
      then format('on Luma already as %s; if Luma has no such event any more, set luma_event_id to null', e.luma_event_id)
    when luma.is_luma_address(e.external_rsvp_url) then format('already on Luma at %s', e.external_rsvp_url)
    when exists (select from luma.page_keys(e.source_refs::text)) then 'already on Luma, as its source_refs say'
    when e.description ~* '(lu\.ma|luma\.com)/' then (
      select case
        when exists (select from luma.duplicates d where d.event_id = e.id)
          then 'on Luma already, under another row: see luma.duplicates'
        when not luma.pulled_since(e.created_at)
          then 'its description names a page on Luma: created after the next pull, unless it is that event'
      end
      where exists (select from luma.page_keys(e.description))
    )
  end
$function$
  -- Why no Luma event is created for this row, or null when one is. Says nothing about rows that have one.

CREATE OR REPLACE FUNCTION luma.with_problem(run luma.pull_runs, problem text)
 RETURNS luma.pull_runs
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
begin
  run.errors := run.errors + 1;
  if cardinality(run.problems) < 20 then
    run.problems := run.problems || left(problem, 500);
  end if;
  return run;
end
$function$
  -- The run with one error more; the first twenty are kept in words.

CREATE OR REPLACE FUNCTION luma.write_event(event public.canonical_events, changes jsonb)
 RETURNS public.canonical_events
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  n public.canonical_events := jsonb_populate_record(event, changes);
begin
  perform set_config('luma.applying', 'on', true);
  update public.canonical_events e
  set title = n.title, description = n.description, starts_at = n.starts_at, ends_at = n.ends_at, tz = n.tz,
      lat = n.lat, lng = n.lng, geocode_status = n.geocode_status, location_raw = n.location_raw,
      location_name = n.location_name, meeting_point = n.meeting_point, location_type = n.location_type, meeting_url = n.meeting_url,
      cover_image_url = n.cover_image_url, visibility = n.visibility, culture = n.culture, host_id = n.host_id,
      external_rsvp_url = n.external_rsvp_url, raw_payload = n.raw_payload, submission_status = n.submission_status,
      luma_event_id = n.luma_event_id, luma_synced_at = now(),
      luma_sync_status = case when e.source_type is distinct from 'luma' or e.luma_sync_status in ('pushed', 'synced') then 'synced' else 'pulled' end
  where e.id = n.id
  returning e.* into n;
  perform set_config('luma.applying', '', true);
  return n;
end
$function$
  -- Writes what Luma told to the app's row, and nothing is sent because of it.

CREATE OR REPLACE FUNCTION luma.write_rsvp(rsvp public.event_rsvps, changes jsonb, guest luma.guests)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO ''
AS $function$
declare
  n public.event_rsvps := jsonb_populate_record(rsvp, changes);
begin
  perform set_config('luma.applying', 'on', true);
  update public.event_rsvps r
  set status = n.status, rsvp_type = n.rsvp_type, checked_in = n.checked_in, checked_in_at = n.checked_in_at,
      metadata = n.metadata, luma_guest_id = coalesce(guest.luma_guest_id, r.luma_guest_id), luma_synced_at = now()
  where r.id = n.id;
  perform set_config('luma.applying', '', true);
end
$function$
  -- Writes what Luma told to an RSVP, and nothing is sent because of it.

-- functions for the Edge Functions ------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.luma_acknowledge(lease uuid, result_json text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  result jsonb := result_json;
  outcome text := result ->> 'outcome';
begin
  if o.lease is null then
    return false;
  end if;
  if outcome = 'removed' then
    perform luma.record_removal(o);
    outcome := 'done';
  elsif outcome = 'done' then
    perform luma.record_push(o, result);
  elsif outcome = 'nothing_to_do' then
    -- The slug was looked up and nothing found: no create is in doubt any more.
    update luma.event_links l set create_lease = null, create_state = null
    where l.event_id = o.entity_id and l.luma_event_id is null;
  end if;
  perform luma.finish(o, outcome, result -> 'calls');
  return true;
end
$function$
  -- luma-drain: a job is done. result_json: {outcome: done | removed | nothing_to_do | dry_run, luma_event_id, sent, pending, warning, calls}. False when the lease is no longer held.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_apply_deliveries()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  -- The app's rows are locked for as long as this lasts, so a large backlog is many calls.
  enough timestamptz := clock_timestamp() + interval '50 milliseconds';
begin
  if luma.mode() <> 'live' then
    return '{"more": false, "unread": []}';
  end if;
  perform luma.apply_due(enough);
  perform luma.promote_due(enough);
  return jsonb_build_object('more', luma.deliveries_due(), 'unread', luma.unread_deliveries());
end
$function$
  -- luma-drain: applies what waits in the inbox, for a moment. {more (call again), unread: [{webhook_id, type, data}], deliveries that could not be read, for luma_read_delivery()}.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_claim(run_id uuid, calendars text[], max_jobs integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  live boolean := luma.mode() = 'live';
  -- Now and then a claim goes to what has waited longest: a backfill gets its share of busy times.
  oldest boolean := random() < (select s.oldest_share from luma.settings s);
  goes_on boolean := luma.go_on(run_id);
  looked_at timestamptz;
  calendar text;
  job jsonb;
  claimed jsonb[] := '{}';
  permits jsonb := '{}';
  free integer;
  needed integer;
  wait_ms integer;
  permits_after_ms integer;
begin
  perform luma.lock_permits();
  perform luma.recheck_rsvps();
  loop
    if not goes_on then
      looked_at := clock_timestamp();
      perform luma.expire_leases();
    end if;
    perform luma.route_jobs();
    for calendar in select luma.calendars_with_work(calendars, oldest) loop
      free := case when live then luma.permits_free(calendar) else max_jobs end;
      if free = 0 then
        wait_ms := least(wait_ms, luma.permits_wait_ms(calendar));
      end if;
      needed := 0;
      while needed < free and cardinality(claimed) < max_jobs loop
        job := luma.claim_job(run_id, calendar, oldest, free - needed);
        exit when job is null;
        claimed := claimed || job;
        needed := needed + coalesce((job ->> 'permits')::integer, 1);
      end loop;
      if live and needed > 0 then
        -- Of the first that are given: those of a second calendar are younger than they are taken for, which is safe.
        permits_after_ms := coalesce(permits_after_ms, luma.elapsed_ms());
        permits := permits || jsonb_build_object(calendar, luma.take_permits(calendar, needed));
      end if;
    end loop;
    exit when not goes_on or cardinality(claimed) > 0;
    -- What is due from before may have come in since.
    goes_on := false;
    perform set_config('luma.floors', '{}', true);
  end loop;
  perform luma.remember_claim(run_id, cardinality(claimed), looked_at);
  return jsonb_build_object(
    'mode', luma.mode(), 'jobs', to_jsonb(claimed), 'permits', permits, 'wait_ms', wait_ms,
    'permits_after_ms', coalesce(permits_after_ms, 0), 'deliveries_due', luma.deliveries_due()
  );
end
$function$
  -- luma-drain: leases up to max_jobs jobs of calendars it has keys for; RSVPs of one event are one job. {mode, jobs, permits (calls by calendar, for luma.permit_ms()), permits_after_ms (how long after the request they were given, at the least), wait_ms (when work waits for permits), deliveries_due (true: call luma_apply_deliveries)}.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_cover_begin(source_url text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  cover luma.covers;
begin
  insert into luma.covers as c (source_url) values (source_url) on conflict do nothing;
  select * into cover from luma.covers c where c.source_url = luma_cover_begin.source_url for update;
  if cover.luma_url is not null then
    return jsonb_build_object('state', 'uploaded', 'luma_url', cover.luma_url);
  elsif cover.busy_until > clock_timestamp() then
    return jsonb_build_object('state', 'busy');
  elsif cover.retry_at > now() then
    return jsonb_build_object(
      'state', 'failed', 'error', cover.error, 'transient', cover.retry_at < cover.updated_at + interval '1 hour'
    );
  elsif cover.tries >= 3 then
    update luma.covers c
    set tries = 0, busy_until = null, retry_at = now() + interval '1 day',
        error = format('%s: the function died three times while converting this image; use a smaller one or a JPEG.', cover.source_url)
    where c.source_url = cover.source_url returning * into cover;
    return jsonb_build_object('state', 'failed', 'error', cover.error, 'transient', false);
  end if;
  update luma.covers c set tries = c.tries + 1, busy_until = clock_timestamp() + interval '30 seconds', updated_at = now()
  where c.source_url = cover.source_url;
  return jsonb_build_object('state', 'upload');
end
$function$
  -- luma-drain: what to do about a cover. {state: uploaded (with luma_url) | busy (ask again) | failed (with error, and transient: try again later; use the next candidate) | upload (it is yours)}.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_cover_end(source_url text, luma_url text DEFAULT NULL::text, error text DEFAULT NULL::text, transient boolean DEFAULT false)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
  update luma.covers c
  set luma_url = luma_cover_end.luma_url, error = luma_cover_end.error, tries = 0, busy_until = null, updated_at = now(),
      retry_at = case when luma_cover_end.error is not null then
        now() + case when transient then interval '5 minutes' else interval '1 day' end end
  where c.source_url = luma_cover_end.source_url
$function$
  -- luma-drain: the upload's end: its address on Luma's CDN, or why it failed and whether that may pass by itself, or neither: the image is free for the next try at once.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_create_again(lease uuid)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
  with again as (
    update luma.event_links l set create_lease = o.lease, create_state = o.lease_state
    from luma.sync_outbox o
    where o.lease = luma_create_again.lease and l.event_id = o.entity_id and l.luma_event_id is null
    returning 1
  )
  select exists (select from again)
$function$
  -- luma-drain: Luma was asked and has no event under our slug, so from here on it may get one as the row is now. False when the lease is no longer held, or the event is known by now: stop.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_created(lease uuid, slug text, luma_event_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  -- Not fenced by the lease on purpose: the event exists, whoever created it, and this is the only trace.
  -- The slug fences it: another event can never come under it.
  update luma.event_links l set luma_event_id = luma_created.luma_event_id
  where l.slug = luma_created.slug and l.luma_event_id is null;
  return exists (select from luma.sync_outbox o where o.lease = luma_created.lease);
end
$function$
  -- luma-drain: remembers a Luma event as soon as it is known, before the calls that follow. False when the lease is no longer held: stop.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_drain_end(run_id uuid, calendars text[], calls integer, reason text, force boolean)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  alone boolean := luma.try_lock_bell(exclusive => true);
  work boolean := luma.has_claimable(calendars);
begin
  if not force and (work or not alone) then
    return case when work then 'work' else 'writers' end;
  end if;
  -- What is due in a moment: cheaper to wait for than to be rung for.
  if not force and luma.mode() = 'live' and (
    exists (
      select from luma.sync_outbox o
      where o.version > o.done_version and o.dead_at is null and o.lease is null
        -- Without a calendar yet: enqueued since this transaction began, so later than its now().
        and (o.calendar is null or (o.calendar = any (calendars) and luma.calendar_ready(o.calendar)))
        and o.due_at between now() and now() + interval '3 seconds'
    )
    -- Not for as long as the app keeps a row: the longer a delivery waits for it, the less often it is tried.
    or exists (select from luma.webhook_inbox i where i.due_at between now() and now() + interval '1 second')
  ) then
    return 'soon';
  end if;
  update luma.drain_runs r
  set ended_at = clock_timestamp(), calls = luma_drain_end.calls, end_reason = reason
  where r.id = run_id;
  if work or not alone then
    -- Out of time with work left: the next run takes over.
    perform luma.ring();
  end if;
  return 'ended';
end
$function$
  -- luma-drain: ends the run, unless there is work, a writer is just committing, or something is due in a moment (then it answers work, writers or soon, and the run goes on). With force it ends anyway and rings for the next run.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_drain_start(keys text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  run_id uuid;
begin
  if luma.mode() = 'live' then
    -- Before anything is created: luma.pulled_since() goes by which calendars can be pulled.
    perform luma.mark_calendars(keys);
  end if;
  insert into luma.drain_runs (alive_until) values (clock_timestamp() + interval '15 seconds') returning id into run_id;
  update luma.bell b set rung_at = null, unanswered = 0 where b.rung_at is not null or b.unanswered > 0;
  perform luma.lock_permits();
  perform luma.route_jobs();
  return jsonb_build_object(
    'run_id', run_id, 'mode', luma.mode(), 'problems', luma.note_missing_keys(keys),
    'lease_seconds', (select s.lease_seconds from luma.settings s)
  );
end
$function$
  -- luma-drain: registers a run that holds keys for these calendars. {run_id, mode, problems, lease_seconds}.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_event_read(lease uuid, news_json text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  job jsonb;
  told text;
begin
  if o.lease is null then
    return null;
  end if;
  begin
    perform luma.apply_event(o.calendar, news_json::jsonb, source => 'read');
    perform luma.note_read(o.entity_id, o.leased_at);
    job := luma.event_job(o);
    update luma.sync_outbox s set lease_state = luma.state_to_send(job), calendar = coalesce(job ->> 'calendar', s.calendar)
    where s.lease = o.lease;
    return jsonb_build_object('job', job);
  exception
    when sqlstate 'LM001' or lock_not_available then
      perform luma.put_back(o, clock_timestamp() + interval '1 second', false, null);
    when others then
      get stacked diagnostics told = message_text;
      perform luma.settle_failure(o, jsonb_build_object('kind', 'internal', 'message', told));
  end;
  return null;
end
$function$
  -- luma-drain: applies what was just read of a leased event (news_json: from_luma.ts, EventNews). Answers {job}: what is to be sent now, null for nothing; or null when the lease is no longer held or what was read could not be applied.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_fail(lease uuid, failure_json text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  failure jsonb := failure_json;
begin
  if o.lease is null then
    return null;
  end if;
  if not coalesce((failure ->> 'create_called')::boolean, true) then
    update luma.event_links l set create_lease = null, create_state = null
    where l.event_id = o.entity_id and l.create_lease = o.lease and l.luma_event_id is null;
  end if;
  perform luma.doubt(o);
  update luma.event_links l
  set maybe_told = coalesce(l.maybe_told, '{}') || (failure -> 'told'), maybe_state = o.lease_state
  where l.event_id = o.entity_id and failure -> 'told' <> '{}';
  return luma.settle_failure(o, failure);
end
$function$
  -- luma-drain: a job failed. failure_json: {kind, status, message, retry_after (seconds), create_called, told (what update calls may have told, as in luma_base), calls}. Answers what was made of it (luma.sort_failure), null when the lease is no longer held.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_note_rate_limit(calendar text, rate_limit integer)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
  insert into luma.calendar_state as s (luma_key, rate_limit) values (calendar, luma_note_rate_limit.rate_limit)
  on conflict (luma_key) do update set rate_limit = excluded.rate_limit, updated_at = now()
  where s.rate_limit is distinct from excluded.rate_limit
$function$
  -- luma-drain: X-RateLimit-Limit as Luma told it.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_pull_begin(keys text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  run luma.pull_runs;
  runs jsonb := '[]';
begin
  if luma.mode() = 'off' then
    return '[]';
  end if;
  if luma.mode() = 'live' then
    perform luma.mark_calendars(keys);
  end if;
  -- One after the other, so that each run gets one function.
  perform pg_advisory_xact_lock(hashtext('luma'), hashtext('pulls'));
  update luma.bell b set pull_rung_at = null, pull_unanswered = 0 where b.pull_rung_at is not null or b.pull_unanswered > 0;
  for run in
    select * from luma.waiting_pulls() w order by w.started_at nulls last, w.luma_event_id nulls last, w.requested_at
  loop
    -- Of one that has just been taken, or that another one of its calendar is before.
    continue when not exists (select from luma.waiting_pulls() w where w.id = run.id);
    if run.calendar <> all (keys) then
      run.started_at := clock_timestamp();
      update luma.pull_runs r set started_at = run.started_at where r.id = run.id;
      perform luma.save_run(luma.ended_run(luma.with_problem(run, format(
        'LUMA_%s_API_KEY is not set in the function secrets: calendar %s cannot be read.', upper(run.calendar), run.calendar
      )), 'failed'));
      continue;
    end if;
    if run.started_at is null and run.luma_event_id is null and not run.is_dry then
      perform luma.note_missed(run.calendar);
    end if;
    update luma.pull_runs r
    set lease = gen_random_uuid(), alive_until = clock_timestamp() + interval '30 seconds',
        started_at = coalesce(r.started_at, clock_timestamp()), is_dry = r.is_dry or luma.mode() = 'dry_run',
        -- A call that was under way is made again.
        asked_at = case when r.entries <> '[]' then r.asked_at end
    where r.id = run.id returning * into run;
    runs := runs || jsonb_build_object('run_id', run.id, 'lease', run.lease, 'calendar', run.calendar);
  end loop;
  return runs;
end
$function$
  -- luma-pull: takes the pulls that wait, of calendars that it has keys for: [{run_id, lease, calendar}].
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_pull_pause(run_id uuid, lease uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  update luma.pull_runs r set lease = null, alive_until = null, asked_at = case when r.entries <> '[]' then r.asked_at end
  where r.id = run_id and r.lease = luma_pull_pause.lease;
  if found then
    perform luma.ring_pull();
  end if;
end
$function$
  -- luma-pull: the time is up; the next one goes on with this run.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_pull_request(calendar text DEFAULT NULL::text, event text DEFAULT NULL::text, dry boolean DEFAULT false)
 RETURNS integer
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
RETURN luma.ask_pulls(calendar, event, is_dry => dry)
  -- luma-pull: asks for a pull, as luma.pull_now() does (dry: as luma.reconcile()). It begins with luma_pull_begin().
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_pull_step(run_id uuid, lease uuid, result_json text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  run luma.pull_runs;
  permit record;
begin
  select * into run from luma.pull_runs r
  where r.id = run_id and r.lease = luma_pull_step.lease and r.ended_at is null for update;
  if not found or luma.mode() = 'off' then
    return '{"do": "end"}';
  end if;
  run.alive_until := clock_timestamp() + interval '30 seconds';
  run := luma.took_result(run, result_json::jsonb);
  if run.ended_at is null and run.entries <> '[]' then
    run := luma.applied_entries(run);
    if run.entries <> '[]' then
      perform luma.save_run(run);
      return jsonb_build_object('do', 'wait', 'wait_ms', case when run.tries > 0 then 50 else 0 end);
    end if;
  end if;
  if run.ended_at is null and run.due_at <= clock_timestamp() then
    run := luma.went_on(run);
  end if;
  if run.ended_at is not null then
    perform luma.save_run(run);
    return '{"do": "end"}';
  end if;
  if not luma.calendar_ready(run.calendar) then
    -- luma.tick() goes on with it when the calendar may be called again.
    run.lease := null;
    run.alive_until := null;
    perform luma.save_run(run);
    return '{"do": "end"}';
  end if;
  if run.due_at > clock_timestamp() then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', ceil(1000 * extract(epoch from run.due_at - clock_timestamp())));
  end if;
  -- What has just been applied is locked until this call is over, and a claim may wait for a row of it with the permits
  -- in its hands: neither would go on.
  if not luma.try_lock_permits() then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', 20);
  end if;
  permit := luma.take_pull_permit(run.calendar, run.is_asked);
  if not permit.granted then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', permit.wait_ms);
  end if;
  run.listed_after := coalesce(run.listed_after, luma.start_of_list(run.calendar));
  -- Before the call, by the clock that all else is told by.
  run.asked_at := clock_timestamp();
  perform luma.save_run(run);
  return luma.describe_call(run) || jsonb_build_object('permit_after_ms', luma.elapsed_ms());
end
$function$
  -- luma-pull: takes the result of a step and answers the next one. result_json: {kind: none | late | calendar {calendar_id} | page {route, entries: [{id, news | error}], next_cursor} | event {entries} | failed {failure}}. Answers {do: get_calendar | list_events {after, cursor} | get_event {luma_event_id} | list_guests {luma_event_id, cursor}, permit_after_ms}, {do: wait, wait_ms}, or {do: end}.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_read_delivery(webhook_id text, news_json text DEFAULT NULL::text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  told jsonb := news_json;
begin
  if told ? 'error' then
    perform luma.note_delivery_failure(webhook_id, told ->> 'error');
    return;
  end if;
  update luma.webhook_inbox w
  set news = told, due_at = case when told is not null then clock_timestamp() end, error = null, attempts = 0
  where w.webhook_id = luma_read_delivery.webhook_id;
  if told is not null then
    perform luma.apply_delivery(webhook_id);
  end if;
end
$function$
  -- luma-drain: what it reads in a delivery of luma_apply_deliveries() that could not be read before; news_json as luma_receive_webhook() takes it.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_receive_webhook(webhook_id text, calendar text, type text, payload_json text, sent_at timestamp with time zone, news_json text DEFAULT NULL::text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  news jsonb := news_json;
  times integer;
begin
  insert into luma.webhook_inbox as i (webhook_id, calendar, type, payload, sent_at, news, due_at)
  values (
    webhook_id, calendar, type, payload_json::jsonb, sent_at, case when not news ? 'error' then news end,
    case when news is not null then clock_timestamp() end
  )
  on conflict on constraint webhook_inbox_pkey do update set times_received = i.times_received + 1
  returning i.times_received into times;
  if times > 1 then
    return 'seen';
  elsif news ? 'error' then
    perform luma.note_delivery_failure(webhook_id, news ->> 'error');
    return 'stored';
  elsif news is null then
    return 'stored';
  end if;
  -- Not a cancelled one: Luma has deleted that event, and every call for a link to it would fail.
  if not (news #>> '{event,gone}')::boolean and news #>> '{event,slug}' is not null then
    begin
      perform luma.link_created_event(calendar, news #>> '{event,slug}', news #>> '{event,luma_event_id}');
    exception when others then
      -- The delivery is worth more than the link, which the drain also finds by the slug.
      raise warning 'luma: % was not linked: %', news #>> '{event,luma_event_id}', sqlerrm;
    end;
  end if;
  if luma.mode() <> 'live' then
    return 'stored';
  end if;
  return luma.apply_delivery(webhook_id);
end
$function$
  -- luma-webhook: stores a verified delivery (payload_json: its body; news_json: what from_luma.ts reads in it, {error} when it cannot, null for a type that is not used), links our own new event, and applies the news. Answers applied, stored (to be applied later, or not used), or seen for a repeat.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_release(leases uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  o luma.sync_outbox;
begin
  for o in select * from luma.sync_outbox s where s.lease = any (leases) for update loop
    update luma.event_links l set create_lease = null, create_state = null
    where l.event_id = o.entity_id and l.create_lease = o.lease and l.luma_event_id is null;
    perform luma.doubt(o);
    perform luma.put_back(o, now(), false, o.last_error);
  end loop;
end
$function$
  -- luma-drain: gives back jobs that it has no time, or no permit, to finish.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_renew(run_id uuid)
 RETURNS SETOF uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  renewed uuid[] := '{}';
begin
  update luma.drain_runs r set alive_until = clock_timestamp() + interval '15 seconds'
  where r.id = run_id and r.ended_at is null;
  for look in 1..4 loop
    with held as (
      select s.lease from luma.sync_outbox s
      where s.leased_by = run_id and s.lease is not null and s.lease <> all (renewed)
      -- The app may hold one of these rows and want another that is renewed here: nobody waits.
      for update skip locked
    ), prolonged as (
      update luma.sync_outbox o
      set due_at = clock_timestamp() + make_interval(secs => (select t.lease_seconds from luma.settings t))
      from held where o.lease = held.lease
      returning o.lease
    )
    select renewed || coalesce(array_agg(p.lease), '{}') into renewed from prolonged p;
    exit when not exists (
      select from luma.sync_outbox o
      where o.leased_by = run_id and o.lease is not null and o.lease <> all (renewed)
    );
    -- What the app was just writing; what is locked for longer counts as lost, and is not called for.
    perform pg_sleep(0.02);
  end loop;
  return query select unnest(renewed);
end
$function$
  -- luma-drain: prolongs its run and its leases. Answers the leases that it still holds.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_return_permits(calendar text, unused integer)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  left_over integer := unused;
  given luma.rate_permits;
begin
  perform luma.lock_permits();
  -- From the oldest on: what counts in its stead counts for longer, so no minute ever holds more than it may.
  for given in
    select * from luma.rate_permits p
    where p.calendar = luma_return_permits.calendar and p.free_at > clock_timestamp() order by p.free_at, p.id
  loop
    exit when left_over <= 0;
    if given.permits <= left_over then
      delete from luma.rate_permits p where p.id = given.id;
    else
      update luma.rate_permits p set permits = given.permits - left_over where p.id = given.id;
    end if;
    left_over := left_over - given.permits;
  end loop;
end
$function$
  -- luma-drain: gives back permits whose time ran out before a call was made under them, and never will be.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_settle_guests(event_id uuid, results_json text)
 RETURNS SETOF uuid
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  result jsonb;
  o luma.sync_outbox;
begin
  for result in select * from jsonb_array_elements(results_json::jsonb) loop
    select * into o from luma.sync_outbox s where s.lease = (result ->> 'lease')::uuid for update skip locked;
    if found then
      begin
        perform luma.settle_guest(o, result);
      exception when sqlstate 'LM001' or lock_not_available then
        return next o.lease;
      end;
    elsif exists (select from luma.sync_outbox s where s.lease = (result ->> 'lease')::uuid) then
      return next (result ->> 'lease')::uuid;
    end if;
  end loop;
  begin
    perform luma.show_synced(event_id);
  exception when others then
    -- A trigger of the app's, say: what was settled counts all the same.
    raise warning 'luma: luma_synced_at of the RSVPs of event % was not written: %', event_id, sqlerrm;
  end;
end
$function$
  -- luma-drain: what became of the guests of a batch. results_json: [{lease, outcome: done | read | dry_run | failed | released, status (what Luma holds, null: no such guest), luma_guest_id (null: unknown), news (of read: from_luma.ts, GuestNews; null: no such guest), read_at, failure (as luma_fail takes it), maybe_applied, calls}]. Answers the leases whose RSVP the app is writing just now: ask again in a moment. A lease that is no longer held settles nothing.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_slug_taken(lease uuid)
 RETURNS text
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
  update luma.event_links l
  set slug = 'e-' || replace(l.event_id::text, '-', ''), create_lease = o.lease, create_state = o.lease_state
  from luma.sync_outbox o
  where o.lease = luma_slug_taken.lease and l.event_id = o.entity_id and l.luma_event_id is null
  returning l.slug
$function$
  -- luma-drain: somebody else's event has our slug; gives the link one made of the whole id, under which the event may be there from here on. Null when the lease is no longer held.
  granted: service_role execute

CREATE OR REPLACE FUNCTION public.luma_take_permits(calendar text, wanted integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
declare
  granted integer := luma.take_permits(calendar, wanted);
begin
  return jsonb_build_object(
    'granted', granted,
    'after_ms', luma.elapsed_ms(),
    'wait_ms', case when granted = 0 then luma.permits_wait_ms(calendar) else 0 end
  );
end
$function$
  -- luma-drain: takes permits for calls. {granted, after_ms (how long after the request), wait_ms}: with none granted, ask again after wait_ms.
  granted: service_role execute

-- added to the app's tables -------------------------------------------------------------------------------------

public.calendars: constraint calendars_fence_lat_check CHECK (((fence_lat >= ('-90'::integer)::double precision) AND (fence_lat <= (90)::double precision)))

public.calendars: constraint calendars_fence_lng_check CHECK (((fence_lng >= ('-180'::integer)::double precision) AND (fence_lng <= (180)::double precision)))

public.calendars: constraint calendars_fence_radius_km_check CHECK ((fence_radius_km > (0)::double precision))

public.calendars: constraint calendars_luma_key_check CHECK ((luma_key ~ '^[a-z][a-z0-9_]{0,30}$'::text))

public.calendars: constraint calendars_luma_key_key UNIQUE (luma_key)

public.calendars: constraint calendars_sync_method_check CHECK ((sync_method = ANY (ARRAY['ical'::text, 'luma_api'::text, 'manual'::text])))

public.canonical_events: constraint canonical_events_luma_sync_status_known CHECK ((luma_sync_status = ANY (ARRAY['pushed'::text, 'pulled'::text, 'push_failed'::text, 'synced'::text]))) NOT VALID

public.canonical_events: constraint canonical_events_meeting_url_is_address CHECK (((meeting_url IS NULL) OR (meeting_url = ''::text) OR (meeting_url ~* '^https?://[^[:space:]/?#@]+\.[^[:space:]]+$'::text))) NOT VALID

public.canonical_events: constraint canonical_events_visibility_known CHECK ((visibility = ANY (ARRAY['public'::text, 'members-only'::text, 'private'::text]))) NOT VALID

CREATE UNIQUE INDEX calendars_one_luma_default ON public.calendars USING btree (luma_is_default) WHERE luma_is_default

CREATE INDEX event_rsvps_user_id ON public.event_rsvps USING btree (user_id)

CREATE INDEX users_email_as_luma ON public.users USING btree (lower(btrim(email, '
 '::text)))

CREATE INDEX users_phone_tail ON public.users USING btree ("right"(regexp_replace(phone, '[^0-9]'::text, ''::text, 'g'::text), 7))

public.calendars.fence_lat double precision -- Centre of the area whose events go to this calendar, degrees.

public.calendars.fence_lng double precision -- Centre of the area whose events go to this calendar, degrees.

public.calendars.fence_radius_km double precision -- Events closer to the centre than this many kilometres go to this calendar.

public.calendars.has_api_key boolean default false -- True when a Luma API key for this calendar is kept in the function secrets.

public.calendars.luma_calendar_id text -- Luma's id of the calendar (cal-…).

public.calendars.luma_is_default boolean not null default false -- True for the one calendar that takes every event outside all fences.

public.calendars.luma_key text -- Short name of a calendar that events can be pushed to. The secret LUMA_<KEY>_API_KEY (upper case) holds its API key.

public.calendars.sync_method text default 'ical'::text -- How events of this calendar arrive: ical (the app's worker), luma_api (this project), manual.

public.canonical_events.luma_sync_status text -- pushed (we → Luma), pulled (Luma → us), synced (both ways), push_failed (see luma.dead_letters), or null.

public.canonical_events.luma_synced_at timestamp with time zone -- When the row and its Luma event last agreed.

public.canonical_events.meeting_url text -- Link of the online meeting (http or https), sent to Luma as meeting_url. Null for most events.

public.canonical_events.visibility text default 'public'::text -- Who finds the event on Luma while it is approved: public, members-only or private.

public.event_rsvps.luma_guest_id text -- Luma's id of this guest (gst-…).

public.event_rsvps.luma_synced_at timestamp with time zone -- When the RSVP and its Luma guest last agreed.

CREATE TRIGGER zz_luma_email_on_insert BEFORE INSERT ON public.event_rsvps FOR EACH ROW WHEN ((new.status <> ALL (ARRAY['not_going'::text, 'cancelled'::text, 'rejected'::text]))) EXECUTE FUNCTION luma.check_email()

CREATE TRIGGER zz_luma_email_on_update BEFORE UPDATE OF status, user_id ON public.event_rsvps FOR EACH ROW WHEN (((new.status <> ALL (ARRAY['not_going'::text, 'cancelled'::text, 'rejected'::text])) AND ((COALESCE(old.status, 'cancelled'::text) = ANY (ARRAY['not_going'::text, 'cancelled'::text, 'rejected'::text])) OR (new.user_id IS DISTINCT FROM old.user_id)))) EXECUTE FUNCTION luma.check_email()

CREATE TRIGGER zz_luma_event_deleted AFTER DELETE ON public.canonical_events FOR EACH ROW WHEN (((old.submission_status = 'approved'::text) OR (old.luma_event_id IS NOT NULL))) EXECUTE FUNCTION luma.enqueue_event()

CREATE TRIGGER zz_luma_event_inserted AFTER INSERT ON public.canonical_events FOR EACH ROW WHEN ((new.submission_status = 'approved'::text)) EXECUTE FUNCTION luma.enqueue_event()

CREATE TRIGGER zz_luma_event_updated AFTER UPDATE ON public.canonical_events FOR EACH ROW EXECUTE FUNCTION luma.enqueue_event()

CREATE TRIGGER zz_luma_events_written AFTER INSERT OR DELETE OR UPDATE ON public.canonical_events FOR EACH STATEMENT EXECUTE FUNCTION luma.enqueue_statement('event')

CREATE TRIGGER zz_luma_external_guests BEFORE UPDATE OF current_rsvp_count ON public.canonical_events FOR EACH ROW WHEN ((new.luma_event_id IS NOT NULL)) EXECUTE FUNCTION luma.add_external_guests()

CREATE TRIGGER zz_luma_keep_updated_at BEFORE UPDATE OF luma_guest_id, luma_synced_at ON public.event_rsvps FOR EACH ROW WHEN ((((new.luma_synced_at IS DISTINCT FROM old.luma_synced_at) OR (new.luma_guest_id IS DISTINCT FROM old.luma_guest_id)) AND (NOT ((((new.status IS DISTINCT FROM old.status) OR (new.checked_in IS DISTINCT FROM old.checked_in)) OR (new.rsvp_type IS DISTINCT FROM old.rsvp_type)) OR (new.metadata IS DISTINCT FROM old.metadata))))) EXECUTE FUNCTION luma.keep_updated_at()

CREATE TRIGGER zz_luma_rsvp_deleted AFTER DELETE ON public.event_rsvps FOR EACH ROW WHEN ((old.status <> ALL (ARRAY['not_going'::text, 'cancelled'::text, 'rejected'::text]))) EXECUTE FUNCTION luma.enqueue_rsvp()

CREATE TRIGGER zz_luma_rsvp_inserted AFTER INSERT ON public.event_rsvps FOR EACH ROW WHEN ((new.status <> ALL (ARRAY['not_going'::text, 'cancelled'::text, 'rejected'::text]))) EXECUTE FUNCTION luma.enqueue_rsvp()

CREATE TRIGGER zz_luma_rsvp_updated AFTER UPDATE ON public.event_rsvps FOR EACH ROW WHEN ((((new.status IS DISTINCT FROM old.status) OR (new.user_id IS DISTINCT FROM old.user_id)) OR (new.event_id IS DISTINCT FROM old.event_id))) EXECUTE FUNCTION luma.enqueue_rsvp()

CREATE TRIGGER zz_luma_rsvps_written AFTER INSERT OR DELETE OR UPDATE ON public.event_rsvps FOR EACH STATEMENT EXECUTE FUNCTION luma.enqueue_statement('rsvp')

CREATE TRIGGER zz_luma_user_deleted AFTER DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION luma.note_erasure()

CREATE TRIGGER zz_luma_user_inserted AFTER INSERT ON public.users FOR EACH ROW WHEN (((new.email IS NOT NULL) OR (new.phone IS NOT NULL))) EXECUTE FUNCTION luma.recheck_user()

CREATE TRIGGER zz_luma_user_updated AFTER UPDATE OF email, phone ON public.users FOR EACH ROW WHEN (((new.email IS DISTINCT FROM old.email) OR (new.phone IS DISTINCT FROM old.phone))) EXECUTE FUNCTION luma.recheck_user()

-- jobs ----------------------------------------------------------------------------------------------------------

job luma-alerts (* * * * *): select luma.watch()

job luma-clean-up (17 * * * *): select luma.clean_up(), luma.clean_up_pulls(), luma.clean_up_admin_log(), luma.forget_due()

job luma-drain (5 seconds): select luma.tick()

job luma-pull (*/15 * * * *): select luma.schedule_pull()

job luma-sweep (*/5 * * * *): select luma.sweep()

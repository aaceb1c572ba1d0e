-- A connection keeps the plans of these functions. One that was made while the outbox was nearly empty reads all of
-- it, and would go on doing so, for each job, when a burst has filled it: until the next analyze, a minute later or more.
-- They look for single rows by index, so that is what they always do. Without jit, which would compile each of these
-- small queries, because a table without another way to be read counts as endlessly costly then.

alter function luma.pick_job(uuid, text, boolean) set enable_seqscan = off;
alter function luma.pick_job(uuid, text, boolean) set jit = off;
alter function luma.event_job(luma.sync_outbox) set enable_seqscan = off;
alter function luma.event_job(luma.sync_outbox) set jit = off;
alter function luma.lock_leased(uuid) set enable_seqscan = off;
alter function luma.lock_leased(uuid) set jit = off;
alter function luma.finish(luma.sync_outbox, text, jsonb) set enable_seqscan = off;
alter function luma.finish(luma.sync_outbox, text, jsonb) set jit = off;
alter function public.luma_settle_guests(uuid, text) set enable_seqscan = off;
alter function public.luma_settle_guests(uuid, text) set jit = off;
